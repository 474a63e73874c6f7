"""Trees of files as git knows them: those of a revision, and those of the working tree that are not ignored."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct

from bundlepipe.concurrency.processes import run_program
from bundlepipe.errors import BundlepipeError, ProgramError, printable, quoted


class Repository(Struct, frozen=True):
    """The git repository of a directory: its root, and the directory's path below it."""

    root: str
    below: str

    @classmethod
    def of(cls, directory: str) -> Repository:
        """Return the repository of a directory; BundlepipeError if it is in none, or if there is no git."""
        try:
            root, below = _git(directory, "rev-parse", "--show-toplevel", "--show-prefix").splitlines()
        except ProgramError:
            raise BundlepipeError(f"{directory}: is in no git repository, whose revisions could be compared") from None
        return cls(root, below)

    def commit(self, revision: str) -> str:
        """Return the commit that a revision names; BundlepipeError if it is not here."""
        with suppress(ProgramError):
            commit = f"{revision}^{{commit}}"
            return _git(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", commit).strip()
        why = "no such commit in this repository"
        if revision and not revision.strip("0"):
            why = "the first push of a branch has no commit before it: compare with the branch that it is merged into"
        elif _git(self.root, "rev-parse", "--is-shallow-repository").strip() == "true":
            why = f"{why}, whose history is cut off: git fetch --unshallow, or in CI a checkout of the whole history"
        raise BundlepipeError(f"revision {quoted(revision)}: {why}")

    def check_out(self, commit: str, directory: str) -> None:
        """Write the files of a commit to a directory, as a checkout has them; submodules stay empty.

        The repository's own index is not touched. Raises BundlepipeError.
        """
        index = {"GIT_INDEX_FILE": f"{directory}.index"}
        _git(self.root, "read-tree", commit, variables=index)
        _git(self.root, "checkout-index", "--all", f"--prefix={directory}/", variables=index)

    def copy_working_tree(self, directory: str) -> None:
        """Write the files of the working tree that are not ignored to a directory; submodules stay empty.

        Raises BundlepipeError.
        """
        listed = _git(self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for path in filter(None, dict.fromkeys(listed.split("\0"))):
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
        git = _git(self.root, "rev-parse", "--absolute-git-dir").strip()
        return {"GIT_DIR": git, "GIT_WORK_TREE": tree, "GIT_INDEX_FILE": f"{tree}.index"}


def _git(directory: str, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
    """Return what git prints. Raises ProgramError, ProgramMissing."""
    command = ("git", *arguments)
    output = run_program(command, lambda line: None, directory=directory, environment=variables, captures_output=True)
    return output.decode(errors="surrogateescape")
