"""A run that changes nothing: doit's own order and checks, with actions that are foreseen instead of done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from doit.dependency import Dependency, DependencyStatus
from doit.exceptions import BaseFail, InvalidTask, UnmetDependency
from doit.runner import Runner
from doit.task import Stream, Task

from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.filesystem.overlay import Overlay, Unforeseen
from bundlepipe.pipeline.doit_adapter.internals import save_nothing
from bundlepipe.pipeline.planning.certainty import OpenTasks
from bundlepipe.pipeline.planning.lock_entries import changed_entries, content_of
from bundlepipe.pipeline.planning.outcome import outcome_of, planned_files
from bundlepipe.pipeline.planning.plan import Plan, PlannedTask, State
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.running.action import Action, failure_of
from bundlepipe.pipeline.running.edges import PipelineTask, needed_first
from bundlepipe.pipeline.running.run import PlannedAccess
from bundlepipe.pipeline.running.staleness import reasons_of
from bundlepipe.pipeline.running.status import own_reasons
from bundlepipe.pipeline.tasks.apply import ApplyAction
from bundlepipe.pipeline.tasks.lock import LockAction

if TYPE_CHECKING:
    from bundlepipe.pipeline.planning.saving import PlanSaver


class PlanningRunner(Runner):  # type: ignore[misc]
    """Finds out what doit would do with each task.

    Tasks whose outcome is not foreseen make it open whether the tasks after them run. `ignored` are those that
    `doit ignore` leaves out. If it `asks_clusters`, it finds out what applies would change. A `saver` notes what tasks
    are done with.
    """

    def __init__(
        self,
        dependencies: Dependency,
        reporter: object,
        access: PlannedAccess,
        overlay: Overlay,
        *,
        asks_clusters: bool = False,
        saver: PlanSaver | None = None,
    ) -> None:
        save_nothing(dependencies)
        super().__init__(dependencies, reporter, continue_=True, stream=Stream(0))
        self._get_status = dependencies.get_status
        dependencies.get_status = self._checked
        self._access = access
        self._overlay = overlay
        self._asks_clusters = asks_clusters
        self._saver = saver
        self._planned: dict[str, PlannedTask] = {}
        self._needs: dict[str, frozenset[str]] = {}
        self._open = OpenTasks()
        self._failed_conditions: dict[str, Reason] = {}
        self._tasks: Mapping[str, Task] = {}
        self._selected: Sequence[str] = ()
        self._before_created: Mapping[str, Sequence[str]] = {}
        self.ignored: set[str] = set()

    @property
    def open_tasks(self) -> list[Task]:
        """The tasks whose outcome is open."""
        return [self._tasks[name] for name in sorted(self._open.names)]

    @property
    def plan(self) -> Plan:
        """What is planned so far."""
        tasks = tuple(self._planned[name] for name in self._order() if not name.startswith("_"))
        told = {file.path for task in self._planned.values() for file in task.files}
        return Plan(tasks, tuple(file for file in planned_files(self._overlay.writes) if file.path not in told))

    @property
    def private(self) -> Sequence[PlannedTask]:
        """What is planned of private tasks, which a plan does not show."""
        return [task for task in self._planned.values() if task.name.startswith("_")]

    def _order(self) -> list[str]:
        """Return the planned tasks in an order of a run that is always the same: doit's own depends on sets."""
        numbers = {name: number for number, name in enumerate(self._tasks)}

        def needs(name: str) -> list[str]:
            task = self._tasks[name]
            needed = {*task.task_dep, *task.calc_dep, *task.setup_tasks, *self._before_created.get(name, ())}
            return sorted(needed, key=numbers.__getitem__)

        starts = [*self._selected, *self._planned]
        return [name for name in needed_first(starts, needs) if name in self._planned]

    def run_tasks(self, task_dispatcher: Any) -> None:
        """Plan all tasks that are selected, and those before them."""
        self._tasks, self._selected = task_dispatcher.tasks, task_dispatcher.selected_tasks
        # doit puts the group that a loader creates in the place of the task that waited.
        self._before_created = {name: task.task_dep for name, task in self._tasks.items() if task.loader}
        super().run_tasks(task_dispatcher)

    def select_task(self, node: Any, tasks_dict: Mapping[str, Task]) -> bool:
        """Return whether a task would run, by what is foreseen of the tasks before it."""
        task = node.task
        unsure = self._open.needed_by(task)
        if unsure and node.run_status is None and not node.bad_deps and not node.ignored_deps:
            self._leave_open(node, unsure)
            return False
        selected: bool = super().select_task(node, tasks_dict)
        if node.run_status == "up-to-date":
            self._note(task, "none")
        elif node.run_status == "ignore":
            self.ignored.add(task.name)
        elif selected and self._saver:
            self._saver.look(task)
        return selected

    def _checked(self, task: Task, tasks: Mapping[str, Task], get_log: bool = False) -> DependencyStatus:
        """Return doit's status of a task; an error if its condition, which may be of the user's own, fails."""
        try:
            return self._get_status(task, tasks, get_log)
        except InvalidTask:
            raise
        except Exception as error:  # noqa: BLE001  (it would end a run)
            words = f"its condition failed: {type(error).__name__}: {error}"
            self._failed_conditions[task.name] = Reason("conditionFailed", task.name, words)
            status = DependencyStatus(get_log)
            status.status, status.error_reason = "error", words
            return status

    def _leave_open(self, node: Any, unsure: Sequence[str]) -> None:
        """Note a task that needs open ones: only reasons that these cannot remove make it run for sure."""
        task = node.task
        task.overwrite_verbosity(self.stream)
        if self.dep_manager.status_is_ignore(task):
            node.run_status = "ignore"
            self.ignored.add(task.name)
            return
        status = self.dep_manager.get_status(task, self._tasks)
        if status.status == "error" and not any(map(self._open.may_write, self._missing(task))):
            self._handle_task_error(node, failure_of(InvalidTask(status.get_error_message())))
            return
        reasons = self._open.certain(self._reasons(task)) if status.status == "run" else []
        if self._saver:
            self._saver.look(task)
        maybe = [Reason("mayChange", name, f"{name} may change it") for name in unsure]
        self._note(task, "run" if reasons else "maybe", reasons or maybe)
        for name in task.setup_tasks:
            if name not in self._planned:
                self._note(self._tasks[name], "maybe", [Reason("needsTask", task.name, f"{task.name} may need it")])
        self._open.add(task)
        node.run_status = "up-to-date"
        task.values = self.dep_manager.get_values(task.name) or {}

    def execute_task(self, task: Task) -> BaseFail | None:
        """Foresee the outcome of a task; the failure if that is one."""
        action = task.actions[0] if task.actions else None
        if action is None:
            failure: BaseFail | None = super().execute_task(task)
            return failure
        reasons = self._reasons(task)
        if not isinstance(action, Action):
            self._open.add(task)
            self._note(task, "run", reasons)
            return None
        self._access.transfers.take()
        written = len(self._overlay.writes)
        lock = task.targets[0] if isinstance(action, LockAction) else None
        locked = content_of(lock) if lock else b""
        try:
            task.values = action.foresee()
        except Unforeseen as error:
            self._open.add(task)
            unknown = Reason("notForeseen", task.name, str(error))
            is_sure = any(reason.code != "notForeseen" for reason in reasons)
            reasons += [unknown] if str(error) else []
            diff = self._cluster_diff(action, reasons)
            self._note(task, "run" if is_sure else "maybe", reasons, diff=diff)
            return None
        except Exception as error:  # noqa: BLE001  (as in a run, other tasks go on)
            return failure_of(error)
        task.result = {"digest": task.values.get("digest", "")}
        files = planned_files(self._overlay.writes[written:])
        entries = changed_entries(lock, locked, content_of(lock)) if lock else ()
        self._note(task, "run", reasons, entries=entries, **outcome_of(task, self._access.transfers.take(), files))
        return None

    def _cluster_diff(self, action: Action, reasons: list[Reason]) -> str | None:
        """Return what an apply would change, if that is asked for; if it is not known, the reasons say why."""
        if not self._asks_clusters or not isinstance(action, ApplyAction):
            return None
        try:
            return action.cluster_diff()
        except BundlepipeError as error:
            reasons.append(Reason("notForeseen", action.task.name, str(error)))
            return None

    def process_task_result(self, node: Any, base_fail: BaseFail | None) -> None:
        """Hand the values of a task on to the tasks after it, if they are known."""
        if node.task.name in self._open:
            node.run_status = "successful"
            return
        super().process_task_result(node, base_fail)

    def _handle_task_error(self, node: Any, base_fail: BaseFail) -> None:
        super()._handle_task_error(node, base_fail)
        task = node.task
        if isinstance(base_fail, UnmetDependency):
            needed = [each.task.name for each in node.bad_deps]
            reasons = [Reason("taskCannotRun", name, f"{name} cannot run") for name in needed]
        elif task.name in self._failed_conditions:
            reasons = [self._failed_conditions[task.name]]
        elif missing := self._missing(task):
            reasons = [Reason("fileMissing", path, f"{path} is missing, and no task makes it") for path in missing]
        else:
            reasons = [Reason("failure", task.name, printable(base_fail.message))]
        self._note(task, "error", reasons)

    def _missing(self, task: Task) -> list[str]:
        return [path for path in sorted(task.file_dep) if not self.dep_manager.checker.exists(path)]

    def _reasons(self, task: Task) -> list[Reason]:
        return reasons_of(task) if isinstance(task, PipelineTask) else own_reasons(task, self.dep_manager)

    def _note(self, task: Task, state: State, reasons: Sequence[Reason] = (), **outcome: Any) -> None:
        if task.actions:
            needs = sorted(self._needed(task))
            self._planned[task.name] = PlannedTask(
                name=task.name, state=state, reasons=tuple(reasons), needs=needs, **outcome
            )
            self._needs.pop(task.name, None)
            if self._saver:
                self._saver.keep(task, state)

    def _needed(self, task: Task) -> frozenset[str]:
        """Return the tasks before a task that are not up to date, the nearest of them that a plan shows.

        They may be before tasks that are up to date: those are as they are, but the others come first all the same.
        """
        found: set[str] = set()
        for name in {*task.task_dep, *task.calc_dep, *task.setup_tasks}:
            planned = self._planned.get(name)
            if planned and not name.startswith("_"):
                found |= {name} if planned.state != "none" else set(planned.needs)
            elif name in self._tasks:
                if name not in self._needs:
                    self._needs[name] = self._needed(self._tasks[name])
                found |= self._needs[name]
        return frozenset(found)
