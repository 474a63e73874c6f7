"""Suggestions for a mistyped name in messages: the nearest few existing names."""

from __future__ import annotations

from collections.abc import Collection

from bundlepipe.errors import quoted

_MOST = 5


def suggestions(name: str, known: Collection[str]) -> str:
    """Return the existing names: all if they are few, else those most similar to `name`."""
    if not known:
        return "there are none"
    if len(known) <= _MOST:
        return f"there are: {', '.join(sorted(known))}"
    # Only errors need this import.
    from difflib import get_close_matches

    near = get_close_matches(name, known, _MOST)
    if near:
        return f"the nearest of {len(known)}: {', '.join(near)}"
    return f"there are {len(known)}, such as {', '.join(sorted(known)[:_MOST])}"


def no_such_task(text: str, names: Collection[str]) -> str:
    """Return the error for a text that is neither a task nor a target, given the names of all tasks."""
    known = [name for name in names if not name.startswith("_")]
    return f"{quoted(text)}: there is no such task, and no task makes it; {suggestions(text, known)}"
