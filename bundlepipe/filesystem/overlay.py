"""A view of the file system in which some files have another content: that which a run would write.

As in Linux's overlayfs there is a lower tree, the real one, which is never written to, and an upper one with
the files that differ. The upper tree lies in a directory of its own, by absolute paths.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Literal, NamedTuple

_CHUNK = 1 << 20


class Unforeseen(Exception):
    """A plan cannot know this before it is done. Not a fault, so whatever handles faults leaves it alone."""


class Write(NamedTuple):
    """What happens to the file at an absolute path."""

    path: str
    change: Literal["created", "changed", "removed"]


class Overlay:
    """The files that differ, in the directory `room`, which has to exist.

    If it `stands_in`, what is not foreseen is replaced by something that depends on the same input, to compare two
    trees of files: it differs if and only if the input does. `stood_in` counts these.
    """

    def __init__(self, room: str, *, stands_in: bool = False) -> None:
        self.stands_in = stands_in
        self.stood_in = 0
        self._room = os.path.abspath(room)
        self._upper = os.path.join(self._room, "upper")
        self._removed: set[str] = set()
        # Directories of which nothing is seen but what is in the upper tree.
        self._replaced: set[str] = set()
        self._numbers = count()
        # In order.
        self.writes: list[Write] = []

    def seen(self, path: str) -> str:
        """Return the path of what is seen at `path`, which need not exist."""
        absolute = os.path.abspath(path)
        if self._is_inside(absolute):
            return path
        upper = self._upper + absolute
        if absolute in self._removed or self._is_replaced(absolute):
            return upper
        is_merged = os.path.isdir(upper) and os.path.isdir(path)
        return upper if os.path.lexists(upper) and not is_merged else path

    def given(self, path: str) -> str:
        """Return the path at which a file is seen, from one that was returned for it."""
        return path.removeprefix(self._upper) if path.startswith(f"{self._upper}/") else path

    def written(self, path: str) -> str:
        """Return the path to write to for a file that will be seen at `path`; its directory exists then."""
        absolute = os.path.abspath(path)
        if self._is_inside(absolute):
            return path
        self.writes.append(Write(absolute, "changed" if os.path.lexists(self.seen(path)) else "created"))
        self._removed.discard(absolute)
        upper = self._upper + absolute
        os.makedirs(os.path.dirname(upper), exist_ok=True)
        return upper

    def remove(self, path: str) -> None:
        """Let no file be seen at `path` from now on; FileNotFoundError if there is none now."""
        seen, absolute = self.seen(path), os.path.abspath(path)
        os.lstat(seen)
        if seen == self._upper + absolute:
            os.remove(seen)
        self._removed.add(absolute)
        self.writes.append(Write(absolute, "removed"))

    def new_directory(self) -> str:
        """Return a new, empty directory that is not seen anywhere yet."""
        directory = os.path.join(self._room, f"incoming-{next(self._numbers)}")
        # With the mode of a directory that a run makes.
        os.mkdir(directory)
        return directory

    def replace_directory(self, path: str, incoming: str) -> None:
        """Let the content of `incoming`, one of the new directories, be seen at `path`, and nothing else there."""
        absolute = os.path.abspath(path)
        before, now = self._files_seen(absolute), dict(_files_below(incoming))
        for name in sorted(before.keys() | now.keys()):
            if name not in now:
                self.writes.append(Write(os.path.join(absolute, name), "removed"))
            elif name not in before:
                self.writes.append(Write(os.path.join(absolute, name), "created"))
            elif not _is_same(before[name], now[name]):
                self.writes.append(Write(os.path.join(absolute, name), "changed"))
        upper = self._upper + absolute
        if os.path.lexists(upper):
            shutil.rmtree(upper)
        os.makedirs(os.path.dirname(upper), exist_ok=True)
        os.rename(incoming, upper)
        self._removed = {each for each in self._removed if not f"{each}/".startswith(f"{absolute}/")}
        self._replaced.add(absolute)

    def _files_seen(self, directory: str) -> dict[str, str]:
        """Return where the content is of each file that is seen below a directory, by its path from there."""
        found: dict[str, str] = {}
        waiting = [directory] if os.path.isdir(self.seen(directory)) else []
        while waiting:
            for entry in self.entries(current := waiting.pop()):
                path = os.path.join(current, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                else:
                    found[os.path.relpath(path, directory)] = entry.path
        return found

    def _is_inside(self, absolute: str) -> bool:
        """Return whether a path is one of the overlay's own, as those in new directories are."""
        return absolute.startswith(f"{self._room}/")

    def _is_replaced(self, absolute: str) -> bool:
        if not self._replaced:
            return False
        while absolute not in self._replaced:
            absolute, below = os.path.dirname(absolute), absolute
            if absolute == below:
                return False
        return True

    def entries(self, directory: str) -> list[os.DirEntry[str]]:
        """Return the entries that are seen in a directory; OSError if it cannot be read."""
        absolute = os.path.abspath(directory)
        found: dict[str, os.DirEntry[str]] = {}
        upper = self._upper + absolute
        lower = () if self._is_replaced(absolute) else (directory,)
        places = [place for place in (*lower, upper) if os.path.isdir(place)] or [*lower, upper][:1]
        for place in places:
            with os.scandir(place) as entries:
                found.update((entry.name, entry) for entry in entries if entry.name not in found or entry.is_file())
        return [entry for name, entry in found.items() if os.path.join(absolute, name) not in self._removed]


def _files_below(directory: str) -> Iterator[tuple[str, str]]:
    """Yield the path from there, and the path, of everything below a directory but directories."""
    for current, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(current, name)
            yield os.path.relpath(path, directory), path


def _is_same(one: str, other: str) -> bool:
    """Return whether two files have the same type, mode and content."""
    first, second = os.lstat(one), os.lstat(other)
    if first.st_mode != second.st_mode or first.st_size != second.st_size or not stat.S_ISREG(first.st_mode):
        return False
    with open(one, "rb") as left, open(other, "rb") as right:
        while chunk := left.read(_CHUNK):
            if chunk != right.read(_CHUNK):
                return False
    return True


# For the whole process: threads that a plan starts see the same files.
_active: list[Overlay] = []


@contextmanager
def overlaid(overlay: Overlay) -> Iterator[None]:
    """See the files of an overlay, and write into it, within the context."""
    _active.append(overlay)
    try:
        yield
    finally:
        _active.remove(overlay)


def active_overlay() -> Overlay | None:
    """Return the overlay in use, if there is one."""
    return _active[-1] if _active else None
