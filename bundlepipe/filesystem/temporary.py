"""Temporary files, with an error that says what to do if there is no room for them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import IO

from bundlepipe.errors import StoreError, printable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class NoRoom(StoreError):
    """The directory for temporary files has no room."""


def temporary_file(what: str, size: int | None = None) -> IO[bytes]:
    """Return a new file without a name, which disappears with the process.

    It will hold `what`, at most `size` bytes if that is known. Raises NoRoom if no file can be
    created.
    """
    import tempfile

    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise _no_room(error, what, size) from None


def reopened(descriptor: int) -> IO[bytes]:
    """Return another file object on an open file, at its beginning (macOS shares the position of the first)."""
    again = open(f"/dev/fd/{descriptor}", "rb")  # noqa: SIM115  (the caller closes it)
    again.seek(0)
    return again


@contextlib.contextmanager
def temporary_room(what: str, size: int | None = None) -> Iterator[None]:
    """Raise NoRoom if writing to a temporary file in this block runs out of room."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _no_room(error, what, size) from None


def _no_room(error: OSError, what: str, size: int | None) -> NoRoom:
    import tempfile

    # Not by gettempdir(), which fails if no directory can hold a file.
    directory = tempfile.tempdir or os.environ.get("TMPDIR") or "the directory for temporary files"
    needed = "" if size is None else f" (up to {size} byte{'' if size == 1 else 's'})"
    return NoRoom(
        f"{printable(directory)}: {what}{needed} cannot be kept there: {error.strerror}: make room, or name another "
        "directory with TMPDIR"
    )
