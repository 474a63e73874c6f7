"""Links on the way to inputs: the system tells of changes by real paths, and tasks name their inputs by others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

# As many as Linux follows for one path.
_MOST_LINKS = 40


class Links:
    """The links that inputs are behind: which directories to watch for them, and which inputs a change concerns."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}
        # By real path: directories, under which changes have another name, and single files or links.
        self._directories: dict[str, set[str]] = {}
        self._single: dict[str, set[str]] = {}

    def real(self, directory: str) -> str:
        """Return the absolute path of a directory without links; changes in it get the name given here as well."""
        found = self._real.get(directory)
        if found is None:
            parent, name = os.path.split(directory)
            # Most are below others that were looked up.
            above = self._real.get(parent)
            is_simple = above is not None and not os.path.islink(directory)
            found = os.path.join(above or "", name) if is_simple else os.path.realpath(directory)
            self._real[directory] = found
            if found != directory:
                self._directories.setdefault(found, set()).add(directory)
        return found

    def follow(self, path: str) -> Iterator[str]:
        """Note that changes of what an absolute path is a link to concern it; yield the real directories to watch."""
        passed = [place for place in _passed(path) if place != path]
        for place in passed:
            self._single.setdefault(place, set()).add(path)
            yield _nearest(os.path.dirname(place))

    def named(self, paths: Iterable[str]) -> set[str]:
        """Return real paths that changed, and all by which inputs name them."""
        found = set(paths)
        for path in tuple(found):
            parent, name = os.path.split(path)
            found.update(self._directories.get(path, ()))
            found.update(os.path.join(directory, name) for directory in self._directories.get(parent, ()))
            start = os.path.join(path, "")
            for place, names in self._single.items():
                if place == path or place.startswith(start):
                    found |= names
        return found


def _passed(path: str) -> Iterator[str]:
    """Yield the links that an absolute path leads through and then what it leads to; nothing if there are none.

    Those at the top of the file system do not count: no one changes them while working.
    """
    done, rest, count = os.sep, path.split(os.sep), 0
    while rest:
        name = rest.pop(0)
        if name in ("", os.curdir):
            continue
        if name == os.pardir:
            done = os.path.dirname(done)
            continue
        place = os.path.join(done, name)
        try:
            target = os.readlink(place) if count < _MOST_LINKS else None
        except OSError:
            target = None
        if target is None:
            done = place
            continue
        count += 1
        if done != os.sep:
            yield place
        rest = [*target.split(os.sep), *rest]
        done = os.sep if os.path.isabs(target) else done
    if count:
        yield done


def _nearest(directory: str) -> str:
    """Return the directory, or the nearest one above it that exists."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
