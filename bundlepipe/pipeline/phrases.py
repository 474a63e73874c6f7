"""Phrases that several lines of output have in common. Uses nothing: every run imports it."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 3


def few(items: Sequence[str]) -> str:
    """Return items as one phrase: the first few, and how many there are besides."""
    rest = len(items) - _MOST
    shown = ", ".join(items[:_MOST])
    return f"{shown} and {rest} more" if rest > 0 else shown


def counted(count: int, thing: str) -> str:
    """Return a number of things: `no requests`, `1 request`, `2 requests`."""
    return f"{count or 'no'} {thing}{'' if count == 1 else 's'}"
