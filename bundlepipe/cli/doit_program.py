"""doit itself under our name, for the commands that run it: `doit`, and those that doit and we both have."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bundlepipe.errors import BundlepipeError

if TYPE_CHECKING:
    from bundlepipe.pipeline.plugins.planned_run import LoadTasks

# Options of doit that name its file or directory.
_NAME_A_PLACE = ("-f", "--file", "-d", "--dir", "-k", "--seek-file")


class Untouched(click.Command):
    """A command that takes all its arguments unchanged, including `--` and `--help`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Keep all arguments for the command."""
        context.params["arguments"] = list(args)
        return []


def run_command(
    context: click.Context,
    command: str,
    arguments: Sequence[str],
    *,
    name: str = "",
    commands: Mapping[str, type] | None = None,
) -> NoReturn:
    """Run a command of doit under our own name, and exit; with -h or --help print doit's help for it.

    The `name` in messages is that of the program by default; `commands` are added to doit's.
    """
    name = name or str(context.find_root().info_name)
    wants_help = any(argument in ("-h", "--help") for argument in arguments)
    context.exit(run_doit(name, ["help", command] if wants_help else [command, *arguments], commands))


def run_doit(name: str, arguments: Sequence[str], commands: Mapping[str, type] | None = None) -> int:
    """Run doit, called `name` in messages, and return its exit status; BundlepipeError for faulty settings of it.

    `commands` are added to those of doit and its plugins, by their names.
    """
    if "" in arguments:
        raise BundlepipeError("an argument is empty, as '' and \"$VARIABLE\" without a value are: leave it out")
    # A dodo.py may read it, and the script of `tabcompletion` is for the program of this name.
    sys.argv = ["doit", *arguments]
    return _run(_main(name, arguments, commands or {}), arguments)


def load_tasks(name: str) -> LoadTasks:
    """Return the tasks of the current directory, as a run of doit has them; BundlepipeError if that is impossible."""
    from doit.cmd_base import get_loader
    from doit.cmdparse import CmdParseError
    from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

    from bundlepipe.pipeline.plugins.planned_run import LoadTasks

    # A dodo.py may read it.
    sys.argv = ["doit", "plan"]
    main = _main(name, [], {})
    commands = main.get_cmds()
    main.process_args([])
    loader = get_loader(main.config, main.task_loader, commands)
    command = LoadTasks(task_loader=loader, config=main.config, bin_name=name, cmds=commands, opt_vals={})
    try:
        command.parse_execute([])
    except (CmdParseError, InvalidCommand, InvalidDodoFile, InvalidTask) as error:
        raise BundlepipeError(str(error)) from None
    except BundlepipeError:
        raise
    except Exception as error:
        raise BundlepipeError(
            f"the tasks cannot be loaded: {type(error).__name__}: {error}: 'doit list' shows where"
        ) from error
    return command


def _run(main: Any, arguments: Sequence[str]) -> int:
    """Return doit's exit status; 130 with doit's own message if it is interrupted."""
    try:
        status: int = main.run(arguments)
    except KeyboardInterrupt:
        from bundlepipe.concurrency.termination import end_interrupted_run

        end_interrupted_run()
        return 130
    return status


def _main(name: str, arguments: Sequence[str], commands: Mapping[str, type]) -> Any:
    """Return doit's program, called `name` in messages; BundlepipeError for a faulty pyproject.toml or doit.cfg."""
    from configparser import Error

    from bundlepipe.pipeline.doit_adapter.settings import check_settings
    from bundlepipe.pipeline.plugins.loader import DirectoryLoader

    above, here = _project_above(name, arguments), os.getcwd()
    try:
        # Settings come from the directory of the pipeline.
        os.chdir(above or here)
        check_settings()
        main = _program(commands)
    except (Error, ValueError) as error:
        raise BundlepipeError(f"pyproject.toml or doit.cfg, where doit's settings are: {error}") from None
    main.BIN_NAME = name
    if "loader" not in main.config.get("GLOBAL", {}):
        main.task_loader = DirectoryLoader(above)
        # This tells a dodo.py the directory where doit was called.
        os.chdir(here)
    return main


def _program(commands: Mapping[str, type]) -> Any:
    from doit.doit_cmd import DoitMain

    class Program(DoitMain):  # type: ignore[misc]
        def get_cmds(self) -> Any:
            found = super().get_cmds()
            found.update(commands)
            return found

    return Program()


def _is_told() -> bool:
    """Return whether `watch` started this process, which has told the user where it runs."""
    from bundlepipe.pipeline.watching.children import is_child

    return is_child()


def _project_above(name: str, arguments: Sequence[str]) -> str | None:
    """Return the directory of the pipeline above, and report it, if there is none here and no file is named."""
    from bundlepipe.pipeline.plugins.loader import PROJECT_FILES
    from bundlepipe.starting.project_search import directory_above

    named = any(argument.startswith(_NAME_A_PLACE) for argument in arguments) or "DOIT_FILE" in os.environ
    if named or any(map(os.path.exists, PROJECT_FILES)):
        return None
    above = directory_above(PROJECT_FILES)
    if above and not _is_told():
        found = next(file for file in PROJECT_FILES if os.path.exists(os.path.join(above, file)))
        sys.stderr.write(f"{name}: running in {os.path.relpath(above)}, where {found} is\n")
    return above
