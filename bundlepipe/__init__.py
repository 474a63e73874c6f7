"""bundlepipe: OCI bundles of Kubernetes configuration as declared, incremental, verifiable doit tasks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundlepipe.errors import BundlepipeError
    from bundlepipe.pipeline.config import DOIT_CONFIG
    from bundlepipe.pipeline.declaration import (
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
        Render,
    )
    from bundlepipe.pipeline.pipeline import Pipeline
    from bundlepipe.stores.settings import RegistrySettings

__version__ = "0.1.0"

__all__ = [
    "DOIT_CONFIG",
    "Apply",
    "Build",
    "Bundle",
    "BundleSource",
    "BundlepipeError",
    "Copy",
    "CopySource",
    "Image",
    "ImageSource",
    "Lock",
    "LockSource",
    "Pipeline",
    "Program",
    "Pull",
    "RegistrySettings",
    "Render",
    "__version__",
]

_HOMES = {
    "BundlepipeError": "bundlepipe.errors",
    "DOIT_CONFIG": "bundlepipe.pipeline.config",
    "Pipeline": "bundlepipe.pipeline.pipeline",
    "RegistrySettings": "bundlepipe.stores.settings",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: whoever needs the content model alone loads no doit."""
    if name not in __all__:
        raise AttributeError(f"module 'bundlepipe' has no attribute '{name}'")
    return getattr(import_module(_HOMES.get(name, "bundlepipe.pipeline.declaration")), name)
