"""The directory that relative paths start from: the current one, or a pipeline's own.

All threads of a process share one current directory, so a user's task that changes it would affect all
other running tasks. Code that opens a path therefore opens `anchored(path)`, and shows, records and
compares the path as given.
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
    """Resolve relative paths from `directory`, an absolute path, in this thread within the context."""
    token = _base.set(directory)
    try:
        yield
    finally:
        _base.reset(token)


def carried(function: Callable[[], Result]) -> Callable[[], Result]:
    """Return the function for another thread, with this thread's base directory."""
    base = _base.get()

    def run() -> Result:
        if base is None:
            return function()
        with paths_from(base):
            return function()

    return run


def base_directory() -> str:
    """Return the absolute path that relative paths start from; FileNotFoundError if it was removed."""
    return _base.get() or os.getcwd()


def anchored(path: str) -> str:
    """Return the path to open for `path`: absolute within `paths_from`, else the path itself."""
    base = _base.get()
    # An empty path must stay invalid instead of becoming a directory.
    return os.path.join(base, path) if base and path else path


def as_given(path: str) -> str:
    """Return a path from a system error as it was before it was anchored."""
    base = _base.get()
    return path.removeprefix(os.path.join(base, "")) if base else path
