"""The commands `ci plan` and `ci run`: doit's plan, divided into jobs, and doit's run of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import click

from bundlepipe.cli.doit_program import Untouched, run_command


@click.command(cls=Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def plan(context: click.Context, arguments: list[str]) -> None:
    """Plan a run that is divided into jobs: `bundlepipe ci plan --out plan.json`, `bundlepipe ci plan --help`.

    It finds the tasks as `bundlepipe doit` does. The saved plan is what each job needs: `bundlepipe ci run
    SHARD --plan plan.json` does the tasks of one.
    """
    from bundlepipe.pipeline.plugins.ci.plan_command import CIPlanCommand

    run_command(context, "plan", _options_first(arguments), name=_name(context), commands={"plan": CIPlanCommand})


@click.command(cls=Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run(context: click.Context, arguments: list[str]) -> None:
    """Do the tasks of one shard: `bundlepipe ci run 2-01 --plan plan.json`, `bundlepipe ci run --help`.

    It is doit's run of these tasks, and takes its options. What other shards make has to be there; each
    costs one request. If a job failed, run it again: what is done is not done twice.
    """
    from bundlepipe.pipeline.plugins.ci.run_command import CIRunCommand

    run_command(context, "run", _options_first(arguments), name=_name(context), commands={"run": CIRunCommand})


def _options_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments as doit takes them: options before the names of tasks or shards that may stand first."""
    leading = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    return [*arguments[len(leading) :], *leading]


def _name(context: click.Context) -> str:
    return f"{context.find_root().info_name} ci"
