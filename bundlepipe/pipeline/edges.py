"""Edges of the graph that doit cannot see, since it matches dependency and target strings literally."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from doit.dependency import UptodateCalculator
from doit.task import Task

from bundlepipe.pipeline.paths import ancestors, below, is_excluded, is_within, normalise

EDGES = "edges"

_BUNDLE_DIRECTORY = ".imgpkg"
_SEARCHED_EXTENSIONS = ("", ".yml", ".yaml", ".json")


class PipelineTask(Task):  # type: ignore[misc]
    """A task whose late edges are picked by name from what a private `calc_dep` task found for all."""

    def update_deps(self, deps: Mapping[str, Any]) -> None:
        """Take this task's edges."""
        super().update_deps(deps.get(EDGES, {}).get(self.name, {}))


@dataclass(frozen=True)
class Reads:
    """The paths that a task reads; `searches` says that it looks for images only, in YAML and JSON."""

    task_name: str
    paths: Sequence[str]
    exclude: Sequence[str] = ()
    searches: bool = False

    def includes(self, target: str) -> bool:
        """Tell whether something made at `target` is among, or around, what the task reads."""
        return any(self._reaches(path, target) for path in self.paths)

    def _reaches(self, path: str, target: str) -> bool:
        if is_within(path, target):
            return True
        if not is_within(target, path):
            return False
        name = below(target, path)
        if self.searches:
            return _BUNDLE_DIRECTORY not in name.split("/") and os.path.splitext(name)[1] in _SEARCHED_EXTENSIONS
        return not is_excluded(name, self.exclude)


def producers(reads: Sequence[Reads], targets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (task, producer) for every task that reads what another one makes; `targets` maps paths to tasks."""
    for reader in _concerned(reads, targets):
        for target, producer in targets.items():
            if producer != reader.task_name and reader.includes(target):
                yield reader.task_name, producer


class GeneratedInputs(UptodateCalculator):  # type: ignore[misc]
    """Finds the user's own tasks that generate files into what the pipeline's tasks read.

    The uptodate object of one private task that all readers have as `calc_dep`: only when
    a run begins are all tasks known.
    """

    def __init__(self, reads: Sequence[Reads]) -> None:
        super().__init__()
        self._reads = reads
        self._dependencies: Any = None

    def setup(self, dep_manager: Any, tasks_dict: Mapping[str, Task]) -> None:
        """Remember doit's database, from which it hands values on."""
        super().setup(dep_manager, tasks_dict)
        self._dependencies = dep_manager

    def __call__(self, task: Task, values: Mapping[str, Any]) -> bool:
        """Find the edges; always up to date, as this is itself the work."""
        targets = {
            normalise(target): name
            for name, other in self.tasks_dict.items()
            if not isinstance(other, PipelineTask)
            for target in other.targets
        }
        edges: dict[str, dict[str, list[str]]] = {}
        if targets:
            for reader, producer in producers(self._reads, targets):
                edges.setdefault(reader, {"task_dep": []})["task_dep"].append(producer)
        task.values = {EDGES: edges}
        self._dependencies._set(task.name, "_values_:", task.values)
        return True


def _concerned(reads: Sequence[Reads], targets: Mapping[str, str]) -> Iterator[Reads]:
    """Pass by readers that no target can concern: there may be hundreds of both."""
    around = {ancestor for target in targets for ancestor in ancestors(target)}
    for reader in reads:
        if any(path in around or any(parent in targets for parent in ancestors(path)) for path in reader.paths):
            yield reader
