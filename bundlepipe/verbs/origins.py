"""Where the source of a built image comes from, as far as git knows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bundlepipe.documents.images_annotation import Origin, git_origin
from bundlepipe.errors import ProgramError, ProgramMissing
from bundlepipe.processes import run_program

_USER_INFORMATION = re.compile(r"(?<=://)[^/?#]*@")
# `git status` would write to the index, at the same time as the user's own git perhaps.
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0"}


def find_git_origin(directory: str) -> Origin | None:
    """Return the commit that a directory is of, with the remote `origin`, less passwords, and the commit's tags.

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
        tags=_git(directory, "tag", "--points-at", "HEAD").split(),
    )


def _remote_url(directory: str) -> str | None:
    try:
        return _USER_INFORMATION.sub("", _git(directory, "config", "--get", "remote.origin.url"))
    except ProgramError:
        # Its way to say that there is none.
        return None


def _git(directory: str, *arguments: str) -> str:
    command: Sequence[str] = ("git", "-C", directory, *arguments)
    output = run_program(command, lambda line: None, environment=_ENVIRONMENT, captures_output=True)
    return output.decode("utf-8", "replace").strip()
