"""Paths as doit matches them: literally, so each is spelled in one way only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator


def normalise(path: str | os.PathLike[str], base: str = "") -> str:
    """Return `path`, which is relative to `base`, relative to the current directory where it lies below it."""
    joined = os.path.normpath(os.path.join(base, os.fspath(path)))
    if os.path.isabs(joined):
        relative = os.path.relpath(joined)
        return joined if relative.startswith("..") else relative
    return joined


def is_within(path: str, directory: str) -> bool:
    """Tell whether `path` is `directory` or lies below it; both normalised."""
    if directory == ".":
        return not path.startswith("..") and not os.path.isabs(path)
    return path == directory or path.startswith(directory + "/")


def below(path: str, directory: str) -> str:
    """Return `path`, which lies within `directory`, relative to it; `.` for the directory itself."""
    if directory == ".":
        return path
    return path[len(directory) + 1 :] or "."


def ancestors(path: str) -> Iterator[str]:
    """Yield the path itself and every directory above it, the nearest first."""
    while True:
        yield path
        parent = os.path.dirname(path)
        if parent == path:
            return
        if not parent:
            yield "."
            return
        path = parent


def is_excluded(name: str, exclude: Iterable[str]) -> bool:
    """Tell whether a path relative to an input is left out of a layer, itself or with a directory above it."""
    excluded = frozenset(exclude)
    return any(ancestor in excluded for ancestor in ancestors(name))
