"""Walk the files and directories of a layer, with the names, order and refusals of `imgpkg push -f`."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from bundlepipe.errors import InputError, NotRegular, as_go, quoted
from bundlepipe.filesystem.base_directory import anchored, entries_of
from bundlepipe.filesystem.files import read_document

if TYPE_CHECKING:
    from bundlepipe.filesystem.dockerignore import DockerIgnore, Verdict


DEFAULT_EXCLUDE = (".git",)
# The ignore file of a directory that is pushed by a command.
IGNORE_FILE = ".imgpkgignore"
READ_SIZE = 1 << 20
OWNER_BITS = 0o700
DIRECTORY_MODE = 0o700
_PERMISSION_BITS = 0o7777

_name = attrgetter("name")


class Inputs(Struct, frozen=True):
    """The inputs of a layer: files and directories, in order, as for `imgpkg push -f`.

    `exclude` holds paths relative to an input that are left out, directories with their contents. With
    `preserve_permissions` all twelve permission bits are kept, else only the owner's bits of files. With
    `follow_links` a path that is a link to a file stands for that file. `patterns`, in the format of
    `.dockerignore`, also leave out what they match; so do those in the file named `ignore_file` at the top
    of a directory, which is not packed itself. The last match of both decides, and the file comes first.
    """

    paths: Sequence[str]
    exclude: Sequence[str] = DEFAULT_EXCLUDE
    preserve_permissions: bool = False
    follow_links: bool = False
    patterns: Sequence[str] = ()
    ignore_file: str | None = None

    def mode(self, status: os.stat_result) -> int:
        """Return the permission bits for a file or directory in the layer."""
        if self.preserve_permissions:
            return status.st_mode & _PERMISSION_BITS
        return DIRECTORY_MODE if stat.S_ISDIR(status.st_mode) else status.st_mode & OWNER_BITS


class Entry(NamedTuple):
    """A file or directory of the inputs; `name` is its path in the layer."""

    name: str
    path: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        """Whether the entry is a directory (else it is a regular file)."""
        return stat.S_ISDIR(self.status.st_mode)


def walk(inputs: Inputs) -> list[Entry]:
    """Return every entry of the inputs in the order of the layer.

    Raises InputError for a missing input, for anything that is neither regular file nor
    directory, for a faulty pattern or ignore file, and for one path given by two inputs.
    """
    excluded = frozenset(inputs.exclude)
    entries: list[Entry] = []
    for root in inputs.paths:
        path = _followed(root) if inputs.follow_links else root
        status = lstat(path)
        if stat.S_ISDIR(status.st_mode):
            entries.append(Entry(".", root, status))
            ignore = _ignored(inputs, root) if inputs.patterns or inputs.ignore_file else None
            with within_depth(root):
                _Walk(root, excluded, ignore, entries).directory(go_walked(root) if inputs.follow_links else root, "")
        else:
            if not (inputs.follow_links and path == os.devnull):
                _require_regular(root, root, status)
            name = os.path.basename(root)
            if name not in excluded and not (inputs.patterns and _ignored(inputs).leaves_out(name)):
                entries.append(Entry(name, path, status))
    if len(inputs.paths) > 1:
        refuse_repeated(entries)
    return entries


@contextlib.contextmanager
def within_depth(root: str) -> Iterator[None]:
    """Raise InputError if a walk through the directory `root` exceeds Python's recursion limit."""
    try:
        yield
    except RecursionError:
        raise InputError(f"{root}: has directories that are nested too deep: leave them out") from None


def _followed(path: str) -> str:
    """Return the path to read for an input that may be a link to a file; InputError for a broken link."""
    try:
        is_directory = stat.S_ISDIR(os.stat(anchored(path)).st_mode)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", drop_in=as_go("stat", path, error)) from None
    return path if is_directory or not os.path.islink(anchored(path)) else os.path.realpath(anchored(path))


def go_walked(directory: str) -> str:
    """Return the prefix of paths below a directory in Go's walk: the cleaned path, empty for `.`."""
    cleaned = os.path.normpath(directory)
    return "" if cleaned == "." else cleaned


def lstat(path: str) -> os.stat_result:
    """Return the status of a path without following links; InputError if it does not exist."""
    try:
        return os.lstat(anchored(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", drop_in=as_go("lstat", path, error)) from None


def _ignored(inputs: Inputs, root: str | None = None) -> DockerIgnore:
    """Return what the inputs' patterns, and the ignore file in the directory `root`, leave out."""
    from bundlepipe.filesystem.dockerignore import DockerIgnore

    given = DockerIgnore.of(inputs.patterns)
    if inputs.ignore_file is None or root is None:
        return given
    path = f"{root}/{inputs.ignore_file}"
    if not os.path.lexists(anchored(path)):
        return given
    status = lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        _require_regular(root, path, status)
    content = read_document(path)
    own = DockerIgnore.of([inputs.ignore_file])
    return DockerIgnore((*DockerIgnore.parse(content, path).patterns, *given.patterns, *own.patterns))


class _Walk(Struct, frozen=True):
    """A walk through the directory `root` that adds files to `entries` unless they are excluded or ignored."""

    root: str
    excluded: frozenset[str]
    ignore: DockerIgnore | None
    entries: list[Entry]

    def directory(self, directory: str, prefix: str, parent: Verdict | None = None) -> None:
        """Walk through a directory, given the verdict on it if there are patterns."""
        for child in in_byte_order(directory or "."):
            name = prefix + child.name
            path = f"{directory}/{child.name}" if directory else child.name
            verdict = self.ignore.judge(name, parent) if self.ignore else None
            is_ignored = verdict is not None and verdict.is_excluded
            try:
                status = child.stat(follow_symlinks=False)
            except OSError as error:
                raise InputError(f"{path}: cannot be read: {error.strerror}") from None
            if stat.S_ISDIR(status.st_mode):
                if name not in self.excluded and not (is_ignored and self._is_lost(name)):
                    self._below(Entry(name, path, status), verdict, is_ignored)
            elif not is_ignored:
                _require_regular(self.root, path, status)
                if name not in self.excluded:
                    self.entries.append(Entry(name, path, status))

    def _is_lost(self, name: str) -> bool:
        """Return whether no exception can include anything below an ignored directory."""
        return self.ignore is not None and not self.ignore.may_bring_back_below(name)

    def _below(self, entry: Entry, verdict: Verdict | None, is_ignored: bool) -> None:
        """Add a directory and its contents; an ignored one only if something below it is not ignored."""
        position = len(self.entries)
        self.entries.append(entry)
        self.directory(entry.path, f"{entry.name}/", verdict)
        if is_ignored and len(self.entries) == position + 1:
            self.entries.pop()


def in_byte_order(directory: str) -> list[os.DirEntry[str]]:
    """Return the entries of a directory in byte order of their names; InputError if it cannot be read."""
    try:
        children = sorted(entries_of(directory), key=_name)
    except OSError as error:
        raise InputError(
            f"{directory}: cannot be read: {error.strerror}", drop_in=as_go("open", directory, error)
        ) from None
    if not all(child.name.isascii() for child in children):
        children.sort(key=lambda child: os.fsencode(child.name))
    return children


def _require_regular(root: str, path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegular(path, root, _what(path, status.st_mode))


def _what(path: str, mode: int) -> str:
    if stat.S_ISLNK(mode):
        try:
            return f"a symbolic link to {quoted(os.readlink(anchored(path)))}"
        except OSError:
            return "a symbolic link"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def refuse_repeated(entries: Sequence[Entry]) -> None:
    """Raise InputError if two inputs result in the same path."""
    paths_by_name: dict[str, list[str]] = {}
    for entry in entries:
        if entry.name != ".":
            paths_by_name.setdefault(entry.name, []).append(entry.path)
    repeated = [path for paths in paths_by_name.values() if len(paths) > 1 for path in paths]
    if repeated:
        raise InputError(f"Found duplicate paths: {', '.join(repeated)}")


def read_file(entry: Entry) -> Iterator[bytes]:
    """Yield the content of a file entry, `entry.status.st_size` bytes.

    Raises InputError if the file changed since the walk.
    """
    try:
        descriptor = os.open(anchored(entry.path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(
            f"{entry.path}: cannot be read: {error.strerror}", drop_in=as_go("open", entry.path, error)
        ) from None
    try:
        remaining = entry.status.st_size
        while remaining:
            chunk = os.read(descriptor, min(remaining, READ_SIZE))
            if not chunk:
                break
            remaining -= len(chunk)
            yield chunk
        if remaining or not _unchanged(entry.status, os.fstat(descriptor)):
            raise InputError(f"{entry.path}: changed while it was read; run again")
    except OSError as error:
        raise InputError(f"{entry.path}: cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
