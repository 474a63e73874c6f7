"""Snapshots of files that a program or builder reads, which only its author knows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY
from bundlepipe.errors import InputError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.inputs import in_byte_order
from bundlepipe.filesystem.snapshots import Snapshot, file_snapshot
from bundlepipe.pipeline.records.state import STATE_DIRECTORY

# Names that every run changes, or that are never read. A layout is bundlepipe's registry in a
# directory.
_NEVER_READ = frozenset({".git", STATE_DIRECTORY})
_LAYOUT_MARK = "oci-layout"


def files_among(paths: Sequence[str], before: Snapshot, *, with_bundles_own: bool = False) -> Snapshot:
    """Return the state of files, and of the files in directories, except those that runs of doit write there.

    Paths that are named explicitly always count. Bundles' own directories (`.imgpkg`), which locks write, count
    only `with_bundles_own`. Raises InputError for unreadable files.
    """
    left_out = _NEVER_READ if with_bundles_own else _NEVER_READ | {BUNDLE_DIRECTORY}
    return file_snapshot(list(dict.fromkeys(_files_among(paths, left_out))), before)


def _files_among(paths: Sequence[str], left_out: frozenset[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(anchored(path)):
            yield from _files_below(path, left_out, frozenset())
        elif os.path.exists(anchored(path)):
            yield path
        else:
            raise InputError(f"{path}: no such file or directory, though what is made depends on it")


def _files_below(directory: str, left_out: frozenset[str], above: frozenset[str]) -> Iterator[str]:
    """Yield the files in a directory, following links, but not in cycles."""
    real = os.path.realpath(anchored(directory))
    if real in above:
        return
    for child in in_byte_order(directory):
        path = f"{directory}/{child.name}"
        if child.is_dir():
            if child.name not in left_out and not os.path.exists(anchored(os.path.join(path, _LAYOUT_MARK))):
                yield from _files_below(path, left_out, above | {real})
        elif child.is_file():
            yield path
