"""`bundlepipe ci run`: doit's run of the tasks of one shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from doit.cmd_run import Run
from doit.doit_cmd import set_var
from doit.exceptions import InvalidCommand

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.checkout import check_commit

PLAN_OPTION = {
    "name": "plan_file",
    "long": "plan",
    "type": str,
    "default": None,
    "metavar": "FILE",
    "help": "the plan that ci plan has saved",
}


# The only one that writes reports: those of all jobs are merged.
_REPORTER = "bundlepipe"


class CIRunCommand(Run):  # type: ignore[misc]
    """Runs the tasks of one shard of a saved plan; a task that does not need a failed one goes on."""

    name = "run"
    doc_purpose = "do the tasks of one shard of a plan"
    doc_usage = "SHARD --plan FILE"
    doc_description = (
        "What other shards make has to be there, and costs one request each. If a job failed, run it again: what is "
        "done is not done twice. It goes on after failures, as with --continue."
    )
    cmd_options = (
        *({**each, "default": _REPORTER} if each["name"] == "reporter" else each for each in Run.cmd_options),
        PLAN_OPTION,
    )

    def execute(self, params: Any, args: Sequence[str]) -> Any:
        """Choose the plan and the shard before the tasks are loaded, and run."""
        _choose(params, args)
        params["continue"] = True
        return super().execute(params, [])


def _choose(params: Mapping[str, Any], args: Sequence[str]) -> None:
    plan = params["plan_file"]
    if not plan:
        raise InvalidCommand("--plan is missing: name the file that 'bundlepipe ci plan --out FILE' has saved")
    if len(args) != 1:
        named = f"{len(args)} are given" if args else "none is given"
        raise InvalidCommand(f"expected the name of one shard of {plan}, and {named}")
    try:
        check_commit(plan)
    except BundlepipeError as error:
        raise InvalidCommand(str(error)) from None
    set_var("plan", plan)
    set_var("shard", args[0])
