"""Locks that options name, with what imgpkg says of those that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from bundlepipe.cli.images import STANDARD, parse_any_lock, read_any_lock
from bundlepipe.errors import BundlepipeError, DocumentError, InputError
from bundlepipe.oci.reference import names_digest

if TYPE_CHECKING:
    from bundlepipe.documents.bundle_lock import BundleLock
    from bundlepipe.documents.images_lock import ImagesLock

_UNKNOWN_FIELD = 'error unmarshaling JSON: while decoding JSON: json: unknown field "{}"'
_BUNDLE_LOCK_FIELDS = {"apiVersion": None, "bundle": {"image": None, "tag": None}, "kind": None}
_IMAGES_LOCK_FIELDS = {"apiVersion", "kind", "images"}


def read_bundle_lock(path: str) -> BundleLock:
    """Return the BundleLock in a file, or on standard input (`-`); InputError, DocumentError, BundlepipeError."""
    from bundlepipe.documents.bundle_lock import BundleLock

    content, lock = _read(path, "", _bundle_lock_words)
    if not isinstance(lock, BundleLock):
        raise BundlepipeError(
            f"{path}: is an ImagesLock: expected a BundleLock, which names one bundle",
            drop_in=_bundle_lock_words(content, path),
        )
    return lock


def read_copied_lock(path: str) -> BundleLock | ImagesLock:
    """Return the lock in a file, or on standard input (`-`), whose images are copied; InputError, DocumentError."""
    return _read(path, "Trying to read bundle or images lock file: ", _images_lock_words)[1]


def _read(path: str, doing: str, words: Callable[[bytes, str], str | None]) -> tuple[bytes, BundleLock | ImagesLock]:
    """Return what is read and the lock in it; errors say in imgpkg's words what it was doing, and what is wrong."""
    try:
        content = read_any_lock(path)
    except InputError as error:
        error.drop_in = error.drop_in and f"{doing}Reading path {path}: {error.drop_in}"
        raise
    try:
        return content, parse_any_lock(content, path)
    except DocumentError as error:
        # Its traceback keeps what was read of the document in memory, which is now read again.
        refusal = error.with_traceback(None)
        refusal.__context__ = None
    said = words(content, path)
    refusal.drop_in = said and f"{doing}{said}"
    raise refusal


def _bundle_lock_words(content: bytes, path: str) -> str | None:
    """Return what imgpkg says of a document that is no BundleLock; None where those are the words of a YAML parser."""
    from bundlepipe.documents.bundle_lock import KIND
    from bundlepipe.documents.yaml_source import parse

    if path == STANDARD:
        return None
    try:
        filled = [document.data for document in parse(content, "") if document.data is not None]
    except DocumentError:
        return None
    data = filled[0] if filled else {}
    if not isinstance(data, dict):
        return None
    if unknown := _unknown_field(data, _BUNDLE_LOCK_FIELDS):
        return f"Unmarshaling bundle lock: {_UNKNOWN_FIELD.format(unknown)}"
    bundle = data.get("bundle")
    image = bundle.get("image") if isinstance(bundle, dict) else None
    fault = _head_fault(data, KIND) or f"Expected ref to be in digest form, got '{image or ''}'"
    return f"Validating bundle lock: {fault}"


def _images_lock_words(content: bytes, path: str) -> str | None:
    """Return what imgpkg says of a document that is no ImagesLock; None for other faults of form."""
    from bundlepipe.documents.go_yaml import conversion_problem, decoding_problem
    from bundlepipe.documents.images_lock import KIND
    from bundlepipe.documents.yaml_source import parse

    if path == STANDARD:
        return None
    if problem := conversion_problem(content.decode(errors="replace")):
        return f"Unmarshaling images lock: {problem}"
    try:
        documents = parse(content, path)
    except DocumentError:
        return None
    data: Any = documents[0].data if documents else {}
    if not isinstance(data, dict):
        problem = decoding_problem(documents[0].node, "lockconfig.ImagesLock")
        return problem and f"Unmarshaling images lock: {problem}"
    if unknown := sorted(map(str, set(data) - _IMAGES_LOCK_FIELDS)):
        return f"Unmarshaling images lock: {_UNKNOWN_FIELD.format(unknown[0])}"
    unpinned = next((image for image in _texts_of_images(data) if not names_digest(image)), None)
    fault = _head_fault(data, KIND) or (
        None if unpinned is None else f"Expected ref to be in digest form, got '{unpinned}'"
    )
    return fault and f"Validating images lock: {fault}"


def _head_fault(data: dict[str, Any], kind: str) -> str | None:
    from bundlepipe.documents.images_lock import API_VERSION

    for key, what, value in (("apiVersion", "version", API_VERSION), ("kind", "kind", kind)):
        if data.get(key) != value:
            return f"Validating {key}: Unknown {what} (known: {value})"
    return None


def _unknown_field(data: dict[str, Any], fields: dict[str, Any]) -> str | None:
    """Return the first key that there is no field for, in the order of JSON that Go writes."""
    for key in sorted(map(str, data)):
        if key not in fields:
            return key
        if isinstance(data[key], dict) and fields[key] and (unknown := _unknown_field(data[key], fields[key])):
            return unknown
    return None


def _texts_of_images(lock: dict[str, Any]) -> Iterator[str]:
    images = lock.get("images")
    for entry in images if isinstance(images, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("image"), str):
            yield entry["image"]
