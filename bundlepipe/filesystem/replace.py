"""Replace a directory atomically: the target has its old content or the new one, never a mix.

The new content is written to a sibling of the target and exchanged with it at the end. Leftovers of
a killed run are recognised by their name and their free lock; the next publication to the same
target removes them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bundlepipe.errors import OutputError
from bundlepipe.filesystem.base_directory import anchored, base_directory
from bundlepipe.filesystem.exchange import exchange
from bundlepipe.filesystem.overlay import Overlay, active_overlay
from bundlepipe.filesystem.remove import remove_tree

_INCOMING = "incoming"
_PREVIOUS = "previous"
# Leaves room for the rest of a sibling's name in the 255 bytes that file systems allow.
_LONGEST_BASE = 200

_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)
# Errors of flock if a network file system has no locks, or none for directories.
_NO_LOCKS = (errno.ENOLCK, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_REASONS = {
    errno.EBUSY: "it is a mount point, which cannot be replaced; name a directory below it",
    errno.EXDEV: "it comes from a lower layer of an overlay file system, which cannot rename it; remove it first",
}


@contextmanager
def replace_directory(target: str) -> Iterator[str]:
    """Yield a new, empty directory to fill; on leaving the context it replaces `target`.

    The directory is a sibling of the target. If the context ends with an exception, the target
    stays unchanged. After a kill, at any time, it is old or new, and complete; if the file system
    cannot exchange directories, it may be absent between two renames, and the next publication
    first restores the old one. Several publications to one target may run at once: each succeeds,
    the last one stays.

    Missing parents are created. Raises OutputError if the target is not a directory, or is a mount
    point, or if the file system refuses.
    """
    if overlay := active_overlay():
        with _foreseen(target, overlay) as directory:
            yield directory
        return
    publication = _Publication(target)
    incoming, lock = publication.begin()
    try:
        yield incoming
        publication.publish(incoming)
    except BaseException:
        _unlock(lock)
        # An error here matters less than the one being raised, and the next publication tries again.
        with suppress(OutputError):
            publication.discard(incoming)
        raise
    _unlock(lock)
    publication.discard(incoming)


@contextmanager
def _foreseen(target: str, overlay: Overlay) -> Iterator[str]:
    """Do the same in a plan: the real target stays, and its new content is seen in its place."""
    head, _ = _parts_of(target)
    _check_parents(target, anchored(head or os.curdir))
    try:
        _check_target(anchored(target.rstrip("/")), target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be replaced: {_reason(error)}") from None
    incoming = overlay.new_directory()
    yield incoming
    overlay.replace_directory(os.path.join(base_directory(), target), incoming)


def _parts_of(target: str) -> tuple[str, str]:
    head, base = os.path.split(target.rstrip("/"))
    if base in ("", os.curdir, os.pardir) or "\0" in target:
        raise OutputError(f"{target}: cannot be replaced: expected the name of a directory")
    return head, base


def _check_parents(target: str, parent: str) -> None:
    """Raise OutputError if something among the parents is not a directory."""
    obstacle = parent
    while not os.path.lexists(obstacle):
        obstacle = os.path.dirname(obstacle)
    if not os.path.isdir(obstacle):
        raise OutputError(f"{target}: cannot be created: {obstacle} is not a directory") from None


def _check_target(target: str, shown: str) -> None:
    """Raise OutputError or OSError if a directory cannot be replaced."""
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise OutputError(f"{shown}: cannot be replaced: it is a symbolic link; name the directory itself")
    if not stat.S_ISDIR(mode):
        raise OutputError(f"{shown}: cannot be replaced: it is not a directory")
    if os.path.ismount(target):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


class _Publication:
    """The steps of one publication to one target."""

    def __init__(self, target: str) -> None:
        head, base = _parts_of(target)
        self._shown = target
        self._parent = os.path.realpath(anchored(head or os.curdir))
        self._target = os.path.join(self._parent, base)
        self._base = base if len(os.fsencode(base)) <= _LONGEST_BASE else base[: _LONGEST_BASE // 4]
        self._previous: list[str] = []

    def begin(self) -> tuple[str, int | None]:
        """Check the target and clean up after killed runs; return a new directory and its lock."""
        try:
            self._create_parents()
            _check_target(self._target, self._shown)
            self._clear_leftovers()
            return self._create_incoming()
        except OSError as error:
            raise OutputError(f"{self._shown}: cannot be replaced: {_reason(error)}") from None

    def publish(self, incoming: str) -> None:
        """Replace the target with the new directory.

        Nothing is synchronised to disk (fsync), which would take longer than all the rest: the
        output can be produced again, and after a power failure has to be checked like any other
        output.
        """
        try:
            while not self._put(incoming):
                pass
        except OSError as error:
            raise OutputError(f"{self._shown}: cannot be replaced: {_reason(error)}") from None

    def discard(self, incoming: str) -> None:
        """Remove a directory that is not, or no longer, the target."""
        self._remove(incoming)
        for directory in self._previous:
            self._remove_previous(directory)

    def _create_parents(self) -> None:
        try:
            os.makedirs(self._parent, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            _check_parents(self._shown, self._parent)
            raise

    def _clear_leftovers(self) -> None:
        leftover = re.compile(rf"\.{re.escape(self._base)}\.[0-9a-f]{{8}}\.({_INCOMING}|{_PREVIOUS})")
        for name in os.listdir(self._parent):
            match = leftover.fullmatch(name)
            if not match:
                continue
            directory = os.path.join(self._parent, name)
            if match[1] == _INCOMING:
                self._remove_abandoned(directory)
            elif os.path.lexists(self._target):
                self._remove_previous(directory)
            else:
                self._restore(directory)

    def _remove_abandoned(self, directory: str) -> None:
        try:
            lock = _lock(directory)
        except OSError:
            # In use, gone, or on a file system without locks, where it cannot be decided.
            return
        try:
            self._remove(directory)
        finally:
            _unlock(lock)

    def _create_incoming(self) -> tuple[str, int | None]:
        while True:
            directory = self._sibling(_INCOMING)
            os.mkdir(directory)
            try:
                return directory, _lock(directory)
            except (BlockingIOError, FileNotFoundError):
                # Another publication ran between these two steps and removed it as abandoned.
                continue
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                return directory, None

    def _put(self, incoming: str) -> bool:
        """Make one attempt; return False if another publication interfered."""
        try:
            # Sufficient if the target is absent or empty.
            os.rename(incoming, self._target)
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
        else:
            return True
        try:
            return exchange(os.fsencode(incoming), os.fsencode(self._target)) or self._put_in_two_steps(incoming)
        except FileNotFoundError:
            return False

    def _put_in_two_steps(self, incoming: str) -> bool:
        previous = self._sibling(_PREVIOUS)
        self._previous.append(previous)
        try:
            os.rename(self._target, previous)
            os.rename(incoming, self._target)
        except BaseException as error:
            self._restore(previous)
            if isinstance(error, OSError) and error.errno in _OCCUPIED:
                return False
            raise
        return True

    def _restore(self, previous: str) -> None:
        try:
            os.rename(previous, self._target)
        except OSError as error:
            # Another publication was faster, at either path.
            if error.errno not in (*_OCCUPIED, errno.ENOENT):
                raise

    def _remove_previous(self, previous: str) -> None:
        """Remove the previous target, unless it is the only copy."""
        if not os.path.lexists(self._target):
            return
        # Under its name it may be restored at any time, so it has to be complete or gone.
        doomed = self._sibling(_INCOMING)
        try:
            os.rename(previous, doomed)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._cannot_remove(previous, error) from None
        self._remove(doomed)

    def _sibling(self, role: str) -> str:
        return os.path.join(self._parent, f".{self._base}.{os.urandom(4).hex()}.{role}")

    def _remove(self, directory: str) -> None:
        try:
            remove_tree(os.fsencode(directory))
        except OSError as error:
            raise self._cannot_remove(directory, error) from None

    def _cannot_remove(self, directory: str, error: OSError) -> OutputError:
        return OutputError(
            f"{self._shown}: the remains in {directory} cannot be removed: {error.strerror}; remove them by hand"
        )


def _lock(directory: str) -> int:
    """Return a descriptor that holds the lock of a directory; BlockingIOError if it is locked."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), os.lstat(directory)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), directory)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _unlock(lock: int | None) -> None:
    if lock is not None:
        # Closing alone would leave the lock with processes that were forked meanwhile.
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or str(error.strerror)
