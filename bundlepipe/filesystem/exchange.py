"""Exchange two directories atomically, if the system supports it.

Linux: renameat2(2) with RENAME_EXCHANGE, since 3.15. macOS: renamex_np(2) with RENAME_SWAP
on APFS. Python has neither.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctypes import CDLL

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENAME_SWAP = 2

# System call numbers on 64-bit systems, from asm/unistd.h, for C libraries without the function
# (musl).
_RENAMEAT2_NUMBERS = {
    "x86_64": 316,
    "aarch64": 276,
    "riscv64": 276,
    "loongarch64": 276,
    "ppc64le": 357,
    "s390x": 347,
}

# EINVAL: the file system lacks the flag. EPERM: a sandbox does not know the call.
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM)


def exchange(one: bytes, other: bytes) -> bool:
    """Exchange two existing paths of one file system atomically.

    Returns False, with nothing changed, if the system or the file system cannot do it; raises
    OSError if any kind of rename would fail.
    """
    # Imported here, since a first publication does not need it.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        result = libc.renamex_np(one, other, ctypes.c_uint(_RENAME_SWAP))
    elif sys.platform == "linux":
        result = _renameat2(libc, one, other)
    else:
        return False
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), os.fsdecode(other))


def _renameat2(libc: CDLL, one: bytes, other: bytes) -> int:
    import ctypes

    arguments = (ctypes.c_int(_AT_FDCWD), one, ctypes.c_int(_AT_FDCWD), other, ctypes.c_uint(_RENAME_EXCHANGE))
    if hasattr(libc, "renameat2"):
        return int(libc.renameat2(*arguments))
    number = _RENAMEAT2_NUMBERS.get(os.uname().machine)
    if number is None or sys.maxsize < 2**32:
        ctypes.set_errno(errno.ENOSYS)
        return -1
    return int(libc.syscall(ctypes.c_long(number), *arguments))
