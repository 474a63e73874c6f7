"""Describe wrong values of fields in messages."""

from __future__ import annotations

import os
from dataclasses import is_dataclass
from typing import Any

from msgspec import Struct

from bundlepipe.errors import quoted

_LONGEST_SHOWN = 60
_CALLED = {
    "str": "a string",
    "dict": "a dictionary",
    "list": "a list",
    "tuple": "a tuple",
    "set": "a set",
    "bytes": "bytes",
}
# The class for a reference by name, for an object that was given in its place.
_NAMED_BY = {"Image": "ImageSource", "Bundle": "BundleSource", "Copy": "CopySource"}


def found(value: Any, is_secret: bool) -> str:
    """Describe a value that was not expected; without its content if it may be secret."""
    if isinstance(value, str) and not value:
        return "an empty string"
    if isinstance(value, str):
        text = "a string" if is_secret else f"the string {quoted(value, _LONGEST_SHOWN)}"
        return f"{text}, which holds a NUL" if "\0" in value else text
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return "a number" if is_secret else f"the number {value}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, Struct) or is_dataclass(value):
        name = getattr(value, "name", None)
        return f"{type(value).__name__} {quoted(name)}" if isinstance(name, str) else f"a {type(value).__name__}"
    if isinstance(value, os.PathLike):
        return "a path"
    return _CALLED.get(type(value).__name__, f"an object of type {type(value).__name__}")


def advice(value: Any, expected: str) -> str:
    """Return what to write if a declaration was given itself instead of its name."""
    named_by = _NAMED_BY.get(type(value).__name__)
    if not named_by or named_by not in expected:
        return ""
    return f": name it with {named_by}({value.name!r})"
