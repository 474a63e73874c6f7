"""The command `init`: write the files of a new pipeline."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from bundlepipe.cli.parsing.command import DIRECTORY, Command, Run, Switch
from bundlepipe.errors import BundlepipeError, InputError, OutputError, printable
from bundlepipe.filesystem.files import write_if_changed

if TYPE_CHECKING:
    from bundlepipe.starting.survey import FoundParts

_PIPELINE = "bundlepipe.yml"
_DODO = "dodo.py"


@click.command(
    cls=Command,
    examples={"Start in this directory": "init", "Start in another directory": "init apps/shop"},
)
@click.argument("directory", default=".", type=DIRECTORY)
@click.option("--force", cls=Switch, help="Replace an existing bundlepipe.yml and dodo.py")
@click.pass_obj
def init(run: Run, directory: str, force: bool) -> None:
    """Write a bundlepipe.yml, with comments, and a dodo.py for the contents of a directory.

    Directories with .imgpkg, and those with Kubernetes configuration, become bundles, Dockerfiles
    images. For an empty directory it writes an example. Existing files are not replaced. In git,
    .gitignore and .gitattributes get the lines that they lack.
    """
    from bundlepipe.starting.files import DODO, EXAMPLE, example_path, pipeline_text
    from bundlepipe.starting.git_files import add_lines, git_lines, is_in_git
    from bundlepipe.starting.survey import find_parts

    if not os.path.isdir(directory):
        raise InputError(f"{directory}: there is no such directory")
    for name in (_PIPELINE, _DODO):
        path = os.path.join(directory, name)
        if os.path.lexists(path) and not force:
            raise BundlepipeError(f"{os.path.normpath(path)}: is there already: edit it, or replace it with --force")
    found = parts = find_parts(directory)
    written = [_PIPELINE, _DODO]
    if not parts.bundles:
        example = example_path(directory)
        _write(os.path.join(directory, example), EXAMPLE)
        written.append(example)
        parts = find_parts(directory)
    _write(os.path.join(directory, _PIPELINE), pipeline_text(parts))
    _write(os.path.join(directory, _DODO), DODO)
    in_git = is_in_git(directory)
    if in_git:
        lines = git_lines(parts)
        written += [name for name in lines if add_lines(os.path.join(directory, name), lines[name])]
    run.console.block("".join(f"{printable(line)}\n" for line in _told(found, written, directory, in_git)))


def _told(parts: FoundParts, written: Iterable[str], directory: str, in_git: bool) -> Iterator[str]:
    from bundlepipe.starting.git_files import MERGE_DRIVER

    for bundle in parts.bundles:
        yield f"found   {bundle.path}: bundle '{bundle.name}'"
    for image in parts.dockerfiles:
        yield f"found   {os.path.normpath(f'{image.path}/Dockerfile')}: image '{image.name}'"
    for chart in parts.charts:
        yield f"found   {chart}: a Helm chart, see the comment in {_PIPELINE}"
    for name in written:
        yield f"wrote   {os.path.normpath(os.path.join(directory, name))}"
    yield "next    " + ("" if directory == "." else f"cd {directory}, then ") + "bundlepipe check, bundlepipe doit"
    if in_git:
        yield f"git     once in each clone, so that lock files are merged: {MERGE_DRIVER}"
    else:
        yield "ignore  .bundlepipe, build and each images.yml that a lock writes, in git"


def _write(path: str, content: str) -> None:
    try:
        write_if_changed(path, content.encode())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
