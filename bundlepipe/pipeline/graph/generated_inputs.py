"""Add edges from a pipeline's tasks to other tasks, users' or other pipelines', that generate their inputs.

All tasks are known only when a run begins, and those of `@create_after` even later, so tasks that may read
their outputs wait until they are created, and are then searched again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from doit.task import Task

from bundlepipe.filesystem.base_directory import paths_from
from bundlepipe.pipeline.declared.paths import normalise
from bundlepipe.pipeline.doit_adapter.internals import Calculator
from bundlepipe.pipeline.graph.delayed import Delayed, delayed_tasks
from bundlepipe.pipeline.records.groups import group_name
from bundlepipe.pipeline.running.edges import (
    EDGES,
    REFUSAL,
    PipelineTask,
    Reads,
    depend_on_directories,
    find_cycle,
    found_edges,
    found_outputs,
    reached,
    targets_of_others,
)
from bundlepipe.pipeline.running.status import is_looked_at

_CREATED = "_inputs_created"

# Further dependencies of a reader, of each kind in doit, or why it is refused.
Late = dict[str, Any]


class GeneratedInputs(Calculator):
    """Finds users' tasks, and those of other pipelines, that generate files which this one's tasks read.

    The uptodate object of one private task that all readers have as `calc_dep`, and of one more for each task that
    is created later.
    """

    def __init__(self, reads: Sequence[Reads], pipeline: str, *, waits: bool = True) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._reads = reads
        self._waits = waits

    def __call__(self, task: Task, values: Mapping[str, Any]) -> bool:
        """Find the edges; always up to date, as this is the work itself."""
        looked_at = is_looked_at(task)
        edges: dict[str, Late] = {}
        with paths_from(self.directory):
            depend_on_directories(self.tasks_dict)  # for tasks that were created since the run began
            targets = targets_of_others(self.tasks_dict, self._pipeline)
            if targets:
                self._connect(edges, targets)
            for delayed in delayed_tasks(self.tasks_dict) if self._waits and not looked_at else ():
                self._wait(edges, delayed)
        task.values = {EDGES: edges}
        if not looked_at:
            self.hand_on(task)
        return True

    def __str__(self) -> str:
        """Return the purpose, for `doit info`."""
        return "a search for the tasks that generate inputs"

    def _connect(self, edges: dict[str, Late], targets: Mapping[str, str]) -> None:
        """Add an edge from each reader to each producer, except those that would close a cycle."""
        found = {(reader, producer): path for reader, producer, path in found_outputs(self._reads, targets)}
        for reader, producer in found:
            edges.setdefault(reader, {"task_dep": []})["task_dep"].append(producer)
        readers = list(edges)
        while cycle := find_cycle(lambda name: self._needs(name, edges), readers):
            closing = next((pair for pair in pairwise(cycle) if pair in found), None)
            if closing is None:
                return  # a cycle of the user's own, which doit reports
            reader, producer = closing
            edges[reader]["task_dep"].remove(producer)
            made = normalise(found[closing])
            edges[reader].setdefault(
                REFUSAL,
                f"{made}, which it reads, is made by task '{producer}', which needs this "
                f"task in turn ({_cycle_from(reader, cycle)}): break the cycle, or exclude that path",
            )
            del found[closing]

    def _wait(self, edges: dict[str, Late], delayed: Delayed) -> None:
        """Let readers wait until tasks are created, and then search again; guard readers that come before."""
        needed = reached([delayed.name], lambda name: self._needs(name, edges))
        concerned = {read.task_name for read in self._reads if delayed.may_make(read)}
        waiting = concerned - needed
        if waiting:
            created = f"{group_name(_CREATED, self._pipeline)}:{delayed.name}"
            finder = GeneratedInputs(self._reads, self._pipeline, waits=False)
            self.tasks_dict.setdefault(created, _creation(created, delayed, finder))
            for reader in waiting:
                edges.setdefault(reader, {"task_dep": []}).setdefault("calc_dep", []).append(created)
        for read in self._reads:
            if read.task_name in needed and (reason := delayed.certainly_makes(read)):
                edges.setdefault(read.task_name, {"task_dep": []}).setdefault(REFUSAL, reason)
        delayed.guard([read for read in self._reads if read.task_name not in waiting], self.tasks_dict, self._pipeline)

    def _needs(self, name: str, edges: Mapping[str, Late]) -> Iterator[str]:
        """Yield the names of a task's dependencies."""
        task, late = self.tasks_dict.get(name), edges.get(name, {})
        if task is not None:
            yield from (*task.task_dep, *task.setup_tasks, *sorted(task.calc_dep))
            # Edges that other pipelines have found but not yet added to their tasks.
            for search in sorted(task.calc_dep & self.tasks_dict.keys()):
                yield from found_edges(self.tasks_dict[search], name)
        yield from (*late.get("task_dep", ()), *late.get("calc_dep", ()))


def _creation(name: str, delayed: Delayed, finder: GeneratedInputs) -> Task:
    """Return a task that makes doit create delayed tasks without running them, and then searches again."""
    return PipelineTask(
        name,
        None,
        doc=f"tasks that generate inputs, created by {delayed.name}",
        uptodate=[finder],
        loader=delayed.shared_loader(),
    )


def _cycle_from(start: str, cycle: Sequence[str]) -> str:
    members = list(cycle[:-1])
    index = members.index(start)
    return " -> ".join([*members[index:], *members[:index], start])
