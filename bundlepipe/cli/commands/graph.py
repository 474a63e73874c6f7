"""The command `graph`: `doit graph`, also for a directory that has only a bundlepipe.yml."""

from __future__ import annotations

import click

from bundlepipe.cli.doit_program import Untouched, run_command


@click.command(cls=Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def graph(context: click.Context, arguments: list[str]) -> None:
    """Show tasks and what they need: `bundlepipe graph`, `bundlepipe graph -o graph.html`, `bundlepipe graph --help`.

    It is `doit graph`, and finds the tasks as `bundlepipe doit` does. Nothing runs, and no request is
    sent.
    """
    run_command(context, "graph", arguments)
