"""build: a Dockerfile becomes an image in a repository, once for the same inputs.

Builds are not reproducible, so an image is identified by what it was made of: the digest of
that is a label of the image, and an image with the same label is not built again.
"""
