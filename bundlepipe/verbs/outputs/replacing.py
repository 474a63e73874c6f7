"""Decide whether an output may replace existing files: only if nothing is lost.

A file, or a directory that is not empty, is replaced if its writer made it, if it equals the new
output, if it is recognisably of the kind that is written, if git has every byte of it, or if the
user forces it. Repositories of git, mount points, the current directory, home directories and the
files of a pipeline are never replaced.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Literal

from msgspec import Struct

from bundlepipe.documents.imgpkg.paths import IMAGES_LOCK
from bundlepipe.errors import OutputError
from bundlepipe.filesystem.base_directory import anchored, as_given
from bundlepipe.filesystem.dangerous import refuse_dangerous, refuse_repository
from bundlepipe.filesystem.files import write_if_changed

Why = Literal["absent", "forced", "made", "kind", "git"]


class Kind(Struct, frozen=True):
    """A recognisable kind of file: `name` is for messages, `matches` checks a path."""

    name: str
    matches: Callable[[str], bool]


class ReplacePolicy(Struct, frozen=True, kw_only=True):
    """What a writer may replace.

    `unknown` is the reason in messages for files that may not be replaced ("this pull did not make
    it"), `advice` what to do then. `forced`: the user allows replacing them; `made` returns whether
    this writer made the existing files.
    """

    unknown: str
    advice: str
    forced: bool = False
    made: Callable[[], bool] = lambda: False

    def why(self) -> Why | None:
        """Return why anything may be replaced; None if that depends on the existing files."""
        if self.forced:
            return "forced"
        return "made" if self.made() else None

    def refusal(self, path: str, lost: str) -> OutputError:
        """Return the error for the files at `path`; `lost` is the part that git does not have."""
        what = "it" if lost == path else f"{lost} as it is now"
        return OutputError(f"{path}: exists, but {self.unknown}, and git does not have {what}: {self.advice}")


class FileOutput(Struct, frozen=True):
    """A file that is about to be written at `path`.

    `kinds` may be replaced. With `takes_empty`, so may an empty file, such as one of `mktemp`.
    """

    path: str
    claim: ReplacePolicy
    kinds: Collection[Kind] = ()
    takes_empty: bool = False

    def check(self, content: bytes | None = None) -> Why | None:
        """Return why the file may be written, None if it has the `content` already; OutputError if it may not."""
        status = self.check_place()
        if status is None:
            return "absent"
        if content is not None and _has_content(self.path, content):
            return None
        why = self.claim.why() or self._own_why(status)
        if why:
            return why
        lost = _unkept(self.path)
        if lost is None:
            return "git"
        raise self.claim.refusal(self.path, lost)

    def write(self, content: bytes, about_to: Callable[[os.stat_result], object] = lambda status: None) -> bool:
        """Write `content` as `write_if_changed` does; OutputError if the file may not be replaced."""
        self.check(content)
        return write_if_changed(self.path, content, about_to=about_to)

    def check_place(self) -> os.stat_result | None:
        """Return the status of the existing file, None if there is none; OutputError if it must never be replaced."""
        refuse_repository(self.path)
        status = _status(self.path)
        if status is None:
            return None
        if stat.S_ISDIR(status.st_mode):
            raise OutputError(f"{self.path}: is a directory: name a file")
        if os.path.ismount(anchored(self.path)):
            raise OutputError(f"{self.path}: is a mount point, which cannot be replaced: name another file")
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            raise OutputError(f"{self.path}: is a device, a pipe or a socket: name a file")
        return status

    def _own_why(self, status: os.stat_result) -> Why | None:
        if not stat.S_ISREG(status.st_mode):
            return None
        if self.takes_empty and not status.st_size:
            return "kind"
        return "kind" if any(kind.matches(self.path) for kind in self.kinds) else None


def check_all(outputs: Iterable[FileOutput]) -> None:
    """Raise OutputError if one of some files may not be written."""
    for output in outputs:
        output.check()


class DirectoryOutput(Struct, frozen=True):
    """A directory that is about to be replaced by a pull.

    `protected` are paths that it must not contain. `is_bundle` says whether a bundle is pulled,
    None if that is not known.
    """

    path: str
    claim: ReplacePolicy
    protected: Collection[str] = ()
    is_bundle: bool | None = None

    def check(self) -> Why:
        """Return why the directory may be replaced by any pull; OutputError if it may not."""
        why, lost = self._judge()
        if why is None:
            raise self.claim.refusal(self.path, lost)
        return why

    def check_before(self) -> Why | None:
        """Return why the directory may be replaced, None if that depends on the pulled files.

        Raises OutputError if it may not be: without a transfer if a bundle would replace other
        files, or if no pull can have made the existing files.
        """
        why, lost = self._judge()
        if why is None and (self._lacks_lock() or _find_foreign(self.path)):
            raise self.claim.refusal(self.path, lost)
        return why

    def check_against(self, incoming: str) -> None:
        """Raise OutputError if replacing the directory with `incoming` would lose anything."""
        why, lost = self._judge()
        if why is None and (missing := _find_missing(self.path, incoming)):
            raise self.claim.refusal(self.path, lost if lost != self.path else missing)

    def _judge(self) -> tuple[Why | None, str]:
        """Return why the existing files may be replaced, or what would be lost."""
        refuse_dangerous(self.path, self.protected)
        status = _status(self.path)
        if status is None:
            return "absent", ""
        if stat.S_ISLNK(status.st_mode):
            raise OutputError(f"{self.path}: cannot be replaced: it is a symbolic link; name the directory itself")
        if not stat.S_ISDIR(status.st_mode):
            raise OutputError(f"{self.path}: cannot be replaced: it is not a directory")
        if not _has_entries(self.path):
            return "absent", ""
        why = self.claim.why()
        if why:
            return why, ""
        lost = _unkept(self.path)
        return ("git", "") if lost is None else (None, lost)

    def _lacks_lock(self) -> bool:
        return self.is_bundle is True and not os.path.isfile(anchored(os.path.join(self.path, IMAGES_LOCK)))


def forcible_output(path: str, kind: Kind, unknown: str, *, forced: bool) -> FileOutput:
    """Return a file that a command with `--force` writes: it replaces one of its kind, and nothing that would be lost.

    `unknown` is as in `ReplacePolicy`.
    """
    advice = "remove it, name another file, or replace it with --force"
    return FileOutput(
        followed(path), ReplacePolicy(unknown=unknown, advice=advice, forced=forced), [kind], takes_empty=True
    )


def followed(path: str) -> str:
    """Return the target of a link, which is replaced while the link stays; else the path."""
    return as_given(os.path.realpath(anchored(path))) if os.path.islink(anchored(path)) else path


def _status(path: str) -> os.stat_result | None:
    """Return the status of a path, None if it does not exist; OutputError on failure."""
    try:
        return os.lstat(anchored(path))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        parent = os.path.dirname(path)
        while os.path.dirname(parent) not in ("", parent) and not os.path.lexists(anchored(parent)):
            parent = os.path.dirname(parent)
        raise OutputError(f"{path}: cannot be written: {parent} is not a directory") from None
    except OSError as error:
        raise _not_looked_at(path, error) from None


def _not_looked_at(path: str, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be looked at: {error.strerror}")


def _has_content(path: str, content: bytes) -> bool:
    try:
        with open(anchored(path), "rb") as file:
            return os.fstat(file.fileno()).st_size == len(content) and file.read() == content
    except OSError:
        return False


def _has_entries(directory: str) -> bool:
    """Return whether there is anything but empty directories; OutputError on failure."""
    try:
        return next(_files_below(directory), None) is not None
    except OSError as error:
        raise _not_looked_at(directory, error) from None


def _files_below(directory: str) -> Iterator[os.DirEntry[str]]:
    directories = [anchored(directory)]
    while directories:
        with os.scandir(directories.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
                else:
                    yield entry


def _find_foreign(directory: str) -> str | None:
    """Return anything that no pull can have made: links, devices and the like."""
    return next((entry.path for entry in _files_below(directory) if not entry.is_file(follow_symlinks=False)), None)


def _find_missing(directory: str, incoming: str) -> str | None:
    """Return a file of a directory that differs in its replacement; None if there is none."""
    for entry in _files_below(directory):
        other = os.path.join(incoming, os.path.relpath(entry.path, anchored(directory)))
        if not entry.is_file(follow_symlinks=False) or not _is_same_file(entry.path, other):
            return as_given(entry.path)
    return None


def _unkept(path: str) -> str | None:
    from bundlepipe.verbs.outputs.git_content import find_unkept

    return find_unkept(path)


def _is_same_file(path: str, other: str) -> bool:
    import filecmp

    try:
        return not os.path.islink(other) and os.path.isfile(other) and filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False
