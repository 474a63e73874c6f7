"""What `doit clean` calls: functions that remove what a task made, in the directory of the pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from bundlepipe.base_directory import paths_from


class Clean:
    """A function with its arguments but `dryrun`, which doit adds; the directory is that of the time it is made."""

    def __init__(self, function: Callable[..., None], arguments: Mapping[str, Any]) -> None:
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
