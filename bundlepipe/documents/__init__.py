"""Documents: ImagesLock, BundleLock, Bundle, ImageLocations, kbld's configuration, and YAML itself.

Knows the content model (`oci`) and nothing of stores, verbs or tasks. The names below are imported
on first use, so that a module which needs no YAML does not load it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.image_locations import ImageLocation, ImageLocations
    from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
    from bundlepipe.documents.kbld.config import KbldConfig

__all__ = ["BundleLock", "ImageLocation", "ImageLocations", "ImageRef", "ImagesLock", "KbldConfig"]

_MODULES = {
    "BundleLock": "imgpkg.bundle_lock",
    "ImageLocation": "imgpkg.image_locations",
    "ImageLocations": "imgpkg.image_locations",
    "ImageRef": "imgpkg.images_lock",
    "ImagesLock": "imgpkg.images_lock",
    "KbldConfig": "kbld.config",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'bundlepipe.documents' has no attribute '{name}'")
    return getattr(import_module(f"bundlepipe.documents.{_MODULES[name]}"), name)
