"""Select the files to search for images: kbld's rule, without files that are already locked."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence

from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY
from bundlepipe.errors import InputError, as_go
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.inputs import in_byte_order

_EXTENSIONS = (".yml", ".yaml", ".json")


def searched_files(paths: Sequence[str], exclude: Collection[str] = (), *, with_bundles_own: bool = False) -> list[str]:
    """Return the files to search: given files, and all YAML and JSON files of directories, including hidden ones.

    Files below a `.imgpkg` directory are included only `with_bundles_own`, as in kbld, and so are pipes
    that are given; `exclude` removes paths relative to those of `paths`. Raises InputError for a path that
    cannot be read.
    """
    left_out = frozenset() if with_bundles_own else frozenset({BUNDLE_DIRECTORY})
    found: list[str] = []
    for path in paths:
        if os.path.isdir(anchored(path)):
            found.extend(_files_below(path.rstrip("/") or "/", "", exclude, left_out))
        elif os.path.isfile(anchored(path)) or (with_bundles_own and os.path.exists(anchored(path))):
            if os.path.basename(path) not in exclude:
                found.append(path)
        else:
            raise InputError(
                f"{path}: no such file or directory to search for images",
                drop_in=f"Unable to stat file: {_why_not(path)}",
            )
    return list(dict.fromkeys(found))


def _why_not(path: str) -> str:
    """Return why a file cannot be searched, in the words of Go's programs."""
    try:
        os.stat(anchored(path) or path)
    except OSError as error:
        return as_go("stat", path, error)
    return f"stat {path}: not a regular file"


def kbld_files(path: str) -> list[str]:
    """Return the files that kbld takes for a path: the file; all YAML and JSON files of a directory.

    They are ordered by their whole paths, `a-b.yml` before `a/b.yml`. Links to directories are not followed; any
    other file with a matching name is taken. Raises InputError for a missing path or an unreadable directory.
    """
    if not os.path.isdir(anchored(path)):
        return searched_files([path], with_bundles_own=True)

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}", drop_in=f"Listing files '{path}'")

    found: list[str] = []
    top = anchored(path)
    for directory, directories, files in os.walk(top, onerror=refuse):
        links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
        below = os.path.join(path, os.path.relpath(directory, top))
        found += [os.path.normpath(os.path.join(below, name)) for name in [*files, *links]]
    return sorted((name for name in found if name.endswith(_EXTENSIONS)), key=os.fsencode)


def _files_below(directory: str, prefix: str, exclude: Collection[str], left_out: Collection[str]) -> Iterator[str]:
    for child in in_byte_order(directory):
        name = prefix + child.name
        if name in exclude:
            continue
        if child.is_dir(follow_symlinks=False):
            if child.name not in left_out:
                yield from _files_below(f"{directory}/{child.name}", name + "/", exclude, left_out)
        elif child.name.endswith(_EXTENSIONS) and child.is_file():
            yield f"{directory}/{child.name}"
