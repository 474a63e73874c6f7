"""Parse locks exactly as imgpkg does: Go's libraries accept more than the schemas do.

Only the first document counts, keys may be in any case, and a text may be given as a number or a
boolean. Errors are those of the libraries (sigs.k8s.io/yaml, encoding/json), as observed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from bundlepipe.documents.imgpkg.bundle_lock import KIND as BUNDLE_KIND
from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.canonical import API_VERSION
from bundlepipe.documents.imgpkg.common import digest_reference
from bundlepipe.documents.imgpkg.images_lock import KIND as IMAGES_KIND
from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
from bundlepipe.documents.yaml import core_schema as core
from bundlepipe.documents.yaml.construction import construct
from bundlepipe.documents.yaml.fault import Fault, rendered
from bundlepipe.documents.yaml.go_yaml import NotConvertible, first_root
from bundlepipe.documents.yaml.reader import decoded
from bundlepipe.documents.yaml.text import Text
from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.oci.reference import Reference

_DUPLICATE = re.compile(r"duplicate key '(.*)', expected once")
_DECODING = "error unmarshaling JSON: while decoding JSON: json: "

# Decodes the value at a path.
_Decode = Callable[[Any, tuple[str | int, ...]], Any]


def bundle_lock(content: bytes, path: str) -> BundleLock:
    """Parse a BundleLock as imgpkg does; DocumentError, calling the file `path`, with imgpkg's text."""
    data = _decoded(content, path, "bundle", _Struct("lockconfig.BundleLock", {**_HEAD, "bundle": _BUNDLE}))
    bundle = data.get("bundle", {})
    _check_head(data, BUNDLE_KIND, path, "bundle")
    return BundleLock(_pinned(bundle.get("image", ""), path, "bundle"), bundle.get("tag") or None)


def images_lock(content: bytes, path: str) -> ImagesLock:
    """Parse an ImagesLock as imgpkg does; DocumentError, calling the file `path`, with imgpkg's text."""
    data = _decoded(content, path, "images", _Struct("lockconfig.ImagesLock", {**_HEAD, "images": _IMAGES}))
    _check_head(data, IMAGES_KIND, path, "images")
    return ImagesLock(
        tuple(
            ImageRef(_pinned(entry.get("image", ""), path, "images"), entry.get("annotations", {}))
            for entry in data.get("images", ())
        )
    )


class _Mismatch(Exception):
    """A value is not of the expected type."""


class _Struct(Struct, frozen=True):
    """A type with a field for each of some keys."""

    go_type: str
    fields: Mapping[str, _Decode]

    def __call__(self, value: Any, path: tuple[str | int, ...]) -> dict[str, Any]:
        """Return the fields of a mapping by name; _Mismatch for an unknown key or another type."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _mismatch(value, path, self.go_type)
        found: dict[str, Any] = {}
        for key in sorted(value):
            name = key if key in self.fields else self._folded(key)
            if name is None:
                raise _Mismatch(f'unknown field "{key}"')
            if value[key] is not None:
                found[name] = self.fields[name](value[key], (*path, name))
        return found

    def _folded(self, key: str) -> str | None:
        return next((name for name in self.fields if name.lower() == key.lower()), None)


def _text(value: Any, path: tuple[str | int, ...]) -> str:
    if isinstance(value, dict | list):
        raise _mismatch(value, path, "string")
    return core.as_text(value)


def _texts(value: Any, path: tuple[str | int, ...]) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _mismatch(value, path, "map[string]string")
    return {key: _text(each, (*path, key)) for key, each in sorted(value.items())}


def _images(value: Any, path: tuple[str | int, ...]) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise _mismatch(value, path, "[]lockconfig.ImageRef")
    return [_IMAGE(each, (*path, index)) for index, each in enumerate(value)]


def _word(value: Any, path: tuple[str | int, ...]) -> str:
    """Return a value that must already be a text: numbers are not converted in fields that both kinds share."""
    if not isinstance(value, str):
        raise _mismatch(value, path, "string")
    return value


_HEAD: Mapping[str, _Decode] = {"apiVersion": _word, "kind": _word}
_BUNDLE = _Struct("lockconfig.BundleRef", {"image": _text, "tag": _text})
_IMAGE = _Struct("lockconfig.ImageRef", {"image": _text, "annotations": _texts})
_IMAGES: _Decode = _images


def _mismatch(value: Any, path: Sequence[str | int], go_type: str) -> _Mismatch:
    kind = {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")
    where = "".join(f".{part}" for part in path)
    if not path:
        into = "Go value"
    elif isinstance(path[-1], int):
        into = where
    else:
        into = f"Go struct field {where}"
    return _Mismatch(f"cannot unmarshal {kind} into {into} of type {go_type}")


def _decoded(content: bytes, path: str, what: str, decode: _Struct) -> dict[str, Any]:
    """Return the fields of the first document of a file."""
    text = decoded(content, path)
    try:
        root = first_root(text)
    except NotConvertible as error:
        raise _fault(path, f"Unmarshaling {what} lock: {error}") from None
    faults: list[Fault] = []
    data = construct(root, Text(text), faults) if root else None
    if faults:
        raise DocumentError(rendered(path, faults), drop_in=_duplicates(faults, what))
    try:
        return decode(data, ())
    except _Mismatch as mismatch:
        raise _fault(path, f"Unmarshaling {what} lock: {_DECODING}{mismatch}") from None


def _duplicates(faults: Sequence[Fault], what: str) -> str | None:
    """Return the error for duplicate keys; None if there are other faults."""
    found = [(fault.line, match[1]) for fault in faults if (match := _DUPLICATE.match(fault.text))]
    if len(found) < len(faults):
        return None
    lines = "".join(f'\n  line {line}: key "{key}" already set in map' for line, key in found)
    return f"Unmarshaling {what} lock: error converting YAML to JSON: yaml: unmarshal errors:{lines}"


def _check_head(data: Mapping[str, Any], kind: str, path: str, what: str) -> None:
    for key, named, known in (("apiVersion", "version", API_VERSION), ("kind", "kind", kind)):
        if data.get(key, "") != known:
            raise _fault(path, f"Validating {what} lock: Validating {key}: Unknown {named} (known: {known})")


def _pinned(text: str, path: str, what: str) -> Reference:
    try:
        return digest_reference(text)
    except InvalidReference:
        said = f"Validating {what} lock: Expected ref to be in digest form, got '{text}'"
        raise _fault(path, said) from None


def _fault(path: str, said: str) -> DocumentError:
    return DocumentError([f"{path}: {said}"], drop_in=said)
