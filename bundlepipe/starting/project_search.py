"""Find the pipeline's directory for a command that is run below it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence


def directory_above(names: Sequence[str]) -> str | None:
    """Return the nearest directory above the current one that has a file of one of these names; None if there is none.

    As in git, the search stops at the top of a work tree and at a home directory; it also skips directories that
    everyone may write to, where a stranger could have put a program.
    """
    for directory in _above():
        if any(os.path.isfile(os.path.join(directory, name)) for name in names):
            return directory
    return None


def _above() -> Iterator[str]:
    directory, home = os.getcwd(), os.path.realpath(os.path.expanduser("~"))
    while not _is_top(directory, home):
        directory = os.path.dirname(directory)
        if not os.stat(directory).st_mode & stat.S_IWOTH:
            yield directory


def _is_top(directory: str, home: str) -> bool:
    return directory in (home, os.path.dirname(directory)) or os.path.exists(os.path.join(directory, ".git"))
