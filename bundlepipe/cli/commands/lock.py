"""The commands `lock check`, whether locks are current, and `lock merge`, git's merge driver for lock files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import click

from bundlepipe.cli.doit_program import Untouched, run_command
from bundlepipe.cli.parsing.command import PATH, Command, Run
from bundlepipe.cli.parsing.groups import Commands
from bundlepipe.cli.printing.results import merged_to_json
from bundlepipe.documents.yaml.conflict_markers import both_sides
from bundlepipe.errors import DocumentError, OutputError
from bundlepipe.filesystem.files import read_document, write_if_changed

if TYPE_CHECKING:
    from bundlepipe.documents.lock_file.content import LockFile

_MOST_CONFLICTS = 127
_AS_TEXT = (
    "merged line by line, since one side is not a lock file: keep the entries of both sides, but one digest for each "
    "reference, and run doit lock_bundle"
)

lock = Commands(
    {
        "check": ("lock:check", "Find locks that are out of date, without a network"),
        "merge": ("lock:merge", "Merge the lock files of two branches, as git's merge driver"),
    },
    name="lock",
    help="Work on the locks of a pipeline.",
)


@click.command(cls=Untouched, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def check(context: click.Context, arguments: list[str]) -> None:
    """Find locks that are out of date, without a network: `bundlepipe lock check`, `bundlepipe lock check --help`.

    It finds the tasks as `bundlepipe doit` does. It prints a line for each file that `doit lock_bundle` would
    change, and then exits with 1. Nothing is written.
    """
    from bundlepipe.pipeline.plugins.status_commands import LockCheckCommand

    name = f"{context.find_root().info_name} lock"
    run_command(context, "check", arguments, name=name, commands={"check": LockCheckCommand})


@click.command(
    cls=Command,
    examples={"Merge the lock files of two branches": "lock merge base.lock ours.lock theirs.lock bundlepipe.lock"},
)
@click.argument("base", type=PATH)
@click.argument("ours", type=PATH)
@click.argument("theirs", type=PATH)
@click.argument("path", type=PATH, required=False)
@click.pass_obj
def merge(run: Run, base: str, ours: str, theirs: str, path: str | None) -> None:
    """Merge two branches' changes of the lock file BASE, entry by entry, into the file OURS.

    PATH is the file's name in messages. If both branches moved an entry to different digests, it is
    written between git's conflict marks, and the exit status is 1. If OURS or THEIRS is not a lock
    file, the lines are merged as git does, and the exit status is 1 too.

    git runs it for files with the attribute merge=bundlepipe, set in .gitattributes by the line
    "bundlepipe.lock merge=bundlepipe", once each clone has this setting:

    git config merge.bundlepipe.driver "bundlepipe lock merge %O %A %B %P"
    """
    from bundlepipe.documents.lock_file.merge import merge as merged_of
    from bundlepipe.documents.lock_file.merge import parse_base

    before, our, their = (read_document(file) for file in (base, ours, theirs))
    problems: list[str] = []
    our_entries = _parsed(our, f"{path}, ours" if path else ours, problems)
    their_entries = _parsed(their, f"{path}, theirs" if path else theirs, problems)
    if problems:
        _write(ours, _merged_as_text(base, ours, theirs) or both_sides(our, their))
        run.console.document(merged_to_json(ours, None))
        raise DocumentError([*problems, f"{path or ours}: {_AS_TEXT}"])
    merged = merged_of(parse_base(before), our_entries, their_entries)
    _write(ours, merged.to_bytes())
    run.console.document(merged_to_json(ours, merged))
    if merged.conflicts:
        raise DocumentError(
            f"{path or ours}: both sides moved {key}, ours to {our}, theirs to {their}: keep one of the two entries "
            "in the file, and run doit lock_bundle"
            for key, (our, their) in merged.conflicts.items()
        )


def _parsed(content: bytes, shown: str, problems: list[str]) -> LockFile:
    from bundlepipe.documents.lock_file.content import LockFile

    try:
        return LockFile.parse(content, shown)
    except DocumentError as error:
        problems.extend(error.problems)
        return LockFile()


def _merged_as_text(base: str, ours: str, theirs: str) -> bytes | None:
    """Return the three files merged by lines, as git does without a driver; None if git cannot."""
    labels = [argument for side in ("ours", "base", "theirs") for argument in ("-L", side)]
    command = ["git", "merge-file", "-p", *labels, "--", ours, base, theirs]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return None
    # The number of conflicts, or more than there may be.
    return done.stdout if done.returncode <= _MOST_CONFLICTS else None


def _write(path: str, content: bytes) -> None:
    try:
        write_if_changed(path, content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
