"""lock merge: what git calls to merge the lock files of two branches."""

from __future__ import annotations

import click

from bundlepipe.cli.command import PATH, Command, Commands, Run
from bundlepipe.errors import DocumentError, OutputError
from bundlepipe.files import read_file, write_if_changed

lock = Commands(
    {"merge": ("lock:merge", "Merge the lock files of two branches, as git's merge driver")},
    name="lock",
    help="Work on the lock file of a pipeline.",
)


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
    """Merge what two branches made of the lock file BASE, entry by entry, into the file OURS.

    PATH is what messages call the file. Where both moved one entry, to different digests, it
    is written between git's conflict marks, and the exit status is 1.

    git calls it for files with the attribute merge=bundlepipe, as .gitattributes gives it by the
    line "bundlepipe.lock merge=bundlepipe", once each clone knows what that is:

    git config merge.bundlepipe.driver "bundlepipe lock merge %O %A %B %P"
    """
    from bundlepipe.documents.lock_file import LockFile
    from bundlepipe.documents.lock_merge import merge as merged_of

    def read(file: str, side: str) -> LockFile:
        return LockFile.parse(read_file(file), f"{path}, {side}" if path else file)

    merged = merged_of(read(base, "base"), read(ours, "ours"), read(theirs, "theirs"))
    try:
        write_if_changed(ours, merged.to_bytes())
    except OSError as error:
        raise OutputError(f"{ours}: cannot be written: {error.strerror}") from None
    if merged.conflicts:
        raise DocumentError(
            f"{path or ours}: both sides moved {key}, ours to {our}, theirs to {their}: keep one of the two entries "
            "in the file, and run doit lock_bundle"
            for key, (our, their) in merged.conflicts.items()
        )
