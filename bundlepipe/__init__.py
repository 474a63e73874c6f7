"""bundlepipe: OCI bundles of Kubernetes configuration as declared, incremental, verifiable doit tasks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bundlepipe.garbage_collection import collection_paused

if TYPE_CHECKING:
    from bundlepipe.api import copy, describe, diff, lock, pull, push
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
    from bundlepipe.errors import BundlepipeError
    from bundlepipe.pipeline.declared.ci import CI, Argo, Buildkite, GitHub, GitLab
    from bundlepipe.pipeline.declared.model import (
        Apply,
        Build,
        Bundle,
        BundleSource,
        Copy,
        CopySource,
        Image,
        ImageSource,
        Lock,
        LockSource,
        Program,
        Pull,
        PullSource,
        Render,
        RenderSource,
    )
    from bundlepipe.pipeline.pipeline import Pipeline
    from bundlepipe.pipeline.plugins.config import DOIT_CONFIG
    from bundlepipe.stores.opening import Stores
    from bundlepipe.stores.settings import NetworkSettings, RegistrySettings
    from bundlepipe.verbs.copying.request import Copied, CopiedRoot
    from bundlepipe.verbs.describing.description import BundleDescription, ImageDescription
    from bundlepipe.verbs.diffing.difference import Difference, PairDifference
    from bundlepipe.verbs.pull import Pulled, PulledBundle
    from bundlepipe.verbs.push import Pushed

__version__ = "0.1.0"

__all__ = [
    "CI",
    "DOIT_CONFIG",
    "Apply",
    "Argo",
    "Build",
    "Buildkite",
    "Bundle",
    "BundleDescription",
    "BundleLock",
    "BundleSource",
    "BundlepipeError",
    "Copied",
    "CopiedRoot",
    "Copy",
    "CopySource",
    "Difference",
    "GitHub",
    "GitLab",
    "Image",
    "ImageDescription",
    "ImageRef",
    "ImageSource",
    "ImagesLock",
    "Lock",
    "LockSource",
    "NetworkSettings",
    "PairDifference",
    "Pipeline",
    "Program",
    "Pull",
    "PullSource",
    "Pulled",
    "PulledBundle",
    "Pushed",
    "RegistrySettings",
    "Render",
    "RenderSource",
    "Stores",
    "__version__",
    "copy",
    "describe",
    "diff",
    "lock",
    "pull",
    "push",
]

# Public names that are not declarations, with their modules.
_MODULES = {
    "api": ("copy", "describe", "diff", "lock", "pull", "push"),
    "documents.imgpkg.bundle_lock": ("BundleLock",),
    "documents.imgpkg.images_lock": ("ImageRef", "ImagesLock"),
    "errors": ("BundlepipeError",),
    "pipeline.declared.ci": ("CI", "Argo", "Buildkite", "GitHub", "GitLab"),
    "pipeline.plugins.config": ("DOIT_CONFIG",),
    "pipeline.pipeline": ("Pipeline",),
    "stores.opening": ("Stores",),
    "stores.settings": ("NetworkSettings", "RegistrySettings"),
    "verbs.copying.request": ("Copied", "CopiedRoot"),
    "verbs.describing.description": ("BundleDescription", "ImageDescription"),
    "verbs.diffing.difference": ("Difference", "PairDifference"),
    "verbs.pull": ("Pulled", "PulledBundle"),
    "verbs.push": ("Pushed",),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that programs which only need the content model do not load doit."""
    if name not in __all__:
        raise AttributeError(f"module 'bundlepipe' has no attribute '{name}'")
    with collection_paused():
        return getattr(import_module(f"bundlepipe.{_PLACES.get(name, 'pipeline.declared.model')}"), name)
