"""Edges of the graph that doit cannot see, since it matches dependency and target strings literally."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from doit.task import Stream, Task

from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY
from bundlepipe.pipeline.declared.paths import Ignores, absolute, ancestors, below, is_excluded, normalise
from bundlepipe.pipeline.records.state import STATE_DIRECTORY

EDGES = "edges"
REFUSAL = "refusal"
# The name of the one private task whose uptodate object is GeneratedInputs.
GENERATED_INPUTS = "_generated_inputs"
# The highest verbosity of doit.
_ALL_OUTPUT = 2


class PipelineTask(Task):  # type: ignore[misc]
    """A task whose late edges are picked by name from what a private `calc_dep` task found for all.

    `pipeline` is the prefix of the pipeline that it is of. `refusal` says why it must not run,
    where its inputs cannot be complete; `directory` is what it makes with all that will be in there.
    `is_in_run` tells whether a run has come to it: other commands, which only look at it,
    change nothing. `has_late_edges` is for these: they are not found twice. Where a run has
    more tasks than a screen has lines, `is_told_briefly`, unless `doit -v 2` `wants_all`.
    """

    refusal: str | None = None
    directory: str | None = None
    is_in_run = False
    has_late_edges = False
    is_told_briefly = False
    wants_all = False

    def __init__(self, *arguments: Any, pipeline: str = "", **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.pipeline = pipeline

    def update_deps(self, deps: Mapping[str, Any]) -> None:
        """Take this task's edges, or why there can be none."""
        found = deps.get(EDGES, {}).get(self.name, {})
        self.refusal = found.get(REFUSAL, self.refusal)
        super().update_deps(found)

    def overwrite_verbosity(self, stream: Stream) -> None:
        """Take what a run, and nothing but a run, says before it looks whether the task is up to date."""
        self.is_in_run = True
        if stream.force_global and stream.verbosity >= _ALL_OUTPUT:
            self.is_told_briefly, self.wants_all = False, True
        super().overwrite_verbosity(stream)


@dataclass(frozen=True)
class Reads:
    """The paths that a task reads, less what `exclude` names or ignores below them."""

    task_name: str
    paths: Sequence[str]
    exclude: Sequence[str] | Ignores = ()

    def includes(self, path: str, target: str) -> bool:
        """Tell whether something made at `target`, which lies within `path`, is among what the task reads."""
        name = below(target, path)
        return not (self.exclude(name) if callable(self.exclude) else is_excluded(name, self.exclude))


def is_bundles_own(name: str) -> bool:
    """Tell whether a path is in a bundle's own directory, where nobody searches for images."""
    return BUNDLE_DIRECTORY in name.split("/")


def found_edges(search: Task, name: str) -> Iterator[str]:
    """Yield what a private `calc_dep` task has found so far that has to come before the task of this name."""
    found = (search.values or {}).get(EDGES, {}).get(name, {})
    yield from (*found.get("task_dep", ()), *found.get("calc_dep", ()))


def reached(start: str, edges: Callable[[str], Iterable[str]]) -> set[str]:
    """Return the names of all tasks that a task needs, itself included."""
    waiting, seen = [start], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(edges(name))
    return seen


def find_cycle(edges: Callable[[str], Iterable[str]], starts: Iterable[str]) -> list[str] | None:
    """Return the tasks of a circle of dependencies that can be reached from `starts`, or None.

    doit finds some circles itself, and waits for ever on the rest.
    """
    names = list(starts)
    # From a task to what it needs, so that a circle is told in this order.
    order = TopologicalSorter[str](dict.fromkeys(names, ()))
    seen = set[str]()
    for name in names:
        if name not in seen:
            seen.add(name)
            for needed in edges(name):
                order.add(needed, name)
                names.append(needed)
    try:
        order.prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def producers(reads: Sequence[Reads], targets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (task, producer) for every task that reads what another one makes; `targets` maps paths to tasks.

    A target concerns a reader when it equals, holds or lies in a path that is read.
    """
    yield from ((reader, producer) for reader, producer, _ in found_outputs(reads, targets))


def found_outputs(reads: Sequence[Reads], targets: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield (task, producer, path) as `producers` does, once for each pair, with one of the paths."""
    by_path = {absolute(target): producer for target, producer in targets.items()}
    ordered = sorted(by_path)
    for reader in reads:
        found = {
            by_path[target]: target
            for path in map(absolute, reader.paths)
            for target in (*_around(path, by_path), *_within(path, ordered, reader))
        }
        for producer in sorted(found.keys() - {reader.task_name}):
            yield reader.task_name, producer, found[producer]


def depend_on_directories(tasks: Mapping[str, Task]) -> None:
    """Let the user's own tasks wait for the pulls that bring their `file_dep`: doit knows no files inside a target."""
    made = {task.directory: name for name, task in tasks.items() if isinstance(task, PipelineTask) and task.directory}
    if not made:
        return
    for task in tasks.values():
        if not isinstance(task, PipelineTask):
            around = {ancestor for path in task.file_dep for ancestor in ancestors(normalise(path))}
            task.task_dep += [made[path] for path in sorted(around & made.keys()) if made[path] not in task.task_dep]


def targets_of_others(tasks: Mapping[str, Task], pipeline: str) -> dict[str, str]:
    """Return what the user's own tasks, and those of other pipelines, make, with the names of these."""
    return {
        target: name
        for name, other in tasks.items()
        if not isinstance(other, PipelineTask) or other.pipeline != pipeline
        for target in _targets(other)
    }


def _targets(task: Task) -> list[str]:
    if isinstance(task, PipelineTask):
        # As they are spelled already; records are for the pipeline itself.
        return [target for target in task.targets if not target.startswith(STATE_DIRECTORY + os.sep)]
    return [normalise(target) for target in task.targets]


def _around(path: str, targets: Mapping[str, str]) -> Iterator[str]:
    return (ancestor for ancestor in ancestors(path) if ancestor in targets)


def _within(path: str, ordered: Sequence[str], reader: Reads) -> Iterator[str]:
    """Yield the targets strictly below a path that the reader does not leave out; there may be hundreds of both."""
    prefix = path.rstrip("/") + "/"
    for target in ordered[bisect_left(ordered, prefix) :]:
        if not target.startswith(prefix):
            return
        if reader.includes(path, target):
            yield target
