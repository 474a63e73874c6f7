"""Outputs of commands: existing files are not replaced if anything would be lost, unless `--force` is given.

Under the names imgpkg and kbld their rule applies, which is to replace them; git repositories stay even
then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any

import click
from msgspec.structs import replace

from bundlepipe.cli.parsing.command import Run, Switch
from bundlepipe.cli.parsing.images import STANDARD, write_lock
from bundlepipe.cli.tool import BUNDLEPIPE
from bundlepipe.errors import OutputError
from bundlepipe.filesystem.dangerous import refuse_repository
from bundlepipe.filesystem.files import is_stream
from bundlepipe.verbs.outputs.kinds import BUNDLE_LOCK, COPIED_TAR, IMAGES_LOCK, KBLD_LOCK, tar_outputs
from bundlepipe.verbs.outputs.replacing import DirectoryOutput, FileOutput, Kind, ReplacePolicy, check_all, followed

# The names of locks in imgpkg and kbld.
_PEERS_NAMES = {BUNDLE_LOCK.name: "bundle config", IMAGES_LOCK.name: "images config", KBLD_LOCK.name: "lock config"}


def force_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--force` to a command, only under the name bundlepipe."""
    text = "Replace an existing output even if files would be lost"
    return click.option("--force", cls=Switch, only_for=(BUNDLEPIPE.name,), help=text)(function)


def check_tar(run: Run, path: str, *, force: bool, is_written: bool = False) -> None:
    """Raise OutputError if a tar file must not be written to, or once it `is_written`, put in place at `path`."""
    refuse_repository(path)
    if run.tool is BUNDLEPIPE:
        outputs = tar_outputs(path, _claim(f"it is not {COPIED_TAR.name}", "file", force=force))
        # By then the partial file is complete, and about to be renamed.
        check_all(outputs[:1] if is_written else outputs)


def lock_writer(run: Run, path: str | None, kinds: Collection[Kind], *, force: bool) -> Callable[[bytes, Kind], None]:
    """Return a function that writes a lock, of one of these kinds, to a file, or prints it (`-`).

    OutputError, now or on writing, if the existing file must stay.
    """
    output = _lock_output(run, path, kinds, force=force) if path else None
    if output:
        output.check()

    def write(content: bytes, kind: Kind) -> None:
        if path:
            if output:
                replace(output, kinds=[kind]).check(content)
            peers_name = None if run.tool is BUNDLEPIPE else _PEERS_NAMES[kind.name]
            write_lock(path, content, run.console.block, peers_name=peers_name)

    return write


def _lock_output(run: Run, path: str, kinds: Collection[Kind], *, force: bool) -> FileOutput | None:
    """Return a file to check before it is replaced; None for a stream, and under another name."""
    if path == STANDARD or is_stream(path):
        return None
    refuse_repository(path)
    if run.tool is not BUNDLEPIPE:
        return None
    if os.path.isdir(path):
        raise OutputError(f"{path}: is a directory: name a file")
    names = " nor ".join(kind.name for kind in kinds)
    unknown = f"it is {'neither' if len(kinds) > 1 else 'not'} {names}"
    return FileOutput(followed(path), _claim(unknown, "file", force=force), kinds, takes_empty=True)


def pull_output(path: str, made: Callable[[], bool], *, is_bundle: bool | None, force: bool) -> DirectoryOutput:
    """Return the directory of a pull; `made` returns whether an earlier pull made it."""
    claim = _claim("its files are not as a pull left them", "directory", force=force, made=made)
    return DirectoryOutput(path, claim, is_bundle=is_bundle)


def _claim(unknown: str, what: str, *, force: bool, made: Callable[[], bool] = lambda: False) -> ReplacePolicy:
    advice = f"remove it, name another {what}, or replace it with --force"
    return ReplacePolicy(unknown=unknown, advice=advice, forced=force, made=made)
