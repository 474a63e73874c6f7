"""A directory replaced as a whole: what was there, or what is new, and never anything between.

The new content grows in a sibling of the target that trades places with it at the end.
What a killed run left behind is recognised by its name, and by its lock being free, and is
removed by the next publication to the same target.
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
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.exchange import exchange
from bundlepipe.filesystem.remove import remove_tree

_INCOMING = "incoming"
_PREVIOUS = "previous"
# Leaves room for the rest of the name of a sibling in the 255 bytes that file systems allow.
_LONGEST_BASE = 200

_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)
# What flock says where a network file system has no locks, or none for a directory.
_NO_LOCKS = (errno.ENOLCK, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_REASONS = {
    errno.EBUSY: "it is a mount point, which nothing can take the place of; name a directory below it",
    errno.EXDEV: "it comes from a lower layer of an overlay file system, which cannot rename it; remove it first",
}


@contextmanager
def replace_directory(target: str) -> Iterator[str]:
    """Give a new, empty directory to fill; on leaving the context it becomes `target`.

    The directory is a sibling of the target. If the context ends with an exception, the
    target stays as it was. After a kill, at any time, it is old or new, and whole; where
    the file system cannot exchange directories it may, for the moment between two renames,
    be absent, and the next publication begins by putting the old one back. Several
    publications to one target may run at once: each succeeds, the last one stays.

    Missing parents are created. Raises OutputError where the target is something else than
    a directory, or a mount point, or where the file system refuses.
    """
    publication = _Publication(target)
    incoming, lock = publication.begin()
    try:
        yield incoming
        publication.publish(incoming)
    except BaseException:
        _unlock(lock)
        # What goes wrong here is less than the error on its way, and the next publication tries again.
        with suppress(OutputError):
            publication.discard(incoming)
        raise
    _unlock(lock)
    publication.discard(incoming)


class _Publication:
    """The steps of one publication to one target."""

    def __init__(self, target: str) -> None:
        head, base = os.path.split(target.rstrip("/"))
        if base in ("", os.curdir, os.pardir) or "\0" in target:
            raise OutputError(f"{target}: cannot be replaced: expected the name of a directory")
        self._shown = target
        self._parent = os.path.realpath(anchored(head or os.curdir))
        self._target = os.path.join(self._parent, base)
        self._base = base if len(os.fsencode(base)) <= _LONGEST_BASE else base[: _LONGEST_BASE // 4]
        self._previous: list[str] = []

    def begin(self) -> tuple[str, int | None]:
        """Check the target, clear up after killed runs; return a new directory and its lock."""
        try:
            self._create_parents()
            self._check_target()
            self._clear_leftovers()
            return self._create_incoming()
        except OSError as error:
            raise OutputError(f"{self._shown}: cannot be replaced: {_reason(error)}") from None

    def publish(self, incoming: str) -> None:
        """Put the new directory in the place of the target.

        Nothing is synchronised to disk (fsync), which would cost more than all the rest: what
        is published can be made again, and after a loss of power has to be checked like any
        other output.
        """
        try:
            while not self._put(incoming):
                pass
        except OSError as error:
            raise OutputError(f"{self._shown}: cannot be replaced: {_reason(error)}") from None

    def discard(self, incoming: str) -> None:
        """Remove what is not, or no longer, the target."""
        self._remove(incoming)
        for directory in self._previous:
            self._remove_previous(directory)

    def _create_parents(self) -> None:
        try:
            os.makedirs(self._parent, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            obstacle = self._parent
            while not os.path.lexists(obstacle):
                obstacle = os.path.dirname(obstacle)
            raise OutputError(f"{self._shown}: cannot be created: {obstacle} is not a directory") from None

    def _check_target(self) -> None:
        try:
            mode = os.lstat(self._target).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            raise OutputError(f"{self._shown}: cannot be replaced: it is a symbolic link; name the directory itself")
        if not stat.S_ISDIR(mode):
            raise OutputError(f"{self._shown}: cannot be replaced: it is not a directory")
        if os.path.ismount(self._target):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

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
            # In use, gone, or on a file system without locks, where nobody can tell.
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
                # Another publication came between these two steps, and took it for abandoned.
                continue
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                return directory, None

    def _put(self, incoming: str) -> bool:
        """Take one attempt; return False where another publication came in between."""
        try:
            # Enough where the target is absent or empty.
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
            # Another publication was faster, here or there.
            if error.errno not in (*_OCCUPIED, errno.ENOENT):
                raise

    def _remove_previous(self, previous: str) -> None:
        """Remove what was the target, unless there is nothing else."""
        if not os.path.lexists(self._target):
            return
        # Under its name it may be put back at any time, so it has to be whole or gone.
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
    """Return a descriptor that holds the lock of a directory; BlockingIOError if someone else does."""
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
        # Closing alone would leave it to processes that were forked meanwhile.
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or str(error.strerror)
