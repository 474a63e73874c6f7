"""Refuse outputs at paths that must never be replaced, even with `--force`.

imgpkg refuses `/`, `.` and `..`; this also refuses other directories that no user means to delete.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator
from contextlib import suppress

from bundlepipe.errors import OutputError
from bundlepipe.filesystem.base_directory import anchored, base_directory

# imgpkg's words, which scripts look for.
_DISALLOWED = "Disallowed output directory (trying to avoid accidental deletion)"
_GIT = ".git"

_Identity = tuple[int, int]


def refuse_dangerous(target: str, protected: Iterable[str] = ()) -> None:
    """Raise OutputError unless `target` may be deleted and created again.

    It must not be or contain the root, the current directory, a home directory, a mount point, a
    git repository or work tree, or one of the `protected` paths (which need not exist), nor be
    inside the `.git` of a repository. Links among the parents of all of them are followed, and
    names that are the same to the file system (case, mounts) count as the same.
    """
    refuse_repository(target)
    resolved = _resolve(target)
    identity = _identity(resolved)
    for path, what in _kept(protected):
        if _contains(resolved, identity, _resolve(path)):
            raise OutputError(f"{target}: {_DISALLOWED}: it is or contains {what}")
    found = _find_repository_or_mount(resolved)
    if found:
        raise OutputError(f"{target}: {_DISALLOWED}: it is or contains {found}")


def refuse_repository(target: str) -> None:
    """Raise OutputError if an output, a file or a directory, is the `.git` of a repository or inside one."""
    if names_repository(target) or names_repository(_resolve(target)):
        raise OutputError(f"{target}: {_DISALLOWED}: it is or lies in {_GIT}, where git keeps a repository")


def names_repository(path: str) -> bool:
    """Return whether `.git` is one of the names in a path, ignoring case as some file systems do."""
    return any(map(_is_repository, path.split(os.sep)))


def _is_repository(name: str) -> bool:
    return name.lower() == _GIT


def _resolve(path: str) -> str:
    try:
        return os.path.realpath(anchored(path))
    except FileNotFoundError:
        raise OutputError(f"{path}: cannot be resolved: the current directory was removed") from None
    except ValueError:
        raise OutputError(f"{path!r}: is not a path: it holds a NUL") from None


def _kept(protected: Iterable[str]) -> Iterator[tuple[str, str]]:
    yield os.sep, "the root directory"
    # If the current directory was removed, no output can contain it.
    with suppress(FileNotFoundError):
        yield base_directory(), "the current directory"
    for home in _home_directories():
        yield home, f"the home directory {home}"
    for path in protected:
        yield path, path


def _home_directories() -> Iterator[str]:
    """Yield the home directory of $HOME, and that of the user database, which $HOME may hide."""
    named = os.environ.get("HOME")
    if named:
        yield named
    with suppress(KeyError):
        recorded = pwd.getpwuid(os.getuid()).pw_dir
        if recorded:
            yield recorded


def _contains(directory: str, identity: _Identity | None, path: str) -> bool:
    """Return whether a resolved path is a directory or is inside it."""
    if path == directory or path.startswith(directory.rstrip(os.sep) + os.sep):
        return True
    if identity is None:
        return False
    while _identity(path) != identity:
        parent = os.path.dirname(path)
        if parent == path:
            return False
        path = parent
    return True


def _identity(path: str) -> _Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _find_repository_or_mount(directory: str) -> str | None:
    """Return the first one found here or below: a directory with a `.git`, directory or file, or a mount point."""
    device = _device(directory)
    if device is not None and os.path.ismount(directory):
        return f"the mount point {directory}"
    directories = [directory]
    while directories:
        current = directories.pop()
        try:
            with os.scandir(current) as entries:
                found = list(entries)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise OutputError(f"{current}: cannot be searched for git repositories: {error.strerror}") from None
        for entry in found:
            if _is_repository(entry.name):
                return f"the git repository {current}"
            if entry.is_dir(follow_symlinks=False):
                if _device(entry.path) not in (device, None):
                    return f"the mount point {entry.path}"
                directories.append(entry.path)
    return None


def _device(directory: str) -> int | None:
    try:
        return os.lstat(directory).st_dev
    except OSError:
        return None
