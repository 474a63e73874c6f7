"""Paths of a bundle's own files below its root, in imgpkg's bundle format."""

from __future__ import annotations

BUNDLE_DIRECTORY = ".imgpkg"
IMAGES_LOCK = f"{BUNDLE_DIRECTORY}/images.yml"
BUNDLE_METADATA = f"{BUNDLE_DIRECTORY}/bundle.yml"
