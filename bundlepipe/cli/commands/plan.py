"""The command `plan`: `doit plan`, also for a directory that has only a bundlepipe.yml."""

from __future__ import annotations

import click

from bundlepipe.cli.doit_program import Untouched, run_command


@click.command(cls=Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def plan(context: click.Context, arguments: list[str]) -> None:
    """Show what a run would do: `bundlepipe plan`, `bundlepipe plan --why push_bundle:app`, `bundlepipe plan --help`.

    It is `doit plan`, and finds the tasks as `bundlepipe doit` does. Nothing is written.
    """
    run_command(context, "plan", arguments)
