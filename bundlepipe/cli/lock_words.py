"""The BundleLock of an option, of which imgpkg's words are told under its name."""

from __future__ import annotations

from typing import Any

from bundlepipe.cli.images import STANDARD, read_lock
from bundlepipe.documents.bundle_lock import KIND, BundleLock
from bundlepipe.errors import BundlepipeError, DocumentError, InputError
from bundlepipe.files import read_document

_API_VERSION = "imgpkg.carvel.dev/v1alpha1"
_FIELDS = {"apiVersion": None, "bundle": {"image": None, "tag": None}, "kind": None}


def read_bundle_lock(path: str) -> BundleLock:
    """Return the BundleLock in a file, or on standard input (`-`); InputError, DocumentError, BundlepipeError."""
    try:
        lock = read_lock(path)
    except InputError as error:
        raise InputError(str(error), drop_in=f"Reading path {path}: {error.drop_in}") from error
    except DocumentError as error:
        if path != STANDARD:
            error.drop_in = _words(read_document(path))
        raise
    if not isinstance(lock, BundleLock):
        raise BundlepipeError(
            f"{path}: is an ImagesLock: expected a BundleLock, which names one bundle",
            drop_in=None if path == STANDARD else _words(read_document(path)),
        )
    return lock


def _words(content: bytes) -> str | None:
    """Return what imgpkg says of a document that is no BundleLock; None where those are the words of a YAML parser."""
    from bundlepipe.documents.yaml_source import parse

    try:
        filled = [document.data for document in parse(content, "") if document.data is not None]
    except DocumentError:
        return None
    data = filled[0] if filled else {}
    if not isinstance(data, dict):
        return None
    if unknown := _unknown_field(data, _FIELDS):
        return (
            f'Unmarshaling bundle lock: error unmarshaling JSON: while decoding JSON: json: unknown field "{unknown}"'
        )
    return f"Validating bundle lock: {_fault(data)}"


def _unknown_field(data: dict[str, Any], fields: dict[str, Any]) -> str | None:
    """Return the first key that there is no field for, in the order of JSON that Go writes."""
    for key in sorted(map(str, data)):
        if key not in fields:
            return key
        if isinstance(data[key], dict) and fields[key] and (unknown := _unknown_field(data[key], fields[key])):
            return unknown
    return None


def _fault(data: dict[str, Any]) -> str:
    if data.get("apiVersion") != _API_VERSION:
        return f"Validating apiVersion: Unknown version (known: {_API_VERSION})"
    if data.get("kind") != KIND:
        return f"Validating kind: Unknown kind (known: {KIND})"
    bundle = data.get("bundle")
    image = bundle.get("image") if isinstance(bundle, dict) else None
    return f"Expected ref to be in digest form, got '{image or ''}'"
