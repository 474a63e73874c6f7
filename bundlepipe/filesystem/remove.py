"""Remove a directory tree of any depth.

`shutil.rmtree` keeps a file descriptor and a stack frame for each level of nesting and stops at
directories without write permission; this does neither. Like that function it follows no links,
even ones that appear meanwhile.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_MAY_ALL = 0o700

_Identity = tuple[int, int]


def remove_tree(directory: bytes) -> None:
    """Remove `directory` and everything below it; do nothing if it is absent.

    Several callers may remove one directory at once. Permissions are changed if they prevent
    removal. Mount points below are not entered. Raises OSError.
    """
    while True:
        try:
            _remove_once(directory)
        except FileNotFoundError:
            # Another process is removing it too, and removed the current directory of this walk.
            if not os.path.lexists(directory):
                return
        else:
            return


def _remove_once(directory: bytes) -> None:
    """Walk depth first with one descriptor, returning by `..`, so that any depth works."""
    parent, name = os.path.split(directory)
    here = os.open(parent or b".", _DIRECTORY & ~os.O_NOFOLLOW)
    above: list[tuple[_Identity, list[str]]] = []
    subdirectories = [os.fsdecode(name)]
    try:
        while True:
            if subdirectories:
                below = _enter(here, subdirectories[-1])
                above.append((_identity(here), subdirectories))
                os.close(here)
                here = below
                subdirectories = _remove_files(here)
            elif above:
                expected, subdirectories = above.pop()
                parent_descriptor = os.open("..", _DIRECTORY, dir_fd=here)
                os.close(here)
                here = parent_descriptor
                if _identity(here) != expected:
                    raise OSError(errno.ESTALE, "it was moved while it was removed")
                with suppress(FileNotFoundError):
                    os.rmdir(subdirectories[-1], dir_fd=here)
                subdirectories.pop()
            else:
                return
    finally:
        os.close(here)


def _enter(parent: int, name: str) -> int:
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        os.chmod(name, _OWNER_MAY_ALL, dir_fd=parent)
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        status = os.fstat(descriptor)
        if status.st_dev != os.fstat(parent).st_dev:
            raise OSError(errno.EBUSY, f"'{name}' is a mount point")
        if status.st_mode & _OWNER_MAY_ALL != _OWNER_MAY_ALL:
            os.fchmod(descriptor, _OWNER_MAY_ALL)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_files(directory: int) -> list[str]:
    """Remove all entries except directories; return the names of those."""
    subdirectories: list[str] = []
    with os.scandir(directory) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                subdirectories.append(entry.name)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=directory)
    return subdirectories


def _identity(descriptor: int) -> _Identity:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
