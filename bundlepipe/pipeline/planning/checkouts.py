"""Trees of files as git knows them: those of a revision, and those of the working tree that are not ignored."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from msgspec import Struct

from bundlepipe.errors import BundlepipeError, ProgramError, ProgramMissing, printable, quoted
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.pipeline.declared.paths import is_within
from bundlepipe.pipeline.planning.tree_repositories import begin_repository, git, git_text, settle_repository
from bundlepipe.pipeline.records.state import STATE_DIRECTORY

_SUBMODULE = "160000"
# Not of a directory whose .git names a repository that is gone.
_NONE_HERE = "not a git repository (or any"
_NO_SUCH_REVISION = 1


class Entry(Struct, frozen=True):
    """An entry of git's index or of a tree in its database; `stage` is not 0 while a merge is not resolved."""

    mode: str
    content: str
    path: str
    stage: str = "0"

    @property
    def is_submodule(self) -> bool:
        """Whether it is the commit of another repository."""
        return self.mode == _SUBMODULE


class NoRepository(BundlepipeError):
    """A directory is in no git repository."""


class Repository(Struct, frozen=True):
    """The git repository of a directory: its root, and the directory's path below it."""

    root: str
    below: str

    @classmethod
    def of(cls, directory: str) -> Repository:
        """Return the repository of a directory; NoRepository if it is in none, BundlepipeError if git cannot use it.

        Variables such as GIT_DIR, which git sets for its hooks, are not used: they name other directories there.
        """
        try:
            root, below = (
                git_text(directory, "rev-parse", option).removesuffix("\n")
                for option in ("--show-toplevel", "--show-prefix")
            )
        except ProgramError as error:
            said = next((line for line in error.tail if line.strip()), str(error)).removeprefix("fatal: ")
            if said.startswith(_NONE_HERE):
                said = "is in no git repository, whose revisions could be compared"
                raise NoRepository(f"{printable(directory)}: {said}") from None
            advice = [line.strip() for line in error.tail if line.strip().startswith("git config ")]
            raise BundlepipeError(": ".join(map(printable, [directory, said, *advice]))) from None
        return cls(root, below)

    def head(self) -> str:
        """Return the commit that is checked out, empty if its branch has none yet. Raises BundlepipeError."""
        try:
            return git_text(self.root, "rev-parse", "--verify", "--quiet", "HEAD").strip()
        except ProgramError as error:
            if error.status == _NO_SUCH_REVISION:
                return ""
            raise

    def commit(self, revision: str) -> str:
        """Return the commit that a revision names; BundlepipeError if it is not here."""
        if not revision.startswith("^"):
            with suppress(ProgramError):
                commit = f"{revision}^{{commit}}"
                return git_text(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", commit).strip()
        raise BundlepipeError(f"revision {quoted(revision)}: {self._why_not(revision)}")

    def _why_not(self, revision: str) -> str:
        if revision.startswith("^"):
            return "leaves out commits of a range: name one commit"
        if ".." in revision:
            first, _, second = revision.replace("...", "..").partition("..")
            merge_base = f'"$(git merge-base {first or "HEAD"} {second or "HEAD"})"'
            return f"is a range: name one commit, such as the last that both have: {merge_base}"
        if revision and not revision.strip("0"):
            return "the first push of a branch has no commit before it: compare with the branch that it is merged into"
        why = "no such commit in this repository"
        if git_text(self.root, "rev-parse", "--is-shallow-repository").strip() == "true":
            why = f"{why}, whose history is cut off: git fetch --unshallow, or in CI a checkout of the whole history"
        return why

    def check_out(self, commit: str, directory: str) -> list[str]:
        """Write the files of a commit to a directory, as a checkout has them, which becomes a repository of its own.

        Returns the paths of submodules, which stay empty. This repository is only read. Raises BundlepipeError.
        """
        listed = git_text(self.root, "ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
        entries = [entry for entry in map(_tree_entry, filter(None, listed)) if not _is_of_runs(entry.path)]
        begin_repository(self.root, directory)
        _write_index(directory, entries)
        git(directory, "checkout-index", "--all")
        return self._settled(directory, [entry.path for entry in entries if entry.is_submodule])

    def copy_working_tree(self, directory: str) -> list[str]:
        """Write the files of the working tree that are not ignored to a directory, a repository as by `check_out`.

        Returns the paths of submodules and other repositories, which stay empty. Raises BundlepipeError.
        """
        entries = [entry for entry in self._staged() if not _is_of_runs(entry.path)]
        others = [path for path in self._listed("--others", "--exclude-standard") if not _is_of_runs(path)]
        modified = set(self._listed("--modified"))
        begin_repository(self.root, directory)
        repositories = [entry.path for entry in entries if entry.is_submodule]
        repositories += [path.rstrip("/") for path in others if path.endswith("/")]
        wanted = [*(entry.path for entry in entries if not entry.is_submodule), *others]
        copied = set(_copied(self.root, directory, [path for path in wanted if not path.endswith("/")]))
        same = {entry.path for entry in entries if entry.stage == "0" and entry.path not in modified}
        _write_index(directory, [entry for entry in entries if entry.is_submodule or entry.path in same & copied])
        changed = "".join(f"{path}\0" for path in dict.fromkeys(wanted) if path in copied and path not in same)
        git(directory, "update-index", "-z", "--add", "--stdin", stdin=os.fsencode(changed))
        return self._settled(directory, repositories)

    def _settled(self, directory: str, repositories: Sequence[str]) -> list[str]:
        for path in repositories:
            os.makedirs(os.path.join(directory, path), exist_ok=True)
        settle_repository(self.root, directory)
        return list(repositories)

    def not_in_git(self, paths: Collection[str]) -> set[str]:
        """Return those of some paths, relative to the directory, that git ignores, or that are not in its tree."""
        directory = os.path.join(self.root, self.below)
        inside = [path for path in paths if is_within(os.path.join(directory, path), self.root)]
        found = set(paths) - set(inside)
        with suppress(ProgramError):  # none is ignored
            text = "".join(f"{path}\0" for path in inside)
            listed = git(directory, "check-ignore", "-z", "--stdin", stdin=os.fsencode(text))
            found |= set(os.fsdecode(listed).split("\0"))
        return found

    def _staged(self) -> Iterator[Entry]:
        for line in self._listed("--stage"):
            state, _, path = line.partition("\t")
            mode, content, stage = state.split()
            yield Entry(mode, content, path, stage)

    def _listed(self, *options: str) -> list[str]:
        return list(filter(None, git_text(self.root, "ls-files", "-z", *options).split("\0")))


def repository_of(directory: str) -> Repository | None:
    """Return the repository of a directory, None if it is in none.

    Without git that is told by the directories. Raises BundlepipeError for a repository that git cannot use, or that
    nothing can read, for want of git.
    """
    try:
        return Repository.of(directory)
    except NoRepository:
        return None
    except ProgramMissing:
        path = os.path.realpath(anchored(directory))
        while not os.path.exists(os.path.join(path, ".git")):
            path, below = os.path.dirname(path), path
            if path == below:
                return None
        raise BundlepipeError(f"{printable(path)}: is a git repository, but git is not on PATH: install it") from None


def _tree_entry(line: str) -> Entry:
    state, _, path = line.partition("\t")
    mode, _, content = state.split()
    return Entry(mode, content, path)


def _is_of_runs(path: str) -> bool:
    """Return whether a file is a record of runs, which neither side may know of."""
    return STATE_DIRECTORY in path.split("/")


def _write_index(directory: str, entries: Sequence[Entry]) -> None:
    lines = "".join(f"{entry.mode} {entry.content} 0\t{entry.path}\0" for entry in entries)
    git(directory, "update-index", "-z", "--index-info", stdin=os.fsencode(lines))


def _copied(root: str, directory: str, paths: Sequence[str]) -> Iterator[str]:
    """Copy files to a directory, and yield the paths of those that are there; BundlepipeError for other failures."""
    real: dict[str, bool] = {}
    for path in dict.fromkeys(paths):
        source, copy = os.path.join(root, path), os.path.join(directory, path)
        parent = os.path.dirname(source)
        if parent not in real:
            # Below a link that took the place of a directory nothing is git's.
            real[parent] = os.path.realpath(parent) == parent
        try:
            if real[parent] and os.path.lexists(source) and (os.path.islink(source) or not os.path.isdir(source)):
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copy2(source, copy, follow_symlinks=False)
                yield path
        except FileNotFoundError:
            continue  # removed at this moment
        except OSError as error:
            raise BundlepipeError(f"{printable(path)}: cannot be copied: {error.strerror}") from None
