"""doit's own command line, also for a directory that has only a bundlepipe.yml."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from bundlepipe.errors import BundlepipeError

_DODO = "dodo.py"
_PIPELINE = "bundlepipe.yml"
# What needs no tasks.
_ABOUT_DOIT = ("--help", "--version", "help")
# Options with which doit looks for a dodo.py elsewhere.
_ELSEWHERE = ("-d", "--dir", "-k", "--seek-file")


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    short_help="Run doit",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def doit(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Run doit: `bundlepipe doit list`, `bundlepipe doit push_bundle`, `bundlepipe doit help run`.

    Without a dodo.py the tasks are those of bundlepipe.yml. The exit status is doit's.
    """
    from doit.doit_cmd import DoitMain

    class Main(DoitMain):  # type: ignore[misc]
        BIN_NAME = f"{context.find_root().info_name} doit"

    main = Main()
    main.task_loader = _loader(arguments, main.config["GLOBAL"])
    context.exit(main.run(list(arguments)))


def _loader(arguments: Sequence[str], configured: dict[str, Any]) -> Any:
    """Return the loader of a pipeline file where that is what there is; None leaves it to doit.

    Raises BundlepipeError where there is nothing to load.
    """
    named = _named_file(arguments)
    if (
        named.endswith(".py")
        or any(argument.startswith(_ELSEWHERE) for argument in arguments)
        or {"loader", "dodoFile"} & configured.keys()
    ):
        return None
    if not named and os.path.exists(_DODO):
        return None
    if not named and not os.path.exists(_PIPELINE):
        if arguments and arguments[0] in _ABOUT_DOIT:
            return None
        raise BundlepipeError(
            f"there is neither a {_DODO} nor a {_PIPELINE} in this directory: 'bundlepipe init' writes both"
        )
    from bundlepipe.pipeline.loader import PipelineLoader

    return PipelineLoader()


def _named_file(arguments: Sequence[str]) -> str:
    """Return the file that `-f` or `--file` names."""
    for index, argument in enumerate(arguments):
        if argument in ("-f", "--file"):
            return next(iter(arguments[index + 1 :]), "")
        if argument.startswith("--file="):
            return argument.partition("=")[2]
    return ""
