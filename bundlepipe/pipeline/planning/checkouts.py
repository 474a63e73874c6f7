"""Trees of files as git knows them: those of a revision, and those of the working tree that are not ignored."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from msgspec import Struct

from bundlepipe.errors import BundlepipeError, printable, quoted


class Repository(Struct, frozen=True):
    """The git repository of a directory: its root, and the directory's path below it."""

    root: str
    below: str

    @classmethod
    def of(cls, directory: str) -> Repository:
        """Return the repository of a directory; BundlepipeError if it is in none, or if there is no git."""
        found = _git(directory, "rev-parse", "--show-toplevel", "--show-prefix")
        if found.returncode:
            raise BundlepipeError(f"{directory}: is in no git repository, whose revisions could be compared")
        root, below = found.stdout.splitlines()[:2] if found.stdout.count("\n") > 1 else (found.stdout.strip(), "")
        return cls(root, below)

    def commit(self, revision: str) -> str:
        """Return the commit that a revision names; BundlepipeError if it is not here."""
        found = _git(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if found.returncode == 0:
            return found.stdout.strip()
        why = "no such commit in this repository"
        if revision and not revision.strip("0"):
            why = "the first push of a branch has no commit before it: compare with the branch that it is merged into"
        elif _git(self.root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            why = f"{why}, whose history is cut off: git fetch --unshallow, or in CI a checkout of the whole history"
        raise BundlepipeError(f"revision {quoted(revision)}: {why}")

    def check_out(self, commit: str, directory: str) -> None:
        """Write the files of a commit to a directory, as a checkout has them; submodules stay empty.

        The repository's own index is not touched. Raises BundlepipeError.
        """
        index = {"GIT_INDEX_FILE": f"{directory}.index"}
        _done(_git(self.root, "read-tree", commit, variables=index), f"commit {commit}")
        files = _git(self.root, "checkout-index", "--all", f"--prefix={directory}/", variables=index)
        _done(files, f"commit {commit}")

    def copy_working_tree(self, directory: str) -> None:
        """Write the files of the working tree that are not ignored to a directory; submodules stay empty.

        Raises BundlepipeError.
        """
        listed = _git(self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        _done(listed, self.root)
        for path in filter(None, dict.fromkeys(listed.stdout.split("\0"))):
            source, copy = os.path.join(self.root, path), os.path.join(directory, path)
            try:
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                if not os.path.isdir(source) or os.path.islink(source):
                    shutil.copy2(source, copy, follow_symlinks=False)
            except FileNotFoundError:
                continue  # deleted, and not committed yet
            except OSError as error:
                raise BundlepipeError(f"{printable(path)}: cannot be copied: {error.strerror}") from None

    def variables(self, tree: str) -> Mapping[str, str]:
        """Return the environment in which git takes a directory for the working tree, with an index of its own.

        A dodo.py that asks git for the version gets the same answer for all trees.
        """
        git = _git(self.root, "rev-parse", "--absolute-git-dir").stdout.strip()
        return {"GIT_DIR": git, "GIT_WORK_TREE": tree, "GIT_INDEX_FILE": f"{tree}.index"}


def _git(
    directory: str, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=directory,
            env={**os.environ, **(variables or {})},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )
    except FileNotFoundError:
        raise BundlepipeError("git: not found: --since compares revisions of git, so install it") from None


def _done(finished: subprocess.CompletedProcess[str], what: str) -> None:
    if finished.returncode:
        told = (finished.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BundlepipeError(f"{printable(what)}: git {finished.args[1]} failed: {printable(told)}")
