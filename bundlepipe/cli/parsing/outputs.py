"""What commands write in the place of what is there: nothing that would be lost, unless `--force` is given.

Under the names of imgpkg and kbld their rule holds, which is to replace it; repositories of git
stay even then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import click

from bundlepipe.cli.parsing.command import Run, Switch
from bundlepipe.cli.parsing.images import STANDARD, is_stream, write_lock
from bundlepipe.cli.tool import BUNDLEPIPE
from bundlepipe.errors import OutputError
from bundlepipe.filesystem.dangerous import refuse_repository
from bundlepipe.verbs.outputs.kinds import BUNDLE_LOCK, COPIED_TAR, IMAGES_LOCK, KBLD_LOCK, tar_outputs
from bundlepipe.verbs.outputs.replacing import Claim, DirectoryOutput, FileOutput, Kind, check_all, followed

# What imgpkg and kbld call the locks that they write.
_PEERS_NAMES = {BUNDLE_LOCK.name: "bundle config", IMAGES_LOCK.name: "images config", KBLD_LOCK.name: "lock config"}


def force_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--force`, under the name bundlepipe alone."""
    text = "Replace what is in the place of the output even if it would be lost"
    return click.option("--force", cls=Switch, only_for=(BUNDLEPIPE.name,), help=text)(function)


def check_tar(run: Run, path: str, *, force: bool, is_written: bool = False) -> None:
    """Raise OutputError if a tar must not be written at `path`; once it `is_written` there, put in its place."""
    refuse_repository(path)
    if run.tool is BUNDLEPIPE:
        outputs = tar_outputs(path, _claim(f"it is not {COPIED_TAR.name}", "file", force=force))
        # The partial file is whole by then, and about to go.
        check_all(outputs[:1] if is_written else outputs)


def lock_writer(run: Run, path: str | None, kinds: Collection[Kind], *, force: bool) -> Callable[[bytes, Kind], None]:
    """Return what writes a lock, of one of these kinds, to a file, or prints it (`-`).

    OutputError, now or when it is written, if what is there must stay.
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
    """Return a file that must be asked before it is replaced; None for a stream, and under another name."""
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
    """Return the directory of a pull; `made` tells whether it is what an earlier pull left there."""
    claim = _claim("its files are not as a pull left them", "directory", force=force, made=made)
    return DirectoryOutput(path, claim, is_bundle=is_bundle)


def _claim(unknown: str, what: str, *, force: bool, made: Callable[[], bool] = lambda: False) -> Claim:
    advice = f"remove it, name another {what}, or replace it with --force"
    return Claim(unknown=unknown, advice=advice, forced=force, made=made)
