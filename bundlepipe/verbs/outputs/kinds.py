"""Kinds of files that bundlepipe writes, recognised by content, so that newer ones may replace them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.verbs.outputs.replacing import FileOutput, Kind, ReplacePolicy, followed

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock

# Larger than any lock: a larger file is not a lock and need not be read.
_LARGEST_LOCK = 64 << 20
_KBLD_LOCK_KEY = b"minimumRequiredVersion"


def _is_copied_tar(path: str) -> bool:
    """Return whether a file is a tar file as copies write it."""
    from bundlepipe.stores.archive.recognition import is_archive

    return is_archive(path)


def _is_partial_tar(path: str) -> bool:
    """Return whether a file is the beginning of such a tar file, or one before its first byte was written."""
    from bundlepipe.stores.archive.recognition import is_beginning

    return is_beginning(path)


def _is_bundle_lock(path: str) -> bool:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock

    return _parses(path, BundleLock.parse)


def _is_images_lock(path: str) -> bool:
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock

    return _parses(path, ImagesLock.parse)


def _is_images_lock_in_conflict(path: str) -> bool:
    """Return whether a file is a merge conflict of two ImagesLocks."""
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock
    from bundlepipe.documents.yaml.conflict_markers import sides_of

    try:
        for side in sides_of(_start(path, _LARGEST_LOCK).decode()):
            ImagesLock.parse(side.encode(), path)
    except (UnicodeDecodeError, BundlepipeError):
        return False
    return True


def _is_kbld_lock(path: str) -> bool:
    """Return whether a file is kbld's configuration with nothing but resolved references."""
    from bundlepipe.documents.kbld.reading import parse_config

    content = _start(path, _LARGEST_LOCK)
    try:
        config = parse_config(content, path)
    except BundlepipeError:
        return False
    if config.sources or config.destinations or _KBLD_LOCK_KEY not in content:
        return False
    # Without images it holds nothing to lose, unless a user wrote rules into it.
    return all(each.preresolved for each in config.overrides) if config.overrides else not config.search_rules


def is_configuration(path: str) -> bool:
    """Return whether a file consists of YAML or JSON mappings, at least one, as configuration does."""
    from bundlepipe.documents.yaml.reader import parse

    try:
        documents = parse(_start(path, _LARGEST_LOCK), path, is_own=True)
    except BundlepipeError:
        return False
    return bool(documents) and all(isinstance(document.data, dict) for document in documents)


def _parses(path: str, parse: Callable[[bytes, str], object]) -> bool:
    try:
        parse(_start(path, _LARGEST_LOCK), path)
    except BundlepipeError:
        return False
    return True


def _start(path: str, size: int) -> bytes:
    """Return the first bytes of a file; empty if it cannot be read, so that it has no kind."""
    try:
        with open(anchored(path), "rb") as file:
            return file.read(size)
    except OSError:
        return b""


COPIED_TAR = Kind("a tar of a copy", _is_copied_tar)
PARTIAL_TAR = Kind("the beginning of a tar of a copy", _is_partial_tar)
BUNDLE_LOCK = Kind("a BundleLock", _is_bundle_lock)
IMAGES_LOCK = Kind("an ImagesLock", _is_images_lock)
IMAGES_LOCK_IN_CONFLICT = Kind("an ImagesLock with conflicts of git", _is_images_lock_in_conflict)
KBLD_LOCK = Kind("a lock of kbld", _is_kbld_lock)


def kind_of(lock: BundleLock | ImagesLock) -> Kind:
    """Return the kind for a type of lock."""
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock

    return BUNDLE_LOCK if isinstance(lock, BundleLock) else IMAGES_LOCK


def tar_outputs(path: str, claim: ReplacePolicy) -> list[FileOutput]:
    """Return the files that a copy to a tar file writes: the tar file, and the partial one."""
    place = followed(path)
    directory, name = os.path.split(place)
    unfinished = replace(claim, unknown=f"it is not {PARTIAL_TAR.name}", made=lambda: False)
    beside = (os.path.join(directory, f".{name}.{suffix}") for suffix in ("partial", "previous"))
    return [FileOutput(place, claim, [COPIED_TAR]), *(FileOutput(each, unfinished, [PARTIAL_TAR]) for each in beside)]
