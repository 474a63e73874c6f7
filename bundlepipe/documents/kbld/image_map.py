"""Parse a map of images (`--image-map-file`) exactly as kbld does, with the errors of Go's JSON library."""

from __future__ import annotations

import json
from typing import Any

from bundlepipe.documents.kbld.config import Override
from bundlepipe.documents.search.rules import ImageMatcher
from bundlepipe.documents.yaml.reader import decoded
from bundlepipe.errors import DocumentError


def read_image_map_as_kbld(content: bytes, path: str) -> tuple[Override, ...]:
    """Return the overrides of a map; an empty one leaves its reference unchanged. Raises DocumentError."""
    mapping = _loaded(decoded(content, path), path)
    if mapping is None:
        return ()
    if not isinstance(mapping, dict):
        raise _refused(path, f"json: cannot unmarshal {_kind(mapping)} into Go value of type map[string]string")
    for name, value in mapping.items():
        if not isinstance(value, str | None):
            raise _refused(path, f"json: cannot unmarshal {_kind(value)} into Go struct field .{name} of type string")
        if not name:
            # kbld panics on any lookup here.
            raise DocumentError([f"{path}: expected references, found an empty one"])
    return tuple(
        Override(ImageMatcher(name), value or None, preresolved=True, where=path) for name, value in mapping.items()
    )


def _loaded(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not text[error.pos :].strip():
            raise _refused(path, "unexpected end of JSON input") from None
        found = f"invalid character '{text[error.pos]}' looking for beginning of value"
        raise DocumentError(
            [f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}"],
            drop_in=found if error.msg == "Expecting value" else None,
        ) from None


def _refused(path: str, words: str) -> DocumentError:
    return DocumentError([f"{path}: {words}"], drop_in=words)


def _kind(value: Any) -> str:
    """Return Go's name for the type of a JSON value."""
    kinds = {bool: "bool", dict: "object", list: "array", str: "string"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "number")
