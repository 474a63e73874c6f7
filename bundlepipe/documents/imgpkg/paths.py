"""Where a bundle keeps what it says about itself: paths below its root (imgpkg's bundle format)."""

from __future__ import annotations

BUNDLE_DIRECTORY = ".imgpkg"
IMAGES_LOCK = f"{BUNDLE_DIRECTORY}/images.yml"
BUNDLE_METADATA = f"{BUNDLE_DIRECTORY}/bundle.yml"
