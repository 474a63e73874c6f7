"""Edges of the graph that doit cannot see, since it matches paths of dependencies and targets literally."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeVar

from doit.task import Stream, Task
from msgspec import Struct

from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY
from bundlepipe.pipeline.declared.paths import Ignores, absolute, ancestors, below, is_excluded, normalise
from bundlepipe.pipeline.records.state import is_record

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.ci import CI

Node = TypeVar("Node", bound=Hashable)

EDGES = "edges"
REFUSAL = "refusal"
# The name of the one private task whose uptodate object is GeneratedInputs.
GENERATED_INPUTS = "_generated_inputs"
# The highest verbosity of doit.
_ALL_OUTPUT = 2


class PipelineTask(Task):  # type: ignore[misc]
    """A task whose late edges come, by its name, from a private `calc_dep` task that finds them for all.

    `pipeline` is the prefix of its pipeline. `refusal` says why it must not run, if its inputs
    cannot be complete; `directory` is a directory that it makes with everything in it. `is_in_run`
    says whether a run has come to it: other commands, which only look at it, change nothing.
    `has_late_edges` is for those: edges are not found twice. If a run has more tasks than a screen
    has lines, it `is_told_briefly`, unless `doit -v 2` `wants_all`. If the run `is_reported`, its costs are
    measured. `reads` are the declared inputs of the task. The task that stands for the pipeline has the paths
    of the `reports` that it declares, and of its `lock_file`, the settings of `ci`, the name of the `shard`
    that the run does, and the identity of the saved `plan` that it carries out.
    """

    refusal: str | None = None
    directory: str | None = None
    is_in_run = False
    has_late_edges = False
    is_told_briefly = False
    wants_all = False
    is_reported = False
    reads: Sequence[Reads] = ()
    reports: Sequence[str] = ()
    lock_file: str | None = None
    shard: str | None = None
    plan: str | None = None
    ci: CI | None = None

    def __init__(self, *arguments: Any, pipeline: str = "", **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.pipeline = pipeline

    def update_deps(self, deps: Mapping[str, Any]) -> None:
        """Add this task's edges, or the reason for its refusal."""
        found = deps.get(EDGES, {}).get(self.name, {})
        self.refusal = found.get(REFUSAL, self.refusal)
        super().update_deps(found)

    def overwrite_verbosity(self, stream: Stream) -> None:
        """Detect a run: only a run calls this, before it checks whether the task is up to date."""
        self.is_in_run = True
        if stream.force_global and stream.verbosity >= _ALL_OUTPUT:
            self.is_told_briefly, self.wants_all = False, True
        super().overwrite_verbosity(stream)


class Reads(Struct, frozen=True):
    """The paths that a task reads, except those that `exclude` names or ignores below them."""

    task_name: str
    paths: Sequence[str]
    exclude: Sequence[str] | Ignores = ()

    def includes(self, path: str, target: str) -> bool:
        """Return whether the task reads something made at `target`, which is inside `path`."""
        name = below(target, path)
        return not (self.exclude(name) if callable(self.exclude) else is_excluded(name, self.exclude))


def is_bundles_own(name: str) -> bool:
    """Return whether a path is in a bundle's own directory, which is not searched for images."""
    return BUNDLE_DIRECTORY in name.split("/")


def found_edges(search: Task, name: str) -> Iterator[str]:
    """Yield the edges that a private `calc_dep` task has found so far for the task of this name."""
    found = (search.values or {}).get(EDGES, {}).get(name, {})
    yield from (*found.get("task_dep", ()), *found.get("calc_dep", ()))


def reached(starts: Iterable[Node], edges: Callable[[Node], Iterable[Node]]) -> set[Node]:
    """Return all that tasks need, by their names or numbers, including themselves."""
    waiting, seen = list(starts), set[Node]()
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting.extend(edges(one))
    return seen


def needed_first(starts: Iterable[Node], edges: Callable[[Node], Iterable[Node]]) -> list[Node]:
    """Return tasks and all that they need in the order of the edges, each once and after what it needs."""
    found = dict[Node, None]()
    seen = set[Node]()
    waiting = [*starts][::-1]
    while waiting:
        one = waiting[-1]
        if one in seen:
            found.setdefault(waiting.pop())
        else:
            seen.add(one)
            waiting += [other for other in edges(one) if other not in seen][::-1]
    return list(found)


def needs_among(
    names: Iterable[str], direct: Callable[[str], Iterable[str]], is_shown: Callable[[str], bool]
) -> dict[str, list[str]]:
    """Return, for each name, what it needs of those that are shown, directly or through ones that are not."""
    through: dict[str, frozenset[str]] = {}

    def found(name: str) -> frozenset[str]:
        seen, waiting, shown = {name}, list(direct(name)), set[str]()
        while waiting:
            other = waiting.pop()
            if other in seen:
                continue
            seen.add(other)
            if is_shown(other):
                shown.add(other)
            elif other in through:
                shown |= through[other]
            else:
                waiting.extend(direct(other))
        return frozenset(shown - {name})

    result: dict[str, list[str]] = {}
    for name in names:
        for other in direct(name):
            # Many tasks need the same groups and private tasks.
            if not is_shown(other) and other not in through:
                through[other] = found(other)
        result[name] = sorted(found(name))
    return result


def find_cycle(edges: Callable[[str], Iterable[str]], starts: Iterable[str]) -> list[str] | None:
    """Return the tasks of a dependency cycle that can be reached from `starts`, or None.

    doit finds some cycles itself, and hangs on the rest.
    """
    names = list(starts)
    # From a task to its dependencies, so that a cycle is reported in this order.
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(names, ()))
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

    A target concerns a reader if it equals, contains or is inside a path that is read.
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
    """Make users' tasks depend on the pulls that make their `file_dep`: doit knows no files inside a target."""
    made = {task.directory: name for name, task in tasks.items() if isinstance(task, PipelineTask) and task.directory}
    if not made:
        return
    for task in tasks.values():
        if not isinstance(task, PipelineTask):
            around = {ancestor for path in task.file_dep for ancestor in ancestors(normalise(path))}
            task.task_dep += [made[path] for path in sorted(around & made.keys()) if made[path] not in task.task_dep]


def targets_of_others(tasks: Mapping[str, Task], pipeline: str) -> dict[str, str]:
    """Return the targets of users' tasks, and those of other pipelines, with the names of the tasks."""
    return {
        target: name
        for name, other in tasks.items()
        if not isinstance(other, PipelineTask) or other.pipeline != pipeline
        for target in _targets(other)
    }


def _targets(task: Task) -> list[str]:
    if isinstance(task, PipelineTask):
        # Already normalised; records are internal to a pipeline.
        return [target for target in task.targets if not is_record(target)]
    return [normalise(target) for target in task.targets]


def _around(path: str, targets: Mapping[str, str]) -> Iterator[str]:
    return (ancestor for ancestor in ancestors(path) if ancestor in targets)


def _within(path: str, ordered: Sequence[str], reader: Reads) -> Iterator[str]:
    """Yield the targets strictly below a path that the reader does not exclude; there may be hundreds of both."""
    prefix = path.rstrip("/") + "/"
    for target in ordered[bisect_left(ordered, prefix) :]:
        if not target.startswith(prefix):
            return
        if reader.includes(path, target):
            yield target
