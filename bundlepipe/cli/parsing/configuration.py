"""Configuration as commands take it: `-f`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from bundlepipe.cli.parsing.command import PATH, Option, Run, paths
from bundlepipe.cli.tool import KBLD
from bundlepipe.errors import BundlepipeError
from bundlepipe.events import Emit

if TYPE_CHECKING:
    from bundlepipe.stores.settings import NetworkSettings
    from bundlepipe.verbs.images.texts import Text


def files_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that gives a command `-f/--file`, which arrives as `files`."""
    return click.option(
        *("-f", "--file", "files"), cls=Option, multiple=True, type=PATH, metavar="PATH", help=help_text
    )


def read_files(run: Run, files: Sequence[str], emit: Emit, network: NetworkSettings) -> list[Text]:
    """Return what the values of `-f` name; BundlepipeError for what cannot be read.

    That they name nothing is an error, too; kbld has nothing to do then.
    """
    from bundlepipe.verbs.images.texts import read_inputs

    names = paths(files)
    if not names and run.tool is not KBLD:
        raise BundlepipeError(
            "Expected configuration: give files, directories, URLs or - for standard input with --file (-f)"
        )
    is_kbld = run.tool is KBLD
    return read_inputs(names, sys.stdin.buffer.read, emit, network=network, trace=run.trace, as_kbld=is_kbld)
