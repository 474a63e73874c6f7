"""Workflows as YAML for people: with comments and blank lines, in the order given, the same in every run.

Values are quoted as in the YAML that goes into bundles, so that nothing in a value can end it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bundlepipe.documents.yaml.writer import Plain, double_quoted, reads_as_something_else, written_scalar
from bundlepipe.errors import printable

# After its key: a key without a value, as GitHub's events are written.
NOTHING = Plain("")
_LONGEST_LINE = 116
# Texts that need no quotes between brackets either.
_BARE = re.compile(r"-?[A-Za-z0-9_./$][A-Za-z0-9_./$-]*")


class Note:
    """As a key, without a value, or as an item: a comment above what follows; without a text, a blank line."""

    def __init__(self, text: str = "") -> None:
        self.text = text


class InLine(list[Any]):
    """A list that is written on one line if it fits."""


def workflow_text(header: Sequence[str], document: Mapping[Any, Any]) -> str:
    """Return a document of mappings, lists, texts, flags and numbers as YAML, below comments."""
    lines = [*_comment("\n".join(header), ""), "", *_mapping(document, "")]
    return "".join(f"{line}\n" for line in lines)


def _comment(text: str, indent: str) -> list[str]:
    # Whatever a comment has in it, it stays one.
    return [f"{indent}# {printable(line)}".rstrip() for line in text.splitlines()] if text else [""]


def _mapping(value: Mapping[Any, Any], indent: str) -> Iterator[str]:
    for key, child in value.items():
        if isinstance(key, Note):
            yield from _comment(key.text, indent)
            continue
        written = double_quoted(key) if "\n" in key else written_scalar(key, "")
        if _is_filled(child) and (line := _in_line(child, len(indent) + len(written))) is None:
            yield f"{indent}{written}:"
            yield from _collection(child, indent + "  ")
        else:
            text = line if _is_filled(child) else _scalar(child, indent)
            yield f"{indent}{written}: {text}".rstrip(" ")


def _list(value: Sequence[Any], indent: str) -> Iterator[str]:
    for item in value:
        if isinstance(item, Note):
            yield from _comment(item.text, indent)
        elif _is_filled(item):
            first, *rest = _collection(item, indent + "  ")
            yield f"{indent}- {first.removeprefix(indent + '  ')}"
            yield from rest
        else:
            yield f"{indent}- {_scalar(item, indent)}"


def _collection(value: Any, indent: str) -> Iterator[str]:
    return _mapping(value, indent) if isinstance(value, Mapping) else _list(value, indent)


def _scalar(value: Any, indent: str) -> str:
    if isinstance(value, str) and (value == "\n" or value.endswith("\n\n")):
        # Indented, it would also have the empty lines that follow it.
        return double_quoted(value)
    return written_scalar(value, indent + "  ")


def _is_filled(value: Any) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str) and bool(value)


def _in_line(value: Any, before: int) -> str | None:
    """Return a list on one line, None if it is to have several."""
    if not isinstance(value, InLine):
        return None
    line = f"[{', '.join(_between_brackets(item) for item in value)}]"
    return line if before + len(line) <= _LONGEST_LINE else None


def _between_brackets(value: Any) -> str:
    if not isinstance(value, str):
        return written_scalar(value, "")
    if isinstance(value, Plain) or (_BARE.fullmatch(value) and not reads_as_something_else(value)):
        return str(value)
    return double_quoted(value)
