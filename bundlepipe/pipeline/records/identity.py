"""What tells a file or directory from another one that is made later at its path.

The number of an inode alone does not: file systems give that of what was removed to the next
file. The time of its birth does, which edits and renames leave alone.
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
    """Return the identity of what is at a path, a link not followed; OSError if there is nothing.

    Without a time of birth, which not every system and file system has, it is that of the inode.
    """
    status = os.lstat(anchored(path))
    born = _born(path, status)
    # The number of a device may be another after the next start, so it serves only where nothing better does.
    return b"%d@%s" % (status.st_ino, born) if born else b"%d:%d" % (status.st_dev, status.st_ino)


def _born(path: str, status: os.stat_result) -> bytes | None:
    """Return the time of birth, of any unit; None if it is not known."""
    if sys.platform == "darwin":
        return b"%r" % status.st_birthtime
    return _statx_born(path) if sys.platform == "linux" else None


def _statx_born(path: str) -> bytes | None:
    # Here, since a run with nothing to do need not wait for it.
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
