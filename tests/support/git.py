"""A git repository for a test, which no setting of the user reaches."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.services import require

_VARIABLES = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "A. U. Thor" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "author@example.com" for who in ("AUTHOR", "COMMITTER")},
}


def git(directory: Path, *arguments: str) -> str:
    """Run git in a directory and return what it printed; the test is skipped where there is no git."""
    require("git")
    environment = {**os.environ, **_VARIABLES}
    command = ["git", "-c", "init.defaultBranch=main", *arguments]
    return subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True, text=True).stdout


def commit_all(directory: Path) -> None:
    """Commit all that is in a directory, which becomes a repository if it is none."""
    git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--allow-empty", "--message", "All")
