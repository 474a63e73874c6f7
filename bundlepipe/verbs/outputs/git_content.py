"""Find out whether git could restore files that would be replaced."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence

from bundlepipe.concurrency.processes import run_program
from bundlepipe.errors import ProgramError, ProgramMissing
from bundlepipe.filesystem.base_directory import anchored, as_given

# `git status` would write to the index, perhaps at the same time as the user's own git.
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0"}
# Of commands that take paths as patterns; others refuse it.
_LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}
# Variables in git's hooks, which may name another repository than the one around the path.
_OF_ONE_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
_SHA1_DIGITS = 40
_LINK_MODE = b"120000"
_CHUNK = 1 << 20


def find_tracked(paths: Sequence[str]) -> list[str]:
    """Return the paths that git tracks; empty if it cannot tell (no repository, say)."""
    if not paths:
        return []
    try:
        output = _git(anchored(os.curdir), "ls-files", "-z", "--", *paths)
    except (ProgramError, ProgramMissing):
        return []
    found = {os.path.normpath(os.fsdecode(path)) for path in output.split(b"\0") if path}
    return [path for path in paths if os.path.normpath(path) in found]


def find_ignored(paths: Sequence[str]) -> list[str]:
    """Return the paths that git ignores, by .gitignore and the like, whether they exist; empty if it cannot tell."""
    if not paths:
        return []
    listed = b"".join(os.fsencode(path) + b"\0" for path in paths)
    try:
        output = _git(anchored(os.curdir), "check-ignore", "-z", "--stdin", stdin=listed, pathspecs={})
    except (ProgramError, ProgramMissing):
        # So it ends, too, if it ignores none of them.
        return []
    found = {os.path.normpath(os.fsdecode(path)) for path in output.split(b"\0") if path}
    return [path for path in paths if os.path.normpath(path) in found]


def find_unkept(path: str) -> str | None:
    """Return what would be lost with the file, link or directory at `path`; None if git has every byte of it.

    Git has tracked, unmodified files that are in the index as on disk: a file that git stores in another form
    (with filters, or other line ends) does not count. Empty directories are no loss. Without a working git or
    a repository, `path` itself would be lost.
    """
    place = anchored(path)
    is_directory = stat.S_ISDIR(os.lstat(place).st_mode)
    parent, name = os.path.split(place)
    directory, inside = (place, os.curdir) if is_directory else (parent or os.curdir, name)
    try:
        tracked = _tracked(directory, inside)
        for below in _files_below(place) if is_directory else [os.fsencode(inside)]:
            file = os.path.join(os.fsencode(directory), below)
            if below not in tracked or tracked[below] != _object_name(file, len(tracked[below])):
                return as_given(os.fsdecode(file)) if is_directory else path
        # Everything is in the index, but perhaps not in a commit.
        return path if _status(directory, inside) else None
    except (ProgramError, ProgramMissing, OSError):
        return path


def _tracked(directory: str, path: str) -> dict[bytes, bytes]:
    """Return the index entry of each file below a path, as `_object_name` does, by its path from the directory."""
    found: dict[bytes, bytes] = {}
    for line in _git(directory, "ls-files", "--stage", "-z", "--", path).split(b"\0"):
        entry, _, name = line.partition(b"\t")
        if name:
            mode, digest, stage = entry.split(b" ")
            if stage == b"0":
                found[name] = (b"l" if mode == _LINK_MODE else b"f") + digest
    return found


def _status(directory: str, path: str) -> bytes:
    options = ("--porcelain", "-z", "--untracked-files=all", "--ignored", "--ignore-submodules=none")
    return _git(directory, "status", *options, "--", path)


def _git(directory: str, *arguments: str, stdin: bytes | None = None, pathspecs: Mapping[str, str] = _LITERAL) -> bytes:
    # A file system monitor is a program that the repository may name.
    command = ("git", "-c", "core.fsmonitor=false", *arguments)
    return run_program(
        command,
        lambda line: None,
        directory=directory,
        environment={**_ENVIRONMENT, **pathspecs},
        without=(*_OF_ONE_REPOSITORY, *_LITERAL),
        stdin=stdin,
        captures_output=True,
    )


def _files_below(directory: str) -> Iterator[bytes]:
    """Yield the path, from the directory, of everything below it except directories."""
    directories = [b""]
    while directories:
        prefix = directories.pop()
        with os.scandir(os.path.join(os.fsencode(directory), prefix)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = os.path.join(prefix, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    directories.append(name)
                else:
                    yield name


def _object_name(file: bytes, length: int) -> bytes | None:
    """Return whether it is a link, and git's object name for its content; None for a device.

    `length` is the length of names in the index, which shows the repository's hash function.
    """
    status = os.lstat(file)
    hasher = hashlib.sha1(usedforsecurity=False) if length <= 1 + _SHA1_DIGITS else hashlib.sha256()
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(file)
        hasher.update(b"blob %d\0" % len(target) + target)
        return b"l" + hasher.hexdigest().encode()
    if not stat.S_ISREG(status.st_mode):
        return None
    hasher.update(b"blob %d\0" % status.st_size)
    with open(file, "rb") as content:
        while chunk := content.read(_CHUNK):
            hasher.update(chunk)
    return b"f" + hasher.hexdigest().encode()
