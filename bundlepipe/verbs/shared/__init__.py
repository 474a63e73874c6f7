"""Shared by several verbs: bundles, image locations and blobs."""
