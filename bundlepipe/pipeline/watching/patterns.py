"""The patterns of `include`: which changed paths match them, and where paths that do may appear."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

_ANY_DEPTH = "**"


class Patterns:
    """Patterns relative to an absolute directory, with the meaning of Python's glob."""

    def __init__(self, directory: str, patterns: Iterable[str]) -> None:
        start = glob.escape(directory)
        self._parts = [os.path.normpath(os.path.join(start, pattern)).split(os.sep) for pattern in patterns]

    def has(self, path: str) -> bool:
        """Return whether an absolute path exists and matches, or is a directory with something that does."""
        names = path.split(os.sep)
        rests = {rest for parts in self._parts for rest in _rests(names, parts)}
        if any(all(part == _ANY_DEPTH for part in rest) for rest in rests):
            return os.path.lexists(path)
        # Only in there, and only after it changed itself: trees may be large, and most changes are of files.
        return bool(rests) and os.path.isdir(path) and any(_has_below(path, rest) for rest in rests)

    def roots(self) -> Iterator[str]:
        """Yield the directory of each pattern below which all paths are that match, whether or not it exists."""
        for parts in self._parts:
            literal = itertools.takewhile(_is_literal, parts[:-1])
            yield os.sep.join(map(_unescaped, literal)) or os.sep

    def directories(self) -> Iterator[str]:
        """Yield the existing directories in which a path that matches may appear."""
        for parts in self._parts:
            literal = len(list(itertools.takewhile(_is_literal, parts)))
            for length in range(literal, len(parts)):
                # With `recursive`, `**` stands for any number of directories.
                above = os.sep.join([*parts[:length], ""])
                yield from map(os.path.normpath, glob.glob(above, recursive=True))


def _is_literal(part: str) -> bool:
    return glob.escape(_unescaped(part)) == part


def _unescaped(part: str) -> str:
    return re.sub(r"\[([*?[])\]", r"\1", part)


def _rests(names: Sequence[str], parts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield what is left of a pattern, in parts, if the names of a path match its beginning."""
    if not names:
        yield tuple(parts)
    elif parts and parts[0] == _ANY_DEPTH:
        yield from _rests(names, parts[1:])
        if not names[0].startswith("."):
            yield from _rests(names[1:], parts)
    elif parts and _is_match(names[0], parts[0]):
        yield from _rests(names[1:], parts[1:])


def _is_match(name: str, part: str) -> bool:
    # As glob does, which shows hidden files only to patterns that begin with a dot.
    return fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))


def _has_below(directory: str, rest: Sequence[str]) -> bool:
    return next(glob.iglob(os.path.join(glob.escape(directory), *rest), recursive=True), None) is not None
