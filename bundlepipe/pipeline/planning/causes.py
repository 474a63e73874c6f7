"""What follows from what in a plan: the tasks whose results make another one run, down to those of a change."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property

from msgspec import Struct

from bundlepipe.pipeline.planning.plan import Plan, PlannedTask
from bundlepipe.pipeline.reasons import Code, Reason

_OF_TASKS: Collection[Code] = frozenset({"resultChanged", "needsTask", "mayChange", "taskCannotRun"})


class Causes(Struct, frozen=True, dict=True):
    """The causes of the states of a plan's tasks."""

    plan: Plan

    def of(self, task: PlannedTask) -> list[PlannedTask]:
        """Return the tasks that are behind the reasons of a task, in the order of the reasons, each once."""
        found = (self.behind(task, reason) for reason in task.reasons)
        return list({cause.name: cause for cause in found if cause}.values())

    def behind(self, task: PlannedTask, reason: Reason) -> PlannedTask | None:
        """Return the other task that is behind a reason: it is named, or changes the file."""
        name = reason.subject if reason.code in _OF_TASKS else self._made_by.get(reason.subject)
        return self.by_name.get(name) if name and name != task.name else None

    def first(self) -> Iterator[Reason]:
        """Yield the reasons that no other task is behind, each once."""
        seen = set[str]()
        for task in self.plan.tasks:
            for reason in task.reasons:
                if reason.because not in seen and not self.behind(task, reason):
                    seen.add(reason.because)
                    yield reason

    @cached_property
    def by_name(self) -> dict[str, PlannedTask]:
        """The tasks by name."""
        return {task.name: task for task in self.plan.tasks}

    @cached_property
    def _made_by(self) -> dict[str, str]:
        return {file.path: task.name for task in self.plan.tasks for file in task.files}
