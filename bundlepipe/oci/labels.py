"""Read labels, platform, DiffIDs and other fields from an image configuration."""

from __future__ import annotations

from typing import Any

from bundlepipe.errors import InvalidContent, InvalidDigest
from bundlepipe.oci.bounded_json import JsonFault, loads
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Platform

BUNDLE_LABEL = "dev.carvel.imgpkg.bundle"
# The digest of a built image's inputs, which identifies it: builds are not reproducible.
INPUTS_LABEL = "dev.bundlepipe.inputs"


def labels_of(config: bytes, what: str) -> dict[str, str]:
    """Return the labels in an image configuration; InvalidContent, naming `what`, if it is invalid."""
    try:
        labels = (configuration_of(config, what).get("config") or {}).get("Labels") or {}
    except AttributeError:
        raise _no_object(what) from None
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def platform_of(config: bytes, what: str) -> Platform:
    """Return the platform in an image configuration; InvalidContent, naming `what`, if it is invalid."""
    document = configuration_of(config, what)
    return Platform(str(document.get("os", "")), str(document.get("architecture", "")), document.get("variant") or None)


def diff_ids_of(config: bytes, what: str) -> tuple[Digest, ...]:
    """Return the DiffIDs in an image configuration; empty if it has no list of them, as with artifacts.

    Raises InvalidContent, naming `what`, if it is not a configuration, or the list holds anything but digests.
    Source: OCI image specification 1.1, "Image Configuration", `rootfs.diff_ids`.
    """
    rootfs = configuration_of(config, what).get("rootfs") or {}
    found = rootfs.get("diff_ids") or [] if isinstance(rootfs, dict) else []
    try:
        return tuple(map(Digest.parse, found))
    except (TypeError, InvalidDigest):
        raise InvalidContent(f"{what}: 'rootfs.diff_ids' of the image configuration is not a list of digests") from None


def configuration_of(config: bytes, what: str) -> dict[str, Any]:
    """Return an image configuration as a JSON object; InvalidContent, naming `what`, if it is none."""
    try:
        document = loads(config)
    except JsonFault as fault:
        raise InvalidContent(f"{what}: the image configuration {fault}") from None
    if not isinstance(document, dict):
        raise _no_object(what)
    return document


def _no_object(what: str) -> InvalidContent:
    return InvalidContent(f"{what}: the image configuration is not a JSON object")
