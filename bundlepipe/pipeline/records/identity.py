"""Identify a file or directory, to distinguish it from one created later at the same path.

The inode number is not enough: file systems reuse it for the next file. The time of birth is, which
edits and renames do not change.
"""

from __future__ import annotations

import os
import struct
import sys

from bundlepipe.filesystem.base_directory import anchored

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_BTIME = 0x800
_STATX_SIZE = 256
_BIRTH_OFFSET = 80


def identity(path: str) -> bytes:
    """Return the identity of a path, without following a link; OSError if it does not exist.

    If the time of birth is unknown, on some systems and file systems, it is that of the inode.
    """
    status = os.lstat(anchored(path))
    born = _born(path, status)
    # Device numbers may change at the next boot, so they are only used if nothing better is known.
    return b"%d@%s" % (status.st_ino, born) if born else b"%d:%d" % (status.st_dev, status.st_ino)


def _born(path: str, status: os.stat_result) -> bytes | None:
    """Return the time of birth, in any unit; None if it is unknown."""
    if sys.platform == "darwin":
        return b"%r" % status.st_birthtime
    return _statx_born(path) if sys.platform == "linux" else None


def _statx_born(path: str) -> bytes | None:
    # Imported here, since a run with nothing to do does not need it.
    import ctypes

    libc = ctypes.CDLL(None)
    # In glibc since 2.28.
    if not hasattr(libc, "statx"):
        return None
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    where, flags, mask = ctypes.c_int(_AT_FDCWD), ctypes.c_int(_AT_SYMLINK_NOFOLLOW), ctypes.c_uint(_STATX_BTIME)
    if libc.statx(where, os.fsencode(anchored(path)), flags, mask, buffer) != 0:
        return None
    (known,) = struct.unpack_from("=I", buffer)
    seconds, nanoseconds = struct.unpack_from("=qI", buffer, _BIRTH_OFFSET)
    return b"%d.%09d" % (seconds, nanoseconds) if known & _STATX_BTIME else None
