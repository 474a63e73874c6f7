"""What `doit clean` calls: functions that remove what a task made, in the directory of the pipeline."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from bundlepipe.errors import OutputError
from bundlepipe.filesystem.base_directory import anchored, paths_from
from bundlepipe.filesystem.dangerous import refuse_repository


class Clean:
    """A function with its arguments but `dryrun`, which doit adds; the directory is that of the time it is made."""

    def __init__(self, function: Callable[..., None], **arguments: Any) -> None:
        self._function = function
        self._arguments = arguments
        self._directory = os.getcwd()

    def __call__(self, dryrun: bool) -> None:
        """Remove what the task made, or with `dryrun` say only what would be removed."""
        with paths_from(self._directory):
            self._function(**self._arguments, dryrun=dryrun)

    def __str__(self) -> str:
        """Return what doit shows of the function itself."""
        return str(self._function)


def forgetting(digest_path: str) -> Clean:
    """Return what removes the record of what was made: `doit clean` removes no more of a push."""
    return Clean(_forget_digest, path=digest_path)


def _forget_digest(path: str, dryrun: bool) -> None:
    if os.path.exists(anchored(path)):
        print(f"removing file '{path}'")
        if not dryrun:
            os.remove(anchored(path))


def removed(task_name: str, path: str, what: str, check: Callable[[], object], remove: Callable[[], object]) -> bool:
    """Remove an output, a `what`, and say so; tell whether that was done.

    `check` raises OutputError for what must stay; that, and an OSError of `remove`, is a line.
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
    """Remove a file or a link as `removed` does; with `dryrun` only say so."""

    def check() -> None:
        refuse_repository(path)
        mode = os.lstat(anchored(path)).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise OutputError(f"{path}: it is not a file")

    return removed(task_name, path, "file", check, lambda: None if dryrun else os.remove(anchored(path)))
