"""What is written down: ImagesLock, BundleLock, Bundle and ImageLocations, and how YAML is read.

Floor 2. Knows the content model (`oci`) and nothing of stores, verbs or tasks. Nothing is
imported here, so that a module which needs no YAML costs none.
"""
