"""Stores read and write images at a location: registry, OCI layout, tar file, Docker Engine.

They share one protocol (`protocol`). Knows the content model, but not the meaning of documents, nor verbs or
tasks.
"""
