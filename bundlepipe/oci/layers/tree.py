"""The directory that layers are unpacked into, and an index of its entries.

Used by `unpack`, for one image. Every entry was created through this class and is in its index: so
no name of an archive is looked up in the file system, and nothing that was not created here can be
removed or followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bundlepipe.errors import UnsafeArchive
from bundlepipe.filesystem.remove import remove_tree
from bundlepipe.oci.layers.tar import Link

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_PERMISSIONS = 0o777
_GROUP_AND_OTHER = 0o077
_OWNER = 0o700

# OCI image layer specification, "Whiteouts".
_WHITEOUT = b".wh."
_OPAQUE_WHITEOUT = b".wh..wh..opq"
# AUFS's own metadata, found in old layers; container engines leave it out as well.
_AUFS_PRIVATE = b".wh..wh."

# No real tree is deeper, and tools that descend recursively cannot remove such a tree.
_DEEPEST = 256


class OmittedLink(NamedTuple):
    """A link in the index that is not in the file system, and the layer that it is from."""

    link: Link
    layer: int


class Directory:
    """A directory in the tree: its path, its entries by name (the layer for a file), and the layer that created it.

    `purged` is the last layer that removed, or did not have to remove, the entries below.
    """

    __slots__ = ("children", "layer", "mode", "path", "purged")

    def __init__(self, path: bytes, mode: int, layer: int) -> None:
        self.path = path
        self.mode = mode
        self.layer = layer
        self.purged = layer
        self.children: dict[bytes, Directory | OmittedLink | int] = {}


class Tree:
    """A new, empty directory that takes entries layer by layer; a later entry replaces an earlier one.

    `count` is called for every directory created, and may raise. Names are as in the archive: absolute
    ones are relative to the directory, `.` and `..` are resolved textually. Methods raise
    UnsafeArchive for a name that leaves the directory, or that the file system cannot distinguish from
    another one, and OSError. With `ignores_umask` files get all bits; with `keeps_links` the index has links too.
    """

    def __init__(
        self, directory: bytes, count: Callable[[], None], *, ignores_umask: bool = False, keeps_links: bool = False
    ) -> None:
        self._count = count
        self._ignores_umask = ignores_umask
        self._keeps_links = keeps_links
        self._layer = 0
        self._root = Directory(directory, _PERMISSIONS, 0)
        # The umask, as it acted on the directory; reading the umask would mean changing it.
        self._masked = _PERMISSIONS & ~os.stat(directory).st_mode
        # Archives list the entries of a directory one after the other.
        self._last_head: bytes | None = None
        self._last_parent = self._root

    def begin_layer(self) -> None:
        """Treat all existing entries as those of lower layers from now on."""
        self._layer += 1
        self._root.layer = self._layer
        self._last_head = None

    def create_file(self, name: bytes, mode: int) -> tuple[int, bytes] | None:
        """Create an empty file and return a descriptor to write to, and its path; None if `name` is a whiteout.

        The file gets its `file_permissions`, minus the umask.
        """
        place = self._place(name)
        if place is None:
            return None
        parent, base = place
        if base in parent.children:
            self._remove(parent, base)
        permissions = file_permissions(mode)
        path = parent.path + b"/" + base
        try:
            descriptor = os.open(path, _NEW_FILE, permissions)
        except FileExistsError:
            raise _indistinct() from None
        if self._ignores_umask:
            os.fchmod(descriptor, permissions)
        parent.children[base] = self._layer
        return descriptor, path

    def create_directory(self, name: bytes, mode: int) -> None:
        """Create a directory unless it exists, with the permissions of `mode` minus the umask.

        If `mode` has no bits for group and others, they get the owner's; the owner always gets full
        access, or the directory could not be filled.
        """
        permissions = (mode & _PERMISSIONS) | _OWNER if mode & _GROUP_AND_OTHER else _PERMISSIONS
        place = self._place(name, is_directory=True)
        if place is None:
            return
        parent, base = place
        child = parent.children.get(base) if base else self._root
        if not isinstance(child, Directory):
            self._make_directory(parent, base, permissions)
            return
        child.layer = self._layer
        if child.mode != permissions:
            os.chmod(child.path, permissions & ~self._masked | _OWNER)
            child.mode = permissions

    def omit(self, name: bytes, link: Link | None = None) -> None:
        """Leave out a link or device, but remove the entry of lower layers at its path.

        In an index that keeps links, a `link` is entered unless a file or directory of its layer has the path.
        """
        place = self._place(name)
        if place is None:
            return
        parent, base = place
        self._remove_lower(parent, base)
        if self._keeps_links and link and not isinstance(parent.children.get(base), Directory | int):
            parent.children[base] = OmittedLink(link, self._layer)

    def names(self) -> list[str]:
        """Return the names at the top, in byte order."""
        children = self._root.children
        return [os.fsdecode(name) for name in sorted(children) if not isinstance(children[name], OmittedLink)]

    def walk(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the path of the directory and of everything in it, each with whether it is a file."""
        directories = [self._root]
        while directories:
            directory = directories.pop()
            yield directory.path, False
            for base, child in directory.children.items():
                if isinstance(child, Directory):
                    directories.append(child)
                elif isinstance(child, int):
                    yield directory.path + b"/" + base, True

    def links(self) -> Iterator[tuple[bytes, Link]]:
        """Yield the path and target of the links that are kept in the index."""
        directories = [self._root]
        while directories:
            directory = directories.pop()
            for base, child in directory.children.items():
                if isinstance(child, Directory):
                    directories.append(child)
                elif isinstance(child, OmittedLink):
                    yield directory.path + b"/" + base, child.link

    def _place(self, name: bytes, *, is_directory: bool = False) -> tuple[Directory, bytes] | None:
        """Return parent and base of a name, creating the parent; None after applying a whiteout.

        The base is empty for the root, which can only be a directory.
        """
        head, _, base = name.rpartition(b"/")
        if head != self._last_head or base in (b"", b".", b".."):
            parts = _parts(name)
            if not parts:
                if is_directory:
                    return self._root, b""
                raise UnsafeArchive("it would take the place of the output directory itself")
            is_plain = parts[-1] == base
            base = parts.pop()
            if any(part.startswith(_AUFS_PRIVATE) for part in parts):
                return None
            self._last_parent = self._descend(parts)
            self._last_head = head if is_plain else None
        elif b"\0" in base:
            raise _nul()
        parent = self._last_parent
        if base.startswith(_WHITEOUT):
            self._white_out(parent, base)
            return None
        return parent, base

    def _descend(self, parts: list[bytes]) -> Directory:
        """Return the directory at a path, created if it is absent or a file."""
        directory = self._root
        for part in parts:
            child = directory.children.get(part)
            if not isinstance(child, Directory):
                child = self._make_directory(directory, part, _PERMISSIONS)
            child.layer = self._layer
            directory = child
        return directory

    def _make_directory(self, parent: Directory, base: bytes, mode: int) -> Directory:
        self._count()
        if base in parent.children:
            self._remove(parent, base)
        directory = Directory(parent.path + b"/" + base, mode, self._layer)
        try:
            os.mkdir(directory.path, mode)
        except FileExistsError:
            raise _indistinct() from None
        parent.children[base] = directory
        return directory

    def _white_out(self, parent: Directory, base: bytes) -> None:
        if base == _OPAQUE_WHITEOUT:
            self._purge(parent)
        elif not base.startswith(_AUFS_PRIVATE):
            self._remove_lower(parent, base[len(_WHITEOUT) :])

    def _purge(self, directory: Directory) -> None:
        """Remove entries of lower layers below a directory."""
        if directory.purged < self._layer:
            directory.purged = self._layer
            for base in list(directory.children):
                self._remove_lower(directory, base)

    def _remove_lower(self, parent: Directory, base: bytes) -> None:
        child = parent.children.get(base)
        if child is None:
            return
        if isinstance(child, Directory) and child.layer == self._layer:
            self._purge(child)
        elif self._layer != (child.layer if isinstance(child, OmittedLink) else child):
            self._remove(parent, base)

    def _remove(self, parent: Directory, base: bytes) -> None:
        path = parent.path + b"/" + base
        removed = parent.children.pop(base)
        if isinstance(removed, Directory):
            remove_tree(path)
            self._last_head = None
        elif isinstance(removed, int):
            os.unlink(path)


def file_permissions(mode: int) -> int:
    """Return the permission bits of a file in an archive, the owner's for everyone if it has only those.

    As imgpkg extracts files.
    """
    permissions = mode & _PERMISSIONS
    return permissions if permissions & _GROUP_AND_OTHER else permissions | permissions >> 3 | permissions >> 6


def _parts(name: bytes) -> list[bytes]:
    if b"\0" in name:
        raise _nul()
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise UnsafeArchive("its name leaves the output directory")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    if len(parts) > _DEEPEST:
        raise UnsafeArchive(f"it lies more than {_DEEPEST} directories deep")
    return parts


def _nul() -> UnsafeArchive:
    return UnsafeArchive("its name holds a NUL byte")


def _indistinct() -> UnsafeArchive:
    return UnsafeArchive("the file system takes its name for that of another entry (case or Unicode form)")
