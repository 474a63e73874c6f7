"""The option `-f`, and reading the configuration that it names."""

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
    """Return the decorator that adds `-f/--file` to a command, as the argument `files`."""
    return click.option(
        *("-f", "--file", "files"), cls=Option, multiple=True, type=PATH, metavar="PATH", help=help_text
    )


def read_files(run: Run, files: Sequence[str], emit: Emit, network: NetworkSettings) -> list[Text]:
    """Return the texts that the values of `-f` name; BundlepipeError for unreadable ones.

    If there are none, that is an error too; kbld then has nothing to do.
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
    """Return the texts of kbld's `-f`: files, directories, `-` for standard input, and http and https URLs.

    `network` has the settings for requests, `trace` shows them. With `as_kbld` directories are read in
    kbld's order, and everything in them with a matching name is read. Raises InputError for an unreadable
    file, StoreError for a URL.
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
