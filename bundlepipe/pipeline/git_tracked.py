"""What git has of some files."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bundlepipe.errors import ProgramError, ProgramMissing
from bundlepipe.processes import run_program

# As for `git status`: git would write to the index, at the same time as the user's own git perhaps.
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0"}


def tracked(paths: Sequence[str]) -> list[str]:
    """Return those of some paths that git tracks; none where it cannot tell (no repository, say)."""
    if not paths:
        return []
    command = ["git", "--literal-pathspecs", "ls-files", "-z", "--", *paths]
    try:
        output = run_program(command, lambda line: None, environment=_ENVIRONMENT, captures_output=True)
    except (ProgramError, ProgramMissing):
        return []
    found = {os.path.normpath(os.fsdecode(path)) for path in output.split(b"\0") if path}
    return [path for path in paths if os.path.normpath(path) in found]
