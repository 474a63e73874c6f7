"""`doit watch`: a run, and another one whenever inputs of its tasks change.

doit loads it only for this command, and for help and completion, so it imports what it needs when it runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from doit import get_var
from doit.cmd_run import Run, opt_pdb
from doit.exceptions import InvalidCommand

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
from bundlepipe.pipeline.plugins.told_errors import ToldErrors

_LIBRARY = "watchfiles"


class WatchCommand(ToldErrors, Run):  # type: ignore[misc]
    """Runs tasks, and again when their inputs change.

    The process that watches loads no tasks: it starts itself again, to look at the tasks and to run them, so that
    a changed dodo.py or pipeline file counts.
    """

    name = "watch"
    doc_purpose = "run tasks, and again whenever their inputs change"
    doc_usage = "[TASK/TARGET...]"
    doc_description = (
        "It watches what the tasks read, and the files that define them, until Ctrl-C. Each run is one of doit run, "
        "which has the same options."
    )
    cmd_options = tuple(option for option in Run.cmd_options if option is not opt_pdb)

    def __init__(self, config: Any = None, **given: Any) -> None:
        settings = dict(config or {})
        # The runs are those of `doit run`.
        settings[self.name] = {**settings.get("run", {}), **settings.get(self.name, {})}
        super().__init__(config=settings, **given)

    def execute(self, params: Any, args: Sequence[str]) -> Any:
        """Watch; or, in a process that was started for it, look at the tasks or run them."""
        from bundlepipe.pipeline.watching.children import take_role

        self._role, self._descriptor = take_role()
        if self._role == "run":
            return super().execute(params, args)
        if self._role == "look":
            return self._look(params, args)
        return self._watch()

    def _watch(self) -> int:
        from bundlepipe.pipeline.plugins.loader import DirectoryLoader
        from bundlepipe.pipeline.watching.children import CommandLine
        from bundlepipe.pipeline.watching.session import Session

        if get_var("plan"):
            raise InvalidCommand("plan= carries out a saved plan once, and watch runs again: use doit run")
        if find_spec(_LIBRARY) is None:
            raise InvalidCommand(f"watch needs the library {_LIBRARY}: pip install 'bundlepipe[watch]'")
        end_quietly()
        command = CommandLine.own(is_ours=isinstance(self.loader, DirectoryLoader))
        try:
            return Session(command).work()
        except BundlepipeError as error:
            raise InvalidCommand(str(error)) from None

    def _look(self, params: Any, args: Sequence[str]) -> Any:
        from bundlepipe.pipeline.running.variables import without_requests
        from bundlepipe.pipeline.watching.children import tell
        from bundlepipe.pipeline.watching.looking import Look, definitions

        # Tasks of `@create_after` are created, as for a list.
        self.execute_tasks = False
        self._dodo = os.path.abspath(params.get("dodoFile") or "dodo.py")
        try:
            with without_requests():
                return super().execute(params, args)
        except BaseException as error:
            tell(Look(definitions(self._dodo, error)), self._descriptor)
            raise

    def _forget_missed(self) -> None:
        from bundlepipe.pipeline.watching.children import changed_meanwhile

        changed = changed_meanwhile(self._descriptor)
        if changed:
            from bundlepipe.pipeline.watching.looking import forget

            forget(self.task_list, changed, self.dep_manager)

    def _execute(
        self,
        outfile: Any,
        verbosity: int | None,
        always: bool,
        continue_: bool,
        reporter: Any,
        num_process: int,
        par_type: str,
        single: bool,
        auto_delayed_regex: bool,
        force_verbosity: bool,
        failure_verbosity: int,
    ) -> Any:
        if self._role == "look":
            from bundlepipe.pipeline.watching.children import tell
            from bundlepipe.pipeline.watching.looking import look_at

            look = look_at(self.task_list, self.sel_tasks, self.dep_manager, self._dodo, always=always)
            tell(look, self._descriptor)
            return 0
        self._forget_missed()
        return super()._execute(
            outfile,
            verbosity,
            always,
            continue_,
            reporter,
            num_process,
            par_type,
            single,
            auto_delayed_regex,
            force_verbosity,
            failure_verbosity,
        )
