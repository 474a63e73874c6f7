"""Normalise paths, since doit matches them literally."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from bundlepipe.filesystem.base_directory import base_directory
from bundlepipe.stores.location import ARCHIVE_PREFIX, LAYOUT_PREFIX

# So that no path exceeds Python's limit of recursion.
_DEEPEST_IN_STEPS = 100

# Says whether a path below one that is read is excluded.
Ignores = Callable[[str], bool]


def normalise(path: str | os.PathLike[str], base: str = "") -> str:
    """Return `path`, which is relative to `base`, relative to the current directory.

    Links in the directories above it are resolved, as they are in the current directory itself; the
    path itself may be a link and stays one.
    """
    joined = os.path.abspath(os.path.join(base_directory(), base, path))
    parent, name = os.path.split(joined)
    real, start = os.path.join(_real_directory(parent), name), os.path.join(base_directory(), "")
    # Nearly all are below it.
    return real[len(start) :] if real.startswith(start) and real != start else os.path.relpath(real, start)


def normal_location(text: str, base: str = "") -> str:
    """Return a local location with its path normalised; anything else unchanged."""
    if text.startswith(ARCHIVE_PREFIX) and text != ARCHIVE_PREFIX and not text.endswith("/"):
        return ARCHIVE_PREFIX + normalise(text.removeprefix(ARCHIVE_PREFIX), base)
    if text.startswith(LAYOUT_PREFIX):
        directory, colon, tag = text.removeprefix(LAYOUT_PREFIX).partition(":")
        return f"{LAYOUT_PREFIX}{normalise(directory, base)}{colon}{tag}" if directory else text
    return text


def normal_exclusion(text: str, base: str = "") -> str:
    """Return an exclusion of a tar file, `tar:FILE` or the path of a lock, with its path normalised."""
    return normal_location(text, base) if text.startswith(ARCHIVE_PREFIX) else normalise(text, base)


def archives_in(texts: Iterable[str]) -> list[str]:
    """Return the paths of those locations that are tar files."""
    return [text.removeprefix(ARCHIVE_PREFIX) for text in texts if text.startswith(ARCHIVE_PREFIX)]


@cache
def _real_directory(path: str) -> str:
    """Return the absolute path of a directory without links: they do not change while a pipeline is loaded."""
    parent, name = os.path.split(path)
    if not name:
        return path
    if path.count("/") > _DEEPEST_IN_STEPS:
        return os.path.realpath(path)
    # Thousands of bundles have few directories above them.
    real = os.path.join(_real_directory(parent), name)
    return os.path.realpath(real) if os.path.islink(real) else real


def absolute(path: str) -> str:
    """Return the absolute path, to compare paths by."""
    return os.path.abspath(os.path.join(base_directory(), path))


def is_within(path: str, directory: str) -> bool:
    """Return whether `path` is `directory` or is below it; both normalised."""
    if not (path.startswith(("/", "..")) or directory.startswith(("/", "."))):
        return path == directory or path.startswith(f"{directory}/")
    path, directory = absolute(path), absolute(directory)
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def below(path: str, directory: str) -> str:
    """Return `path`, which is in `directory`, relative to it; `.` for the directory itself."""
    return os.path.relpath(absolute(path), absolute(directory))


def ancestors(path: str) -> Iterator[str]:
    """Yield the path itself and every directory above it, the nearest first; for a relative one down to `.`."""
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
    """Return whether a path relative to an input is excluded from a layer, itself or with a directory above it."""
    excluded = frozenset(exclude)
    return any(ancestor in excluded for ancestor in ancestors(name))
