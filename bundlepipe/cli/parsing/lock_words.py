"""Locks named by options: under the name imgpkg they are parsed by its rules, with its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlepipe.cli.parsing.command import Run
from bundlepipe.cli.parsing.images import named_lock, parse_any_lock, read_any_lock
from bundlepipe.cli.tool import BUNDLEPIPE
from bundlepipe.errors import BundlepipeError, DocumentError, InputError

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock


def read_bundle_lock(run: Run, path: str) -> BundleLock:
    """Return the BundleLock in a file, or on standard input (`-`); InputError, DocumentError, BundlepipeError."""
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock

    if run.tool is not BUNDLEPIPE:
        from bundlepipe.documents.imgpkg import go_locks

        return go_locks.bundle_lock(_content(path, ""), named_lock(path))
    lock = parse_any_lock(read_any_lock(path), path)
    if not isinstance(lock, BundleLock):
        raise BundlepipeError(f"{path}: is an ImagesLock: expected a BundleLock, which names one bundle")
    return lock


def read_copied_lock(run: Run, path: str) -> BundleLock | ImagesLock:
    """Return the lock to copy in a file, or on standard input (`-`); InputError, DocumentError."""
    if run.tool is BUNDLEPIPE:
        return parse_any_lock(read_any_lock(path), path)
    from bundlepipe.documents.imgpkg import go_locks

    doing = "Trying to read bundle or images lock file: "
    content = _content(path, doing)
    try:
        return go_locks.bundle_lock(content, named_lock(path))
    except DocumentError:
        # The error is the one for an ImagesLock.
        pass
    try:
        return go_locks.images_lock(content, named_lock(path))
    except DocumentError as error:
        error.drop_in = error.drop_in and f"{doing}{error.drop_in}"
        raise


def _content(path: str, doing: str) -> bytes:
    """Return the content of a file; InputError has imgpkg's text for the failed step."""
    try:
        return read_any_lock(path)
    except InputError as error:
        error.drop_in = error.drop_in and f"{doing}Reading path {path}: {error.drop_in}"
        raise
