"""Snapshots of files and directories, which show in a later run whether they changed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from bundlepipe.errors import InputError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.inputs import DIRECTORY_MODE, OWNER_BITS, Entry, Inputs, read_file, walk

# A change within the resolution of a file system's clock does not change the time stamps; the
# coarsest in use (FAT) has two seconds. Git calls such files "racily clean".
_CLOCK_RESOLUTION_NS = 2_000_000_000


class FileState(NamedTuple):
    """The recorded state of an entry: content and mode, and the time stamps that vouch for them.

    `sha256` is None for a directory. A `ctime_ns` of 0 marks a file that changed too recently for
    its stamps to prove anything.
    """

    mode: int
    sha256: str | None
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def vouches_for(self, status: os.stat_result) -> bool:
        """Return whether a file with this `status` must be the recorded one."""
        return (
            self.ctime_ns == status.st_ctime_ns
            and self.mtime_ns == status.st_mtime_ns
            and self.size == status.st_size
            and self.inode == status.st_ino
        )

    def same_content(self, other: FileState) -> bool:
        """Return whether both states produce the same entry in a layer."""
        return (self.mode, self.sha256) == (other.mode, other.sha256)


Snapshot = dict[str, FileState]


def file_state(inputs: Inputs, entry: Entry, sha256: str, read_at_ns: int) -> FileState:
    """Return the state to record for a file whose content, read at `read_at_ns`, has this hash."""
    return _file_state(entry.status, inputs.mode(entry.status), sha256, read_at_ns)


def extracted_state(status: os.stat_result, sha256: str) -> FileState:
    """Return the state of a file just written with this content, whose stamps are too new to trust."""
    return FileState(status.st_mode & OWNER_BITS, sha256, status.st_size, status.st_mtime_ns, 0, status.st_ino)


def directory_state(mode: int = DIRECTORY_MODE) -> FileState:
    """Return the state to record for a directory: its size and stamps add nothing to those of its entries."""
    return FileState(mode, None, 0, 0, 0, 0)


def _file_state(status: os.stat_result, mode: int, sha256: str, read_at_ns: int) -> FileState:
    settled = read_at_ns - status.st_ctime_ns > _CLOCK_RESOLUTION_NS
    ctime_ns = status.st_ctime_ns if settled else 0
    return FileState(mode, sha256, status.st_size, status.st_mtime_ns, ctime_ns, status.st_ino)


def snapshot(inputs: Inputs, known: Mapping[str, FileState]) -> Snapshot:
    """Return the state of every entry now, by path.

    A file is read only if `known`, an earlier snapshot, does not vouch for it. Raises InputError as
    `walk` does.
    """
    return {
        entry.path: directory_state(inputs.mode(entry.status))
        if entry.is_directory
        else content_state(entry, inputs.mode(entry.status), known)
        for entry in walk(inputs)
    }


def content_state(entry: Entry, mode: int, known: Mapping[str, FileState]) -> FileState:
    """Return the state of a file, with this `mode`; it is read only if `known` does not vouch for it.

    Raises InputError as `read_file` does.
    """
    before = known.get(entry.path)
    if before and before.vouches_for(entry.status):
        # A change of mode changes ctime, so `known` also vouches for what the mode was derived
        # from.
        return before if before.mode == mode else before._replace(mode=mode)
    read_at_ns = time.time_ns()
    hasher = hashlib.sha256()
    for chunk in read_file(entry):
        hasher.update(chunk)
    return _file_state(entry.status, mode, hasher.hexdigest(), read_at_ns)


def file_snapshot(paths: Sequence[str], known: Mapping[str, FileState]) -> Snapshot:
    """Return the state of some files by their content alone, following links; `known` and InputError as above."""
    now: Snapshot = {}
    for path in paths:
        try:
            status = os.stat(anchored(path))
            before = known.get(path)
            if before and before.vouches_for(status):
                now[path] = before
                continue
            read_at_ns = time.time_ns()
            with open(anchored(path), "rb") as file:
                sha256 = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        now[path] = _file_state(status, 0, sha256, read_at_ns)
    return now


Change = Literal["fileAdded", "fileRemoved", "fileChanged", "modeChanged"]
_IN_WORDS: Mapping[Change, str] = {
    "fileAdded": "is new",
    "fileRemoved": "is gone",
    "fileChanged": "changed",
    "modeChanged": "changed its mode",
}


class Difference(NamedTuple):
    """What happened to a path between two snapshots; as a string a sentence."""

    path: str
    change: Change

    def __str__(self) -> str:
        return f"{self.path} {_IN_WORDS[self.change]}"


def differences(before: Mapping[str, FileState], now: Mapping[str, FileState]) -> list[Difference]:
    """Return the changes between two snapshots, by path; empty if they give the same layer."""
    changes = [Difference(path, "fileAdded") for path in now.keys() - before.keys()]
    changes += [Difference(path, "fileRemoved") for path in before.keys() - now.keys()]
    for path in now.keys() & before.keys():
        old, new = before[path], now[path]
        if old is not new and not old.same_content(new):
            changes.append(Difference(path, "fileChanged" if old.sha256 != new.sha256 else "modeChanged"))
    return sorted(changes)
