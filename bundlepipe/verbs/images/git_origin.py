"""The git origin of a built image: remote, commit and tag of its source, in kbld's format."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bundlepipe.concurrency.processes import run_program
from bundlepipe.documents.search.annotations import Origin, git_origin
from bundlepipe.errors import ProgramError, ProgramMissing

_USER_INFORMATION = re.compile(r"(?<=://)[^/?#]*@|^(?!git@)[^@/:]+(?=@[^/]*:)@")
# Replaces users and passwords, and a missing remote.
_REDACTED, _UNKNOWN = "_redacted_@", "<unknown>"
# `git status` would write to the index, perhaps at the same time as the user's own git.
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0"}


def find_git_origin(directory: str) -> Origin | None:
    """Return the commit of a directory, with its remote, without users and passwords, and its tag.

    None if there is no git, no repository or no commit yet. Raises ProgramError if git fails in a repository that has
    a commit.
    """
    try:
        sha = _git(directory, "rev-parse", "--verify", "HEAD")
    except (ProgramError, ProgramMissing):
        return None
    return git_origin(
        sha,
        dirty=bool(_git(directory, "status", "--short")),
        remote_url=_remote_url(directory),
        tags=_tags(directory),
    )


def _remote_url(directory: str) -> str:
    try:
        # No connection is made: this only prints the remote's URL.
        return _USER_INFORMATION.sub(_REDACTED, _git(directory, "ls-remote", "--get-url"))
    except ProgramError:
        # git's way to report that there is none.
        return _UNKNOWN


def _tags(directory: str) -> list[str]:
    try:
        return _git(directory, "describe", "--tags", "--exact-match", "HEAD").splitlines()
    except ProgramError:
        return []


def _git(directory: str, *arguments: str) -> str:
    command: Sequence[str] = ("git", "-C", directory, *arguments)
    output = run_program(command, lambda line: None, environment=_ENVIRONMENT, captures_output=True)
    return output.decode("utf-8", "replace").strip()
