"""Phrases shared by several lines of output. Imports nothing, since every run imports it."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 3
# Enough digits for a reader to distinguish digests; files and values hold them whole.
_SHORT_DIGEST = 12
_UNITS = ("B", "kB", "MB", "GB", "TB")


def few(items: Sequence[str]) -> str:
    """Return items as one phrase: the first few, and the number of others."""
    rest = len(items) - _MOST
    shown = ", ".join(items[:_MOST])
    return f"{shown} and {rest} more" if rest > 0 else shown


def counted(count: int, thing: str) -> str:
    """Return a number of things: `no requests`, `1 request`, `2 requests`."""
    return f"{count or 'no'} {thing}{'' if count == 1 else 's'}"


def short(digest: str) -> str:
    """Return a digest shortened for summaries."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:_SHORT_DIGEST]}"


def code_fence(text: str, least: int = 3) -> str:
    """Return at least so many backticks, more than a text has in a row: they enclose it as code in Markdown."""
    import re

    return "`" * max(least, 1 + max((len(run) for run in re.findall("`+", text)), default=0))


def human_size(size: float) -> str:
    """Return a number of bytes in powers of 1000: `512 B`, `23.4 MB`."""
    unit = 0
    # From here on, one decimal would make it 1000.0.
    while size >= 999.95 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} B"
