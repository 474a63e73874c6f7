"""What a message offers in the place of a name that nothing has: the nearest few, however many there are."""

from __future__ import annotations

from collections.abc import Collection

_MOST = 5


def suggestions(name: str, known: Collection[str]) -> str:
    """Return what there is instead: all names if they are few, else those that are most like `name`."""
    if not known:
        return "there are none"
    if len(known) <= _MOST:
        return f"there are: {', '.join(sorted(known))}"
    # Only an error needs it.
    from difflib import get_close_matches

    near = get_close_matches(name, known, _MOST)
    if near:
        return f"the nearest of {len(known)}: {', '.join(near)}"
    return f"there are {len(known)}, such as {', '.join(sorted(known)[:_MOST])}"
