"""Configuration as commands take it: `-f`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from bundlepipe.cli.parsing.command import PATH, Option, Run, paths
from bundlepipe.cli.tool import KBLD
from bundlepipe.errors import BundlepipeError
from bundlepipe.events import Emit, ignore

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
    names = paths(files)
    if not names and run.tool is not KBLD:
        raise BundlepipeError(
            "Expected configuration: give files, directories, URLs or - for standard input with --file (-f)"
        )
    is_kbld = run.tool is KBLD
    return read_inputs(names, sys.stdin.buffer.read, emit, network=network, trace=run.trace, as_kbld=is_kbld)


def read_inputs(
    names: Sequence[str],
    read_stdin: Callable[[], bytes],
    emit: Emit = ignore,
    *,
    network: NetworkSettings | None = None,
    trace: Callable[[str], None] | None = None,
    as_kbld: bool = False,
) -> list[Text]:
    """Return what kbld's `-f` names: files, directories, `-` for standard input, and http and https URLs.

    `network` says how servers are spoken to, `trace` shows it. With `as_kbld` directories are
    read in kbld's order, and everything in them that has the name of configuration is. Raises
    InputError for a file that cannot be read, StoreError for a URL.
    """
    from bundlepipe.documents.search.paths import kbld_files, searched_files
    from bundlepipe.verbs.images.texts import STANDARD_INPUT, URL_PREFIXES, Text, read_text

    texts: list[Text] = []
    for name in names:
        if name == "-":
            texts.append(Text(STANDARD_INPUT, read_stdin()))
        elif name.startswith(URL_PREFIXES):
            from bundlepipe.stores.http.answers import public_url
            from bundlepipe.stores.http.fetch import fetch
            from bundlepipe.stores.settings import DEFAULT_NETWORK

            content = fetch(name, emit, network=network or DEFAULT_NETWORK, trace=trace)
            texts.append(Text(public_url(name), content))
        else:
            files = kbld_files(name) if as_kbld else searched_files([name], with_bundles_own=True)
            texts.extend(map(read_text, files))
    return texts
