"""`doit list -s` and `doit info` with the states and reasons of a plan: doit's own know nothing of the tasks before.

doit loads them whenever it is called with these commands, also in projects without pipelines; those get doit's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from doit.cmd_info import Info
from doit.cmd_list import List
from doit.exceptions import InvalidCommand

from bundlepipe.errors import quoted
from bundlepipe.pipeline.running.edges import PipelineTask

if TYPE_CHECKING:
    from doit.task import Task

    from bundlepipe.pipeline.drawing.model import State, StateName

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
