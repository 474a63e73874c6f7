"""Where the source of a built image comes from, as far as git knows, in the form that kbld gives it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bundlepipe.concurrency.processes import run_program
from bundlepipe.documents.search.annotations import Origin, git_origin
from bundlepipe.errors import ProgramError, ProgramMissing

_USER_INFORMATION = re.compile(r"(?<=://)[^/?#]*@|^(?!git@)[^@/:]+(?=@[^/]*:)@")
# In the place of users and passwords, and of a remote where there is none.
_REDACTED, _UNKNOWN = "_redacted_@", "<unknown>"
# `git status` would write to the index, at the same time as the user's own git perhaps.
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0"}


def find_git_origin(directory: str) -> Origin | None:
    """Return the commit that a directory is of, with the remote, less users and passwords, and the tag of the commit.

    None where there is no git, no repository or no commit yet. Raises ProgramError where
    git fails on a repository that has a commit.
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
        # Nobody is asked: this only tells who would be.
        return _USER_INFORMATION.sub(_REDACTED, _git(directory, "ls-remote", "--get-url"))
    except ProgramError:
        # Its way to say that there is none.
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
