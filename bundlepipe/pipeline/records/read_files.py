"""The state of files that something reads which only their author knows: a program, a builder of kbld's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY
from bundlepipe.errors import InputError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.inputs import in_byte_order
from bundlepipe.filesystem.snapshots import Snapshot, file_snapshot
from bundlepipe.pipeline.records.state import STATE_DIRECTORY

# What every run changes, or nobody reads. A layout is what a registry is elsewhere.
_NEVER_READ = frozenset({".git", STATE_DIRECTORY})
_LAYOUT_MARK = "oci-layout"


def files_among(paths: Sequence[str], before: Snapshot, *, with_bundles_own: bool = False) -> Snapshot:
    """Return the state of files, and of the files in directories: not what runs of doit themselves write there.

    What is named itself is looked at whatever it is. Bundles' own directories (`.imgpkg`),
    which locks write, are only `with_bundles_own`. Raises InputError if something cannot be read.
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
    """Yield the files in a directory, through links as well, but not round in circles."""
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
