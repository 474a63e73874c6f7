"""Recognise an imgpkg tar file, complete or cut off, by its content instead of its name."""

from __future__ import annotations

import os
import re
from typing import IO

from bundlepipe.errors import BundlepipeError, UnsafeArchive
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.limits import LARGEST_ARCHIVE_MANIFEST
from bundlepipe.oci.layers.tar import BLOCK, Member, padding, read_member
from bundlepipe.stores.archive import manifest as archive_manifest

_CHUNK = 1 << 20
_LAYER = re.compile(rb"sha(256-[0-9a-f]{64}|512-[0-9a-f]{128})\.tar\.gz")
# How Go's JSON encoder, and this program's, begin the list of images: an entry of either has these keys.
_BEGINNINGS = (b'[{"ImageIndex":', b'[{"Image":', b"[]", b"null")


def is_archive(path: str) -> bool:
    """Return whether a file is an imgpkg tar file: a manifest.json of images, followed by a layer or nothing."""
    try:
        with open(anchored(path), "rb") as file:
            first = _first(file)
            return first is not None and _has_manifest(file, first, path) and _goes_on_with_a_layer(file)
    except OSError:
        return False


def is_beginning(path: str) -> bool:
    """Return whether a file is an imgpkg tar file that was not written completely, or only created."""
    if is_archive(path):
        return True
    try:
        with open(anchored(path), "rb") as file:
            first = _first(file)
            if first is None:
                file.seek(0)
                return not any(chunk.strip(b"\0") for chunk in iter(lambda: file.read(_CHUNK), b""))
            return _is_cut_off(file, first)
    except OSError:
        return False


def _first(file: IO[bytes]) -> Member | None:
    """Return the first entry, positioned at its content, if it has the name used in an imgpkg tar file; else None."""
    try:
        first = read_member(file.read)
    except UnsafeArchive:
        return None
    is_named = first is not None and first.is_file and first.name == archive_manifest.FILE_NAME.encode()
    return first if is_named and first and first.size <= LARGEST_ARCHIVE_MANIFEST else None


def _has_manifest(file: IO[bytes], first: Member, path: str) -> bool:
    content = file.read(first.size)
    try:
        archive_manifest.parse(content, path)
    except BundlepipeError:
        return False
    file.read(len(padding(first.size)))
    return True


def _goes_on_with_a_layer(file: IO[bytes]) -> bool:
    """Return whether the next entry is a layer, or there is none, not even a complete header."""
    try:
        second = read_member(file.read)
    except UnsafeArchive:
        return not file.read(1)
    return second is None or (second.is_file and _LAYER.fullmatch(second.name) is not None)


def _is_cut_off(file: IO[bytes], first: Member) -> bool:
    """Return whether the content of manifest.json ends too early, or in blocks that were never written."""
    start = file.read(min(first.size, BLOCK))
    written = start.rstrip(b"\0")
    if not any(written.startswith(each) or each.startswith(written) for each in _BEGINNINGS):
        return False
    file.seek(-len(start), os.SEEK_CUR)
    content = file.read(first.size)
    # JSON holds no NUL: those at the end are parts that were never written.
    return len(content) < first.size or content.endswith(b"\0")
