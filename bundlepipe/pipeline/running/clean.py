"""Functions for `doit clean`: they remove what a task made, in the directory of the pipeline."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from bundlepipe.errors import OutputError
from bundlepipe.filesystem.base_directory import anchored, base_directory, paths_from
from bundlepipe.filesystem.dangerous import refuse_repository


class Clean:
    """A function with its arguments except `dryrun`, which doit adds; keeps the base directory of its creation."""

    def __init__(self, function: Callable[..., None], **arguments: Any) -> None:
        self._function = function
        self._arguments = arguments
        self._directory = base_directory()

    def __call__(self, dryrun: bool) -> None:
        """Remove what the task made, or with `dryrun` only print it."""
        with paths_from(self._directory):
            self._function(**self._arguments, dryrun=dryrun)

    def __str__(self) -> str:
        """Return doit's text for the function itself."""
        return str(self._function)


def forgetting(digest_path: str) -> Clean:
    """Return a function that removes the record of a result: for a push, `doit clean` removes only that."""
    return Clean(_forget_digest, path=digest_path)


def _forget_digest(path: str, dryrun: bool) -> None:
    if os.path.exists(anchored(path)):
        print(f"removing file '{path}'")
        if not dryrun:
            os.remove(anchored(path))


def removed(task_name: str, path: str, what: str, check: Callable[[], object], remove: Callable[[], object]) -> bool:
    """Remove an output, a `what`, and print it; return whether it was removed.

    `check` raises OutputError for an output that must stay; that, and an OSError of `remove`, is
    printed as a line.
    """
    try:
        check()
        print(f"{task_name} - removing {what} '{path}'")
        remove()
    except OutputError as error:
        print(f"{task_name} - not removing '{path}': {str(error).removeprefix(f'{path}: ')}")
        return False
    except OSError as error:
        print(f"{task_name} - cannot remove '{path}': {error.strerror}")
        return False
    return True


def remove_file(task_name: str, path: str, *, dryrun: bool) -> bool:
    """Remove a file or a link as `removed` does; with `dryrun` only print it."""

    def check() -> None:
        refuse_repository(path)
        mode = os.lstat(anchored(path)).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise OutputError(f"{path}: it is not a file")

    return removed(task_name, path, "file", check, lambda: None if dryrun else os.remove(anchored(path)))
