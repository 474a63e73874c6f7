"""Where relative paths begin: at the current directory, or for work of a pipeline at the directory of that.

The current directory is one for all threads of a process, so a user's own task that changes
it changes it for every other task that runs. What opens a path therefore opens `anchored(path)`,
and shows, records and compares the path as it was given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Result = TypeVar("Result")

_base: ContextVar[str | None] = ContextVar("base_directory", default=None)


@contextmanager
def paths_from(directory: str) -> Iterator[None]:
    """Let relative paths begin at `directory`, an absolute path, in all that this thread does within the context."""
    token = _base.set(directory)
    try:
        yield
    finally:
        _base.reset(token)


def carried(function: Callable[[], Result]) -> Callable[[], Result]:
    """Return the function for another thread, in which relative paths begin where they begin now."""
    base = _base.get()

    def run() -> Result:
        if base is None:
            return function()
        with paths_from(base):
            return function()

    return run


def base_directory() -> str:
    """Return the absolute path that relative paths begin at; FileNotFoundError if that was removed."""
    return _base.get() or os.getcwd()


def anchored(path: str) -> str:
    """Return the path to open for `path`: absolute within `paths_from`, else the path itself."""
    base = _base.get()
    # An empty path leads nowhere, and is not to lead to a directory.
    return os.path.join(base, path) if base and path else path


def as_given(path: str) -> str:
    """Return a path from an error of the system as it was before it was anchored."""
    base = _base.get()
    return path.removeprefix(os.path.join(base, "")) if base else path
