"""Git's conflict marks in a file, including its styles `diff3` and `zdiff3`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from bundlepipe.documents.yaml.fault import MOST_FAULTS, Fault, shown

# At least seven characters: the attribute `conflict-marker-size` allows more.
_MARKER = re.compile(r"(?:<{7,}|\|{7,}|={7,}|>{7,})(?: .*)?")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_BEGINNING = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})", re.MULTILINE)


def conflict_faults(text: str, advice: str) -> list[Fault]:
    """Return a fault for each conflict in a text, or for the first stray mark.

    At most a thousand. `advice` says how to fix it.
    """
    marks = _marks(text)
    first = list(islice(marks, 1))
    begun = (mark for mark in chain(first, marks) if mark[1].startswith("<"))
    told = list(islice(begun, MOST_FAULTS)) or first
    return [Fault(number, 1, f"a merge conflict that git left here ({shown(line)}): {advice}") for number, line in told]


def _marks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are marks, with their numbers."""
    if not _BEGINNING.search(text.replace("\r", "\n")):
        return
    for number, match in enumerate(_LINE.finditer(text), start=1):
        if _MARKER.fullmatch(line := match[0].rstrip()):
            yield number, line


def without_conflicts(text: str) -> str:
    """Return a text without the lines of its conflicts, which may be nested; unmatched marks stay."""
    kept, depth = [], 0
    for line in text.splitlines(keepends=True):
        is_mark = _MARKER.fullmatch(line.rstrip()) is not None
        if is_mark and line.startswith("<"):
            depth += 1
        elif is_mark and depth and line.startswith(">"):
            depth -= 1
        elif not depth:
            kept.append(line)
    return "".join(kept)


def sides_of(text: str) -> tuple[str, str]:
    """Return our side and their side of a text with conflicts."""
    sides: tuple[list[str], list[str]] = [], []
    # The sides that the following lines belong to; none for those of the base, which the style `diff3`
    # shows.
    having = {"<": (0,), "|": (), "=": (1,), ">": (0, 1)}
    current: tuple[int, ...] = (0, 1)
    for line in text.splitlines(keepends=True):
        if _MARKER.fullmatch(line.rstrip()):
            current = having[line[0]]
        else:
            for side in current:
                sides[side].append(line)
    return "".join(sides[0]), "".join(sides[1])


def both_sides(ours: bytes, theirs: bytes) -> bytes:
    """Return a single conflict, between git's marks, of two whole files."""
    return b"<<<<<<< ours\n" + _ended(ours) + b"=======\n" + _ended(theirs) + b">>>>>>> theirs\n"


def _ended(content: bytes) -> bytes:
    return content if not content or content.endswith(b"\n") else content + b"\n"
