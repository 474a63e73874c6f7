"""Spell fields and values in messages as the author of a declaration does: in YAML, or in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bundlepipe.pipeline.declared.fields.types import fields_of
from bundlepipe.pipeline.declared.model import Named
from bundlepipe.pipeline.declared.position import Position

_Value = str | bool | Named | Sequence[str | Named]


class _Declared(Protocol):
    """A declaration, which has a position if it is in a pipeline file."""

    @property
    def where(self) -> Position | None: ...


def field_name(thing: _Declared, name: str) -> str:
    """Return the key of a declaration's field in YAML, its `name` in Python."""
    if thing.where is None:
        return name
    return next(field.key or name for field in fields_of(type(thing)) if field.name == name)


def setting(thing: _Declared, name: str, value: _Value) -> str:
    """Return what to write in a declaration: `'push: a/b'`, or `push='a/b'`."""
    written = spelled(value, in_python=thing.where is None)
    return f"{name}={written}" if thing.where is None else f"'{field_name(thing, name)}: {written}'"


def spelled(value: _Value, *, in_python: bool) -> str:
    """Return a value in the syntax of Python, or of YAML."""
    if isinstance(value, Named):
        return f"{type(value).__name__}({value.name!r})" if in_python else f"{{{value.kind}: {value.name}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(spelled(item, in_python=in_python) for item in value)}]"
    if in_python:
        return repr(value)
    return str(value).lower() if isinstance(value, bool) else value
