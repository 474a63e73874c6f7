"""A view of the file system in which some files have another content: that which a run would write.

As in Linux's overlayfs there is a lower tree, the real one, which is never written to, and an upper one with
the files that differ. The upper tree lies in a directory of its own, by absolute paths.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class Unforeseen(Exception):
    """A plan cannot know this before it is done. Not a fault, so whatever handles faults leaves it alone."""


class Overlay:
    """The files that differ, below the directory `upper`, which has to exist."""

    def __init__(self, upper: str) -> None:
        self._upper = os.path.abspath(upper)
        self._removed: set[str] = set()
        # The absolute paths that were written to, in order.
        self.writes: list[str] = []

    def seen(self, path: str) -> str:
        """Return the path of what is seen at `path`, which need not exist."""
        absolute = os.path.abspath(path)
        upper = self._upper + absolute
        if absolute in self._removed:
            return upper
        is_merged = os.path.isdir(upper) and os.path.isdir(path)
        return upper if os.path.lexists(upper) and not is_merged else path

    def written(self, path: str) -> str:
        """Return the path to write to for a file that will be seen at `path`; its directory exists then."""
        absolute = os.path.abspath(path)
        self._removed.discard(absolute)
        self.writes.append(absolute)
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

    def entries(self, directory: str) -> list[os.DirEntry[str]]:
        """Return the entries that are seen in a directory; OSError if it cannot be read."""
        absolute = os.path.abspath(directory)
        found: dict[str, os.DirEntry[str]] = {}
        places = [place for place in (directory, self._upper + absolute) if os.path.isdir(place)] or [directory]
        for place in places:
            with os.scandir(place) as entries:
                found.update((entry.name, entry) for entry in entries if entry.name not in found or entry.is_file())
        return [entry for name, entry in found.items() if os.path.join(absolute, name) not in self._removed]


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
