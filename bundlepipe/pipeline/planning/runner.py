"""A run that changes nothing: doit's own order and checks, with actions that are foreseen instead of done."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from doit.dependency import Dependency
from doit.exceptions import BaseFail, TaskFailed, UnmetDependency
from doit.runner import Runner
from doit.task import Stream, Task

from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.filesystem.base_directory import base_directory
from bundlepipe.filesystem.overlay import Overlay, Unforeseen
from bundlepipe.pipeline.doit_adapter.internals import save_nothing
from bundlepipe.pipeline.planning.plan import Plan, PlannedTask, State
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.pipeline.running.action import SUMMARY, Action
from bundlepipe.pipeline.running.run import PlannedAccess
from bundlepipe.pipeline.running.staleness import reasons_of


class PlanningRunner(Runner):  # type: ignore[misc]
    """Finds out what doit would do with each task.

    Tasks whose outcome is not foreseen make it open whether the tasks after them run.
    """

    def __init__(self, dependencies: Dependency, reporter: object, access: PlannedAccess, overlay: Overlay) -> None:
        save_nothing(dependencies)
        super().__init__(dependencies, reporter, continue_=True, stream=Stream(0))
        self._access = access
        self._overlay = overlay
        self._planned: dict[str, PlannedTask] = {}
        self._open: set[str] = set()

    @property
    def plan(self) -> Plan:
        """What is planned so far."""
        tasks = tuple(self._planned.values())
        told = {path for task in tasks for path in task.files}
        return Plan(tasks, tuple(path for path in _outputs(self._overlay.writes) if path not in told))

    def select_task(self, node: Any, tasks_dict: Mapping[str, Task]) -> bool:
        """Return whether a task would run, by what is foreseen of the tasks before it."""
        task = node.task
        unsure = sorted(name for name in (*task.task_dep, *task.calc_dep) if name in self._open)
        if unsure and node.run_status is None and not node.bad_deps and not node.ignored_deps:
            self._leave_open(node, tasks_dict, unsure)
            return False
        selected: bool = super().select_task(node, tasks_dict)
        if node.run_status == "up-to-date":
            self._note(task, "none")
        return selected

    def _leave_open(self, node: Any, tasks: Mapping[str, Task], unsure: list[str]) -> None:
        task = node.task
        task.overwrite_verbosity(self.stream)
        status = self.dep_manager.get_status(task, tasks)
        reasons = reasons_of(task) if status.status == "run" else []
        maybe = [Reason("mayChange", name, f"{name} may change it") for name in unsure]
        self._note(task, "run" if reasons else "maybe", reasons or maybe)
        self._open.add(task.name)
        node.run_status = "up-to-date"
        task.values = self.dep_manager.get_values(task.name) or {}

    def execute_task(self, task: Task) -> BaseFail | None:
        """Foresee the outcome of a task; the failure if that is one."""
        action = task.actions[0] if task.actions else None
        if action is None:
            failure: BaseFail | None = super().execute_task(task)
            return failure
        reasons = reasons_of(task)
        if not isinstance(action, Action):
            self._open.add(task.name)
            self._note(task, "run", reasons)
            return None
        before, written = self._access.uploaded, len(self._overlay.writes)
        try:
            task.values = action.foresee()
        except Unforeseen as error:
            self._open.add(task.name)
            self._note(task, "run", [*reasons, *([Reason("notForeseen", task.name, str(error))] if str(error) else [])])
            return None
        except BundlepipeError as error:
            return TaskFailed(str(error))
        task.result = {"digest": task.values.get("digest", "")}
        self._note(
            task,
            "run",
            reasons,
            image=task.values.get("image"),
            summary=printable(str(task.values.get(SUMMARY, ""))),
            upload=self._access.uploaded - before,
            files=_outputs(self._overlay.writes[written:]),
        )
        return None

    def process_task_result(self, node: Any, base_fail: BaseFail | None) -> None:
        """Hand the values of a task on to the tasks after it, if they are known."""
        if node.task.name in self._open:
            node.run_status = "successful"
            return
        super().process_task_result(node, base_fail)

    def _handle_task_error(self, node: Any, base_fail: BaseFail) -> None:
        super()._handle_task_error(node, base_fail)
        if isinstance(base_fail, UnmetDependency):
            needed = [each.task.name for each in node.bad_deps]
            reasons = [Reason("taskCannotRun", name, f"{name} cannot run") for name in needed]
        else:
            reasons = [Reason("failure", node.task.name, base_fail.message)]
        self._note(node.task, "error", reasons)

    def _note(self, task: Task, state: State, reasons: list[Reason] | None = None, **outcome: Any) -> None:
        if task.name.startswith("_") or not task.actions:
            return
        needs = [name for name in task.task_dep if name in self._planned and self._planned[name].state != "none"]
        self._planned[task.name] = PlannedTask(
            name=task.name, state=state, reasons=tuple(reasons or ()), needs=tuple(sorted(needs)), **outcome
        )


def _outputs(written: Sequence[str]) -> list[str]:
    """Return the paths of files relative to the pipeline's directory, without records."""
    paths = dict.fromkeys(os.path.relpath(path, base_directory()) for path in written)
    return [path for path in paths if not path.startswith(STATE_DIRECTORY + os.sep)]
