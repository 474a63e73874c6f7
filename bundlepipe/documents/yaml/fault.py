"""Faults in a document with their positions, and how messages show values.

Used by everything that reads a document; imports neither a YAML library nor jsonschema.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bundlepipe.errors import quoted, shortened

_LONGEST_VALUE = 60
_LONGEST_REASON = 400
_MOST_CHOICES = 12
_MOST_TOLD = 200
# The most that is reported: more than a user fixes at once; a malicious document may have many thousands.
MOST_FAULTS = 1000


class Fault(NamedTuple):
    """A fault at a position of a document; line and column count from 1."""

    line: int
    column: int
    text: str


def rendered(path: str, faults: Iterable[Fault]) -> list[str]:
    """Return `path:line:column: text` for each fault, in the order of the document, each once.

    Of many only the first ones, and a line saying that there are more.
    """
    ordered = sorted(set(faults))
    lines = [f"{path}:{fault.line}:{fault.column}: {fault.text}" for fault in ordered[:_MOST_TOLD]]
    return [*lines, f"{path}: there are further faults"] if len(ordered) > _MOST_TOLD else lines


def shown(text: str) -> str:
    """Return a faulty text as messages show it: quoted, on one line, shortened."""
    return quoted(text, _LONGEST_VALUE)


def reason(error: Exception) -> str:
    """Return the message of an error about a value, on one line and of bounded length."""
    return shortened(str(error), _LONGEST_REASON)


def kind(value: Any) -> str:
    """Describe a value for messages: `a list`, `'text'`, `5`."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return shortened(repr(value), _LONGEST_VALUE)
    return "a mapping" if isinstance(value, dict) else "a list"


def choices(names: Sequence[str]) -> str:
    """Return `'a'`, or `one of 'a', 'b'`, shortened if there are many."""
    quoted = [shown(name) for name in names[:_MOST_CHOICES]]
    if len(names) > _MOST_CHOICES:
        quoted.append("…")
    return quoted[0] if len(quoted) == 1 else "one of " + ", ".join(quoted)


def similar(name: str, names: Iterable[str]) -> str | None:
    """Return the name in `names` that a mistyped `name` most probably means, if any is close."""
    if len(name) > _LONGEST_VALUE:
        return None
    import difflib

    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None
