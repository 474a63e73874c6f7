"""What is watched: the inputs of the tasks of a run, and which changes of files concern them.

A process that loads the tasks collects them, and sends them to the one that watches.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.filesystem.base_directory import paths_from
from bundlepipe.filesystem.files import is_incoming
from bundlepipe.pipeline.declared.paths import ancestors
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.pipeline.running.edges import Reads
from bundlepipe.pipeline.watching.links import Links
from bundlepipe.pipeline.watching.patterns import Patterns

_NEVER = frozenset({".git", STATE_DIRECTORY})


class Inputs(Struct, frozen=True):
    """The inputs of the tasks of a run in `directory`, an absolute path.

    `reads` are files and directories that tasks read. `definitions` are the absolute paths of files that define
    the tasks: dodo.py and what it imports, pipeline files, doit's settings. `patterns`, relative to the directory,
    are those of includes. `outputs` are the absolute paths of files and directories that only tasks write.
    `of_others` are the absolute paths of the `file_dep` of users' own tasks, which doit looks at after they ran.
    """

    directory: str
    reads: Sequence[Reads] = ()
    definitions: frozenset[str] = frozenset()
    patterns: Sequence[str] = ()
    outputs: frozenset[str] = frozenset()
    of_others: frozenset[str] = frozenset()

    def with_definitions(self, other: Inputs) -> Inputs:
        """Return these inputs with further definitions, those that could not be read."""
        patterns = sorted({*self.patterns, *other.patterns})
        return replace(self, definitions=self.definitions | other.definitions, patterns=patterns)

    def shown(self, paths: Iterable[str]) -> list[str]:
        """Return absolute paths as messages name them: relative to the directory if they are in it."""
        start = os.path.join(self.directory, "")
        return sorted(path.removeprefix(start) for path in paths)


class Watched:
    """Inputs, indexed by their paths: which directories to watch, and which changes in them count."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self._by_root: dict[str, list[Reads]] = {}
        with paths_from(inputs.directory):
            for read in inputs.reads:
                for path in read.paths:
                    self._by_root.setdefault(os.path.abspath(os.path.join(inputs.directory, path)), []).append(read)
        self._ordered = sorted({*self._by_root, *inputs.definitions})
        self._patterns = Patterns(inputs.directory, inputs.patterns)
        self._links = Links()

    def definitions_among(self, paths: Iterable[str]) -> set[str]:
        """Return the changed paths that may change the tasks themselves; a directory does with what is in it."""
        return {path for path in paths if self._defines(path)}

    def relevant(self, paths: Iterable[str]) -> set[str]:
        """Return the changed absolute paths that concern the tasks, as these name them; those given have no links."""
        with paths_from(self.inputs.directory):
            return {
                path
                for path in self._links.named(paths)
                if not self._is_never_read(path) and (self._defines(path) or self._is_read(path))
            }

    def directories(self) -> set[str]:
        """Return the existing directories, without links, in which changes would count, each for its own entries alone.

        They include those above the inputs, up to the directory of the run: they may vanish and come back; and
        those of what the inputs are links to.
        """
        self._links = links = Links()
        found: set[str] = set()
        with paths_from(self.inputs.directory):
            for root, reads in self._by_root.items():
                found.update(map(links.real, self._above(root)))
                if os.path.isdir(root):
                    self._walk(root, reads, found)
        for path in self.inputs.definitions:
            found.update(map(links.real, self._above(path)))
        for path in self._ordered:
            found.update(links.follow(path))
        for directory in self._patterns.directories():
            if not self._is_never_read(directory) and directory not in self.inputs.outputs:
                found.add(links.real(directory))
        for root in self._patterns.roots():
            found.update(map(links.real, self._above(os.path.join(root, "any"))))
        return found

    def _defines(self, path: str) -> bool:
        return (
            path in self.inputs.definitions
            or self._patterns.has(path)
            or any(_is_below(definition, path) for definition in self.inputs.definitions)
        )

    def _is_read(self, path: str) -> bool:
        around = list(ancestors(path))
        if not self.inputs.outputs.isdisjoint(around):
            return False
        return _has_below(path, self._ordered) or any(
            path == root or any(read.includes(root, path) for read in self._by_root[root])
            for root in around
            if root in self._by_root
        )

    def _is_never_read(self, path: str) -> bool:
        start = os.path.join(self.inputs.directory, "")
        is_own = path.startswith(start) and not _NEVER.isdisjoint(path.removeprefix(start).split(os.sep))
        return is_own or is_incoming(path)

    def _above(self, path: str) -> Iterator[str]:
        """Yield the directories above a path: all in that of the run, or else the nearest one."""
        if path == self.inputs.directory:
            return
        start = os.path.join(self.inputs.directory, "")
        for directory in list(ancestors(path))[1:]:
            if os.path.isdir(directory):
                yield directory
                if not directory.startswith(start):
                    return

    def _walk(self, root: str, reads: Collection[Reads], found: set[str]) -> None:
        """Add a directory and those below it which some task reads; they may change meanwhile."""
        waiting, seen = [root], set[str]()
        while waiting:
            directory = waiting.pop()
            real = self._links.real(directory)
            if real in seen:
                continue
            seen.add(real)
            found.add(real)
            try:
                children = [child for child in os.scandir(directory) if child.is_dir() or child.is_symlink()]
            except OSError:
                continue  # it vanished, which its parent tells, or must not be read, which a run tells
            for child in children:
                if (
                    child.name not in _NEVER
                    and child.path not in self.inputs.outputs
                    and any(read.includes(root, child.path) for read in reads)
                ):
                    if child.is_symlink():
                        found.update(self._links.follow(child.path))
                    if child.is_dir():
                        waiting.append(child.path)


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(os.path.join(directory, ""))


def _has_below(directory: str, ordered: Sequence[str]) -> bool:
    """Return whether one of some ordered paths is below a directory."""
    start = os.path.join(directory, "")
    position = bisect_left(ordered, start)
    return position < len(ordered) and ordered[position].startswith(start)
