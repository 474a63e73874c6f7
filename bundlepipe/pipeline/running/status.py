"""The status of tasks for commands that only look at them, which must not change or request anything.

A run knows more about a task when it comes to it: the edges found meanwhile, and the outcomes of a
group's members. Here both are determined without a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from doit.dependency import Dependency
from doit.task import Task

from bundlepipe.pipeline.doit_adapter.internals import LAST_PART, Calculator, calculators
from bundlepipe.pipeline.reasons import Reason, changed_dependency, no_local_record
from bundlepipe.pipeline.running.edges import PipelineTask
from bundlepipe.progress.phrases import few


def is_looked_at(task: Task) -> bool:
    """Return whether a command only looks at a task of a pipeline: no run has come to it."""
    return isinstance(task, PipelineTask) and not task.is_in_run


def take_late_edges(task: Task, dependencies: Dependency, tasks: Mapping[str, Task]) -> None:
    """Give a task that is only looked at the edges that doit otherwise adds only in a run, once."""
    if not is_looked_at(task) or task.has_late_edges:
        return
    task.has_late_edges = True
    for name in sorted(task.calc_dep):
        if not tasks[name].values:
            dependencies.get_status(tasks[name], tasks)
        task.update_deps(tasks[name].values)


def own_reasons(task: Task, dependencies: Dependency) -> list[Reason]:
    """Return why doit found that a user's own task is to run."""
    missing = [target for target in task.targets if not dependencies.checker.exists(target)]
    if not task.file_dep and all(condition is None for condition in calculators(task)):
        return [Reason("noDependencies", task.name, "it has no dependencies, so it always runs")]
    if not dependencies._in(task.name):
        return [no_local_record(task.name)]
    if missing:
        return [Reason("outputMissing", path, f"{path} is missing") for path in missing]
    before = set(dependencies._get(task.name, LAST_PART) or ())
    reasons = [Reason("dependencyAdded", path, f"{path} is new") for path in sorted(task.file_dep - before)]
    reasons += [
        Reason("dependencyRemoved", path, f"{path} is no longer needed") for path in sorted(before - task.file_dep)
    ]
    reasons += [changed_dependency(path) for path in sorted(task.dep_changed or ()) if path in before]
    return reasons or [Reason("conditionFalse", task.name, "its condition (uptodate) is false")]


class GroupStatus(Calculator):
    """A group is up to date if all its members are. In a run, which comes to the members first, it has no opinion."""

    def __init__(self) -> None:
        super().__init__()
        self._stale: list[str] = []

    def __call__(self, task: Task, values: Mapping[str, Any]) -> bool | None:
        """Return whether all members are up to date or ignored; None in a run, where doit uses only the members."""
        if not is_looked_at(task):
            return None
        self._stale = [name for name in task.task_dep if not self._is_fresh(self.tasks_dict[name])]
        return not self._stale

    def __str__(self) -> str:
        """Return which members have to run."""
        return f"the members of the group{f', to be run: {few(self._stale)}' if self._stale else ''}"

    def _is_fresh(self, member: Task) -> bool:
        if self.dependencies.status_is_ignore(member):
            return True
        return bool(self.dependencies.get_status(member, self.tasks_dict).status == "up-to-date")
