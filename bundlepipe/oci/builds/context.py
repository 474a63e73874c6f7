"""The build context of a Dockerfile: the files that a builder gets, and whether they changed.

The same files as `docker build` sends: files, directories and links with their permission bits, except
those that `.dockerignore` excludes. A check for changes only walks the directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from functools import cached_property

from msgspec import Struct

from bundlepipe.errors import InputError
from bundlepipe.filesystem.base_directory import anchored, as_given
from bundlepipe.filesystem.dockerignore import DockerIgnore, Verdict
from bundlepipe.filesystem.inputs import Entry, in_byte_order
from bundlepipe.filesystem.snapshots import FileState, Snapshot, content_state
from bundlepipe.oci.digest import Digest

IGNORE_FILE = ".dockerignore"
DEFAULT_DOCKERFILES = ("Dockerfile", "dockerfile")
# No file system entry has this mode: its type would be in it.
_NOT_SEEN = 0


class BuildContext(Struct, frozen=True, dict=True):
    """A context directory, and the Dockerfile as a path relative to it, which may be outside of it.

    Without `dockerfile` it is `Dockerfile`, or else `dockerfile`, in the directory.
    """

    directory: str
    dockerfile: str | None = None

    def walk(self) -> ContextFiles:
        """Return the files that a build gets now.

        Raises InputError for a missing directory or Dockerfile, a faulty `.dockerignore`, and for
        files that cannot be sent.
        """
        if not os.path.isdir(anchored(self.directory)):
            raise InputError(f"{self.directory}: no such directory to build in")
        dockerfile, ignore_file = self._dockerfile(), self._ignore_file()
        entries: list[Entry] = []
        _walk(self.directory, "", _read_ignore_file(ignore_file), Verdict(), entries)
        # Links are followed, since their targets may be excluded.
        dockerfile = os.path.realpath(anchored(dockerfile)) if os.path.islink(anchored(dockerfile)) else dockerfile
        return ContextFiles(self.directory, dockerfile, ignore_file, entries)

    def snapshot(self, known: Mapping[str, FileState]) -> Snapshot:
        """Return the state of all files that a build gets, by path; errors are those of `walk`.

        A file is read only if `known`, an earlier snapshot, does not vouch for it.
        """
        return self.walk().snapshot(known)

    def leaves_out(self, name: str) -> bool:
        """Return whether a path relative to the directory is excluded; InputError for a faulty ignore file."""
        return self._ignore.leaves_out(name) and not self._ignore.may_bring_back_below(name)

    @cached_property
    def _ignore(self) -> DockerIgnore:
        return _read_ignore_file(self._ignore_file())

    @property
    def decisive_files(self) -> list[str]:
        """The paths where a Dockerfile or ignore file would be used, whether or not a build may copy it."""
        dockerfiles = self._dockerfiles()
        own = [f"{path}{IGNORE_FILE}" for path in dockerfiles]
        return [*dockerfiles, *own, os.path.join(self.directory, IGNORE_FILE)]

    def _ignore_file(self) -> str:
        """Return the ignore file that is used: the Dockerfile's own, if there is one."""
        dockerfiles = self._dockerfiles()
        # Even if the Dockerfile is still missing, its ignore file may exist.
        present = [path for path in dockerfiles if os.path.isfile(anchored(path))][:1] or dockerfiles
        own = [f"{path}{IGNORE_FILE}" for path in present if os.path.isfile(anchored(f"{path}{IGNORE_FILE}"))]
        return own[0] if own else os.path.join(self.directory, IGNORE_FILE)

    def _dockerfiles(self) -> list[str]:
        names = DEFAULT_DOCKERFILES if self.dockerfile is None else (self.dockerfile,)
        return [os.path.normpath(os.path.join(self.directory, name)) for name in names]

    def _dockerfile(self) -> str:
        paths = self._dockerfiles()
        for path in paths:
            if os.path.isfile(anchored(path)):
                return path
        raise InputError(f"{paths[0]}: no such Dockerfile: write it, or name another one")


class ContextFiles(Struct, frozen=True, dict=True):
    """The files that a build gets: `entries` of its context in walk order, and the Dockerfile.

    `ignore_file` is the path of the `.dockerignore` that is used, whether or not it exists: the one
    named for the Dockerfile, else that of the context.
    """

    directory: str
    dockerfile: str
    ignore_file: str
    entries: Sequence[Entry]

    @cached_property
    def by_name(self) -> dict[str, Entry]:
        """The entries by their path in the context."""
        return {entry.name: entry for entry in self.entries}

    @cached_property
    def dockerfile_entry(self) -> Entry:
        """The Dockerfile; its name is its path in the context, or "" outside of it."""
        path = os.path.relpath(os.path.realpath(anchored(self.dockerfile)), os.path.realpath(anchored(self.directory)))
        name = "" if path.startswith("../") else path
        if name in self.by_name:
            return self.by_name[name]
        return Entry(name, self.dockerfile, _stat(self.dockerfile))

    @property
    def shows_dockerfile(self) -> bool:
        """Whether the build can copy the Dockerfile."""
        return self.dockerfile_entry.name in self.by_name

    def snapshot(self, known: Mapping[str, FileState]) -> Snapshot:
        """Return the state of every entry and the Dockerfile, by path, as `BuildContext.snapshot` does."""
        now = {entry.path: _state(entry, known) for entry in self.entries}
        if not self.shows_dockerfile:
            now[self.dockerfile] = content_state(self.dockerfile_entry, _NOT_SEEN, known)
        return now

    def digest(self, snapshot: Snapshot) -> Digest:
        """Return the digest of everything that decides a build, given the state of these files.

        That is the Dockerfile's content, and path, type, permission bits and content of every file
        it can copy; it does not depend on where the directory is.
        """
        entries = [(entry.name, snapshot[entry.path].mode, snapshot[entry.path].sha256) for entry in self.entries]
        document = [snapshot[self.dockerfile_entry.path].sha256, sorted(entries)]
        return Digest.of(json.dumps(document, separators=(",", ":")).encode())


def _read_ignore_file(path: str) -> DockerIgnore:
    try:
        with open(anchored(path), "rb") as file:
            return DockerIgnore.parse(file.read(), path)
    except FileNotFoundError:
        return DockerIgnore()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _walk(directory: str, prefix: str, ignore: DockerIgnore, parent: Verdict, entries: list[Entry]) -> None:
    for child in in_byte_order(directory):
        name = prefix + child.name
        entry = Entry(name, f"{directory}/{child.name}", _lstat(child))
        verdict = ignore.judge(name, parent)
        if not entry.is_directory:
            if not verdict.is_excluded and not stat.S_ISSOCK(entry.status.st_mode):
                _require_sendable(entry)
                entries.append(entry)
            continue
        position = len(entries)
        if not verdict.is_excluded or ignore.may_bring_back_below(name):
            _walk(entry.path, f"{name}/", ignore, verdict, entries)
        # An excluded directory is sent if something in it is not excluded.
        if not verdict.is_excluded or len(entries) > position:
            entries.insert(position, entry)


def _lstat(child: os.DirEntry[str]) -> os.stat_result:
    try:
        return child.stat(follow_symlinks=False)
    except OSError as error:
        raise InputError(f"{as_given(child.path)}: cannot be read: {error.strerror}") from None


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(anchored(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _require_sendable(entry: Entry) -> None:
    mode = entry.status.st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise InputError(
            f"{entry.path}: is neither file, directory nor link, so no build can have it: name it in {IGNORE_FILE}"
        )


def _state(entry: Entry, known: Mapping[str, FileState]) -> FileState:
    mode = entry.status.st_mode
    if stat.S_ISREG(mode):
        return content_state(entry, mode, known)
    target = hashlib.sha256(os.fsencode(read_link(entry))).hexdigest() if stat.S_ISLNK(mode) else None
    return FileState(mode, target, 0, 0, 0, 0)


def read_link(entry: Entry) -> str:
    """Return the target of a link as written; InputError if the link is gone."""
    try:
        return os.readlink(anchored(entry.path))
    except OSError as error:
        raise InputError(f"{entry.path}: cannot be read: {error.strerror}") from None
