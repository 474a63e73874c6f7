"""imgpkg's rules for the files of a bundle, which are less strict than bundlepipe's (`shared.bundles`)."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY, IMAGES_LOCK
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.inputs import Entry, go_walked, in_byte_order, lstat, within_depth

_IMAGES_LOCK_NAME = os.path.basename(IMAGES_LOCK)


def all_entries(roots: Sequence[str]) -> list[Entry]:
    """Return everything in the inputs, of any type, excluded or not, without following links. InputError."""
    found: list[Entry] = []
    for root in roots:
        status = lstat(root)
        if stat.S_ISDIR(status.st_mode):
            found.append(Entry(".", root, status))
            with within_depth(root):
                _add_below(go_walked(root), "", found)
        else:
            found.append(Entry(os.path.basename(root), root, status))
    return found


def _add_below(directory: str, prefix: str, found: list[Entry]) -> None:
    for child in in_byte_order(directory or "."):
        path = f"{directory}/{child.name}" if directory else child.name
        entry = Entry(prefix + child.name, path, lstat(path))
        found.append(entry)
        if entry.is_directory:
            _add_below(path, f"{entry.name}/", found)


def bundle_fault(entries: Sequence[Entry], roots: Sequence[str]) -> str | None:
    """Return why the entries of inputs, the `roots`, are not a bundle, in imgpkg's words; None if they are.

    A `.imgpkg` must exist once, including inputs themselves, directly below one of the inputs, and contain an
    images.yml.
    """
    found = [_absolute(entry.path) for entry in entries if os.path.basename(entry.path) == BUNDLE_DIRECTORY]
    if not found:
        return f"This directory is not a bundle. It is missing {IMAGES_LOCK}"
    if len(found) > 1:
        return (
            f"This directory contains multiple bundle definitions. Only a single instance of {IMAGES_LOCK} "
            f"can be provided and instead these were provided {', '.join(found)}"
        )
    if os.path.dirname(found[0]) not in map(_absolute, roots):
        return (
            f"Expected '{BUNDLE_DIRECTORY}' directory, to be a direct child of one of: {', '.join(roots)}; "
            f"was {found[0]}"
        )
    lock = os.path.join(found[0], _IMAGES_LOCK_NAME)
    if os.path.isdir(found[0]) and not os.path.exists(lock):
        return f"The bundle expected {IMAGES_LOCK} to exist, but it wasn't found in the path {lock}"
    return None


def _absolute(path: str) -> str:
    return os.path.abspath(anchored(path))
