"""The files of one side: unpacked from layers into a temporary directory, or where they lie."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from bundlepipe.errors import InputError
from bundlepipe.events import Emit
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.inputs import Entry, Inputs
from bundlepipe.filesystem.snapshots import Snapshot
from bundlepipe.oci.layers.tar import Link
from bundlepipe.oci.layers.tree import file_permissions
from bundlepipe.oci.layers.unpack import unpack
from bundlepipe.verbs.diffing.difference import FileVersion, LinkTarget
from bundlepipe.verbs.shared.blobs import receive_blob
from bundlepipe.verbs.shared.bundles import StoredImage

_OWNER = 0o700
_USUAL_UMASK = 0o022
_CHUNK = 1 << 20


class TreeFile(Struct, frozen=True):
    """A file: its version, and the path where it can be read."""

    version: FileVersion
    path: str


class FileTree(Struct, frozen=True):
    """The files of one side by path, its empty directories, and its links, which are not unpacked.

    With `has_owner_modes` the bits for group and others say nothing: they are those of a working copy.
    """

    files: Mapping[str, TreeFile]
    empty_directories: frozenset[str]
    has_owner_modes: bool
    links: Mapping[str, LinkTarget] = {}


def unpacked(image: StoredImage, directory: str, emit: Emit) -> FileTree:
    """Unpack the layers of an image into a new, empty directory; errors are those of `unpack` and the store."""
    states: Snapshot = {}
    omitted: dict[str, Link] = {}
    layers = (receive_blob(image.store, layer, emit) for layer in image.manifest.layers)
    unpack(
        layers,
        directory,
        what=image.name,
        expected=image.contents(),
        states=states,
        links=omitted,
        ignores_umask=True,
    )
    files: dict[str, TreeFile] = {}
    directories: set[str] = set()
    for path, state in states.items():
        name = path[len(directory) + 1 :]
        if state.sha256 is None:
            directories.add(name)
        else:
            mode = pulled_mode(stat.S_IMODE(os.lstat(path).st_mode))
            files[name] = TreeFile(FileVersion(mode, state.size, state.sha256), path)
    links = {
        path[len(directory) + 1 :]: LinkTarget(link.kind, os.fsdecode(link.target)) for path, link in omitted.items()
    }
    return FileTree(files, _empty(directories, (*files, *links)), has_owner_modes=False, links=links)


def declared(inputs: Inputs, entries: Sequence[Entry], snapshot: Snapshot) -> FileTree:
    """Return the files of inputs, given their entries and the snapshot of their content."""
    files: dict[str, TreeFile] = {}
    directories: set[str] = set()
    for entry in entries:
        name = entry.name.removeprefix("./")
        state = snapshot[entry.path]
        if state.sha256 is None:
            directories.add("" if name == "." else name)
        else:
            version = FileVersion(pulled_mode(inputs.mode(entry.status)), state.size, state.sha256)
            files[name] = TreeFile(version, anchored(entry.path))
    return FileTree(files, _empty(directories, files), has_owner_modes=not inputs.preserve_permissions)


def pulled_mode(mode: int, *, owner_only: bool = False) -> int:
    """Return the permissions that a pull gives a file with these in the layer, under the umask 022.

    With `owner_only` the bits of others are ignored.
    """
    return file_permissions(mode & _OWNER if owner_only else mode) & ~_USUAL_UMASK


def read(file: TreeFile) -> bytes:
    """Return the content of a file of a tree; InputError if it changed since it was hashed."""
    try:
        with open(file.path, "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise InputError(f"{file.path}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != file.version.sha256:
        raise InputError(f"{file.path}: changed while it was read; run again")
    return content


def git_blob(file: TreeFile) -> str:
    """Return the name that git gives the content of a file, in hexadecimal; InputError if it cannot be read.

    Source: "Git Objects" in the book Pro Git: the SHA-1 of `blob SIZE`, a NUL and the content.
    """
    hasher = hashlib.sha1(b"blob %d\0" % file.version.size, usedforsecurity=False)
    try:
        with open(file.path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
    except OSError as error:
        raise InputError(f"{file.path}: cannot be read: {error.strerror}") from None
    return hasher.hexdigest()


def _empty(directories: set[str], entries: Iterable[str]) -> frozenset[str]:
    parents = {parent.rpartition("/")[0] for parent in (*directories, *entries)}
    return frozenset(directories - parents - {""})
