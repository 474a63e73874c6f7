"""The commands `doit` and `watch`: doit's own command line, also for a directory that has only a bundlepipe.yml."""

from __future__ import annotations

import click

from bundlepipe.cli.doit_program import Untouched, run_command, run_doit


@click.command(cls=Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def doit(context: click.Context, arguments: list[str]) -> None:
    """Run doit: `bundlepipe doit list`, `bundlepipe doit push_bundle`, `bundlepipe doit help run`.

    Without a dodo.py the tasks are those of bundlepipe.yml. If neither is here, doit runs in the
    nearest directory above that has one. The exit status is doit's.
    """
    context.exit(run_doit(f"{context.find_root().info_name} doit", arguments))


@click.command(cls=Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def watch(context: click.Context, arguments: list[str]) -> None:
    """Run tasks, and again whenever their inputs change: `bundlepipe watch`, `bundlepipe watch render_config:app`.

    It is `doit watch`, and finds the tasks as `bundlepipe doit` does. Ctrl-C ends it.
    """
    run_command(context, "watch", arguments)
