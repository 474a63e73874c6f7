"""The command `doit`: doit's own command line, also for a directory that has only a bundlepipe.yml."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from bundlepipe.errors import BundlepipeError

# Options of doit that name its file or directory.
_NAME_A_PLACE = ("-f", "--file", "-d", "--dir", "-k", "--seek-file")


class _Untouched(click.Command):
    """A command that takes all its arguments unchanged, including `--` and `--help`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Keep all arguments for the command."""
        context.params["arguments"] = list(args)
        return []


@click.command(cls=_Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def doit(context: click.Context, arguments: list[str]) -> None:
    """Run doit: `bundlepipe doit list`, `bundlepipe doit push_bundle`, `bundlepipe doit help run`.

    Without a dodo.py the tasks are those of bundlepipe.yml. If neither is here, doit runs in the
    nearest directory above that has one. The exit status is doit's.
    """
    _doit(context, arguments)


@click.command(cls=_Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def plan(context: click.Context, arguments: list[str]) -> None:
    """Show what a run of doit would do, as `bundlepipe doit plan` does."""
    if {"-h", "--help"} & set(arguments):
        _doit(context, ["help", "plan"])
    _doit(context, ["plan", *arguments])


def _doit(context: click.Context, arguments: list[str]) -> None:
    name = f"{context.find_root().info_name} doit"
    # A dodo.py may read it, and the script of `tabcompletion` is for the program of this name.
    sys.argv = ["doit", *arguments]
    context.exit(_run(_main(name, arguments), arguments))


def _run(main: Any, arguments: Sequence[str]) -> int:
    """Return doit's exit status; 130 with doit's own message if it is interrupted."""
    try:
        status: int = main.run(arguments)
    except KeyboardInterrupt:
        from bundlepipe.concurrency.termination import end_interrupted_run

        end_interrupted_run()
        return 130
    return status


def _main(name: str, arguments: Sequence[str]) -> Any:
    """Return doit's program, called `name` in messages; BundlepipeError for a faulty pyproject.toml or doit.cfg."""
    from configparser import Error

    from doit.doit_cmd import DoitMain

    from bundlepipe.pipeline.doit_adapter.settings import check_settings
    from bundlepipe.pipeline.plugins.loader import DirectoryLoader

    above, here = _project_above(name, arguments), os.getcwd()
    try:
        # Settings come from the directory of the pipeline.
        os.chdir(above or here)
        check_settings()
        main = DoitMain()
    except (Error, ValueError) as error:
        raise BundlepipeError(f"pyproject.toml or doit.cfg, where doit's settings are: {error}") from None
    main.BIN_NAME = name
    if "loader" not in main.config.get("GLOBAL", {}):
        main.task_loader = DirectoryLoader(above)
        # This tells a dodo.py the directory where doit was called.
        os.chdir(here)
    return main


def _project_above(name: str, arguments: Sequence[str]) -> str | None:
    """Return the directory of the pipeline above, and report it, if there is none here and no file is named."""
    from bundlepipe.pipeline.plugins.loader import PROJECT_FILES
    from bundlepipe.starting.project_search import directory_above

    named = any(argument.startswith(_NAME_A_PLACE) for argument in arguments) or "DOIT_FILE" in os.environ
    if named or any(map(os.path.exists, PROJECT_FILES)):
        return None
    above = directory_above(PROJECT_FILES)
    if above:
        found = next(file for file in PROJECT_FILES if os.path.exists(os.path.join(above, file)))
        sys.stderr.write(f"{name}: running in {os.path.relpath(above)}, where {found} is\n")
    return above
