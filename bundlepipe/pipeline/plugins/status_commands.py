"""`doit list -s` and `doit info` with the states and reasons of a plan, and `bundlepipe lock check`, which goes by one.

doit's own know nothing of the tasks before. doit loads these whenever it is called with the first two commands, also
in projects without pipelines; those get doit's own.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from doit.cmd_base import DoitCmdBase
from doit.cmd_info import Info
from doit.cmd_list import List
from doit.control import TaskControl
from doit.exceptions import InvalidCommand

from bundlepipe.errors import printable, quoted
from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
from bundlepipe.pipeline.running.edges import PipelineTask

if TYPE_CHECKING:
    from doit.task import Task

    from bundlepipe.pipeline.drawing.model import State, StateName
    from bundlepipe.pipeline.planning.plan import PlannedEntry, PlannedFile, PlannedTask

# How many references a line about a lock names.
_MOST_ENTRIES = 3
# doit's words, and one for what only a run can tell.
_IN_DOITS_WORDS: Mapping[StateName, str] = {
    "up-to-date": "up-to-date",
    "stale": "run",
    "unknown": "maybe",
    "ignored": "ignore",
    "error": "error",
}


class _Status:
    """What doit's commands ask of the status of a task."""

    def __init__(self, state: State) -> None:
        from bundlepipe.pipeline.reasons import sentences

        self.status = _IN_DOITS_WORDS[state.name]
        self.reasons = sentences(state.reasons)


class ListCommand(List):  # type: ignore[misc]
    """Lists tasks, with -s by the states of a plan."""

    name = List.get_name()
    STATUS_MAP: ClassVar = {**List.STATUS_MAP, "maybe": "M"}
    cmd_options = tuple(
        {**option, "help": "print task status (R)un, (M)ay run, (U)p-to-date, (I)gnored, (E)rror"}
        if option["name"] == "status"
        else option
        for option in List.cmd_options
    )

    def execute(self, params: Any, args: Sequence[str]) -> Any:
        """Load the tasks so that looking at them sends no request."""
        return _without_requests(super().execute, params, args)

    def _execute(
        self,
        subtasks: bool,
        quiet: bool,
        status: bool,
        private: bool,
        list_deps: bool,
        template: str | None,
        sort: str,
        pos_args: Sequence[str],
    ) -> Any:
        # doit passes what it finds in this signature.
        if status and _has_pipeline(self.task_list):
            _plan_states(self)
        return super()._execute(subtasks, quiet, status, private, list_deps, template, sort, pos_args)


class InfoCommand(Info):  # type: ignore[misc]
    """Shows a task, with the reasons of a plan."""

    name = Info.get_name()

    def execute(self, params: Any, args: Sequence[str]) -> Any:
        """Load the tasks so that looking at them sends no request."""
        return _without_requests(super().execute, params, args)

    def _execute(self, pos_args: Sequence[str], hide_status: bool = False) -> Any:
        if len(pos_args) == 1 and _has_pipeline(self.task_list):
            if pos_args[0] not in {task.name for task in self.task_list}:
                raise InvalidCommand(f"{quoted(pos_args[0])}: there is no such task")
            if not hide_status:
                _plan_states(self, pos_args)
        return super()._execute(pos_args, hide_status)

    @staticmethod
    def get_reasons(reasons: Any) -> str:
        """Return the reasons as lines."""
        if isinstance(reasons, list):
            return "\n".join(f" * {reason}" for reason in reasons)
        own: str = Info.get_reasons(reasons)
        return own


def _without_requests(execute: Any, params: Any, args: Sequence[str]) -> Any:
    from bundlepipe.pipeline.running.variables import without_requests

    with without_requests():
        return execute(params, args)


def _has_pipeline(tasks: Sequence[Task]) -> bool:
    return any(isinstance(task, PipelineTask) for task in tasks)


def _plan_states(command: Any, names: Sequence[str] | None = None) -> None:
    """Let doit's command find the states of a plan in place of those that it would find itself."""
    from bundlepipe.pipeline.drawing.reading import TaskNeeds
    from bundlepipe.pipeline.plugins.planned_run import states_of

    found = TaskNeeds(command.task_list, command.dep_manager)
    states = states_of(found, command.dep_manager, names)
    for task in found.tasks.values():
        if isinstance(task, PipelineTask):
            # The reasons are told in words.
            task.meta = None
    command.dep_manager.get_status = lambda task, tasks, get_log=False: _Status(states[task.name])
    command.dep_manager.status_is_ignore = lambda task: states[task.name].name == "ignored"


class LockCheckCommand(DoitCmdBase):  # type: ignore[misc]
    """Plans the tasks that lock without a registry, and names the files that they would change."""

    name = "check"
    doc_purpose = "find locks that are out of date, without a network"
    doc_usage = "[TASK/TARGET...]"
    doc_description = (
        "Without TASK it checks all locks, else those that these tasks need. It prints a line for each file that "
        "'doit lock_bundle' would change, and then exits with 1. Files that git ignores are left out. Nothing is "
        "written."
    )
    cmd_options: tuple[dict[str, Any], ...] = ()
    execute_tasks = True

    def _execute(self) -> int:
        from bundlepipe.pipeline.plugins.planned_run import planned_run

        end_quietly()
        control = TaskControl(self.task_list)
        locks = {task.name: task for task in self.task_list if _is_lock(task)}
        control.process(list(locks) if self.sel_default_tasks else self.sel_tasks)
        plan = planned_run(control, self.dep_manager, offline=True).plan
        checked = [task for task in plan.tasks if task.name in locks]
        uncommitted = _uncommitted([locks[task.name] for task in checked])
        faults: list[str] = []
        for task in checked:
            faults += _faults(task, _committed_file(locks[task.name]), uncommitted)
            if task.state != "error" and _is_open(task) and not _lacks_entry(task):
                sys.stderr.write(f"{task.name}: not checked, {_sentence(task) or 'only a run knows what it needs'}\n")
        faults += _changed(plan.files, "lock_bundle", (), uncommitted)
        self.outstream.write("".join(f"{fault}\n" for fault in faults))
        return 1 if faults else 0


def _is_lock(task: Task) -> bool:
    from bundlepipe.pipeline.tasks.lock import LockAction

    return any(isinstance(action, LockAction) for action in task.actions)


def _committed_file(task: Task) -> str:
    return str(task.actions[0].lock_file or task.targets[0])


def _uncommitted(tasks: Sequence[Task]) -> Collection[str]:
    """Return the locks that need not be committed: git ignores them, or they come from a lock file, untracked."""
    from bundlepipe.verbs.outputs.git_content import find_ignored, find_tracked

    generated = [task.targets[0] for task in tasks if task.actions[0].lock_file]
    ignored = find_ignored([task.targets[0] for task in tasks])
    return {*ignored, *generated} - {*find_tracked(generated)}


def _is_open(task: PlannedTask) -> bool:
    """Return whether a plan without a registry does not know what comes of a lock."""
    return task.state == "maybe" or (task.state == "run" and not task.files and not task.is_unchanged)


def _lacks_entry(task: PlannedTask) -> bool:
    """Return whether that is so since a reference is not locked yet: those that are keep their digests."""
    is_refreshed = any(reason.code == "refreshAlways" for reason in task.reasons)
    return bool(_unlocked(task)) and not is_refreshed


def _unlocked(task: PlannedTask) -> str:
    """Return what a plan says of references that it would have to resolve."""
    from bundlepipe.stores.planned import ONLY_REGISTRY_KNOWS

    return ", ".join(reason.because for reason in task.reasons if reason.because.endswith(ONLY_REGISTRY_KNOWS))


def _faults(task: PlannedTask, lock: str, uncommitted: Collection[str]) -> Iterator[str]:
    if task.state == "error":
        yield printable(f"{task.name} cannot run: {_sentence(task)}")
    elif _is_open(task) and _lacks_entry(task):
        yield printable(f"{lock} lacks an entry: {_unlocked(task)}: {_advice(task.name)}")
    yield from _changed(task.files, task.name, task.entries, uncommitted)


def _changed(
    files: Sequence[PlannedFile], task: str, entries: Sequence[PlannedEntry], uncommitted: Collection[str]
) -> Iterator[str]:
    for file in files:
        if file.path not in uncommitted:
            what = "is missing" if file.change == "created" else "is out of date"
            named = _named(entries) if file.change != "created" else ""
            yield printable(f"{file.path} {what}{named}: {_advice(task)}")


def _named(entries: Sequence[PlannedEntry]) -> str:
    names = sorted({entry.reference for entry in entries})
    more = f" and {len(names) - _MOST_ENTRIES} more" if len(names) > _MOST_ENTRIES else ""
    return f" ({', '.join(names[:_MOST_ENTRIES])}{more})" if names else ""


def _advice(task: str) -> str:
    return f"run 'doit {task}', and commit it"


def _sentence(task: PlannedTask) -> str:
    return ", ".join(reason.because for reason in task.reasons if reason.code != "noLocalRecord")
