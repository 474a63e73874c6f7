"""Decide in doit's runs which tasks run: those of a plan, by default, and of those that doit would run not all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Literal, NoReturn

from doit import runner
from doit.cmd_run import Run
from doit.exceptions import InvalidCommand, TaskFailed
from doit.task import Task
from msgspec import Struct

_ORIGINAL = "_bundlepipe_original"


class Refusal(Struct, frozen=True):
    """A task fails with this message instead of being run."""

    message: str


Verdict = Literal["run", "up-to-date"] | Refusal


def judge_tasks(judge: Callable[[Task], Verdict]) -> None:
    """From now on let `judge` decide on each task that doit would run."""
    select_task = getattr(runner.Runner.select_task, _ORIGINAL, runner.Runner.select_task)

    @wraps(select_task)
    def select_judged(self: Any, node: Any, tasks: Mapping[str, Task]) -> bool:
        if not select_task(self, node, tasks):
            return False
        verdict = judge(node.task)
        if isinstance(verdict, Refusal):
            self._handle_task_error(node, TaskFailed(verdict.message))
        elif verdict == "up-to-date":
            node.run_status = verdict
            self.reporter.skip_uptodate(node.task)
            node.task.values = self.dep_manager.get_values(node.task.name)
        return verdict == "run"

    setattr(select_judged, _ORIGINAL, select_task)
    runner.Runner.select_task = select_judged


def select_by_default(choose: Callable[[Sequence[Task]], Sequence[str] | None]) -> None:
    """From now on let runs for which no task is named run those that `choose` returns of all; None for doit's default.

    It is called in each run, when all tasks are loaded, and may raise InvalidCommand.
    """
    execute = getattr(Run._execute, _ORIGINAL, Run._execute)

    @wraps(execute)
    def execute_selected(self: Any, *arguments: Any, **options: Any) -> Any:
        names = choose(self.task_list)
        if self.sel_default_tasks and names is not None:
            self.sel_tasks = list(names)
        return execute(self, *arguments, **options)

    setattr(execute_selected, _ORIGINAL, execute)
    Run._execute = execute_selected


def refuse_changes_of_records(message: str) -> None:
    """From now on refuse those of doit's commands that are no runs and change files or records, with this message."""
    from doit.cmd_clean import Clean
    from doit.cmd_forget import Forget
    from doit.cmd_ignore import Ignore
    from doit.cmd_resetdep import ResetDep
    from doit.cmd_strace import Strace

    for command in (Clean, Forget, Ignore, ResetDep, Strace):
        command._execute = _refusing(getattr(command._execute, _ORIGINAL, command._execute), message)


def _refusing(execute: Callable[..., Any], message: str) -> Callable[..., NoReturn]:
    # doit inspects the signature.
    @wraps(execute)
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise InvalidCommand(message)

    setattr(refuse, _ORIGINAL, execute)
    return refuse
