"""What is written down: ImagesLock, BundleLock, Bundle and ImageLocations, and how YAML is read.

Floor 2. Knows the content model (`oci`) and nothing of stores, verbs or tasks. The names
below are imported when they are first used, so that a module which needs no YAML costs none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundlepipe.documents.bundle_lock import BundleLock
    from bundlepipe.documents.image_locations import ImageLocation, ImageLocations
    from bundlepipe.documents.images_lock import ImageRef, ImagesLock
    from bundlepipe.documents.kbld_config import KbldConfig

__all__ = ["BundleLock", "ImageLocation", "ImageLocations", "ImageRef", "ImagesLock", "KbldConfig"]

_MODULES = {
    "BundleLock": "bundle_lock",
    "ImageLocation": "image_locations",
    "ImageLocations": "image_locations",
    "ImageRef": "images_lock",
    "ImagesLock": "images_lock",
    "KbldConfig": "kbld_config",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'bundlepipe.documents' has no attribute '{name}'")
    return getattr(import_module(f"bundlepipe.documents.{_MODULES[name]}"), name)
