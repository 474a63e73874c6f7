"""doit: its own command line, also for a directory that has only a bundlepipe.yml."""

from __future__ import annotations

import sys
from typing import Any

import click

from bundlepipe.errors import BundlepipeError


class _Untouched(click.Command):
    """A command that takes its arguments as they stand, `--` and `--help` included."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Keep all arguments for the command."""
        context.params["arguments"] = list(args)
        return []


@click.command(cls=_Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def doit(context: click.Context, arguments: list[str]) -> None:
    """Run doit: `bundlepipe doit list`, `bundlepipe doit push_bundle`, `bundlepipe doit help run`.

    Without a dodo.py the tasks are those of bundlepipe.yml. The exit status is doit's.
    """
    name = f"{context.find_root().info_name} doit"
    # A dodo.py may look at it, and the script of `tabcompletion` is for the program of this name.
    sys.argv = ["doit", *arguments]
    context.exit(_main(name).run(arguments))


def _main(name: str) -> Any:
    """Return doit's program, called `name` in messages; BundlepipeError for a faulty pyproject.toml or doit.cfg."""
    from configparser import Error

    from doit.doit_cmd import DoitMain

    from bundlepipe.pipeline.loader import DirectoryLoader

    try:
        main = DoitMain()
    except (Error, ValueError) as error:
        raise BundlepipeError(f"pyproject.toml or doit.cfg, where doit's settings are: {error}") from None
    main.BIN_NAME = name
    if "loader" not in main.config.get("GLOBAL", {}):
        main.task_loader = DirectoryLoader()
    return main
