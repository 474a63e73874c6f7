"""The directory that relative paths start from: the current one, or a pipeline's own.

All threads of a process share one current directory, so a user's task that changes it would affect all
other running tasks. Code that opens a path therefore opens `anchored(path)`, and shows, records and
compares the path as given. Threads that do a part of some work get its directory by `carried`, with all else
that belongs to the work and not to the thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from bundlepipe.filesystem.overlay import active_overlay

Result = TypeVar("Result")

Value = TypeVar("Value")

_carried: list[ContextVar[Any]] = []


def carry(variable: ContextVar[Value]) -> ContextVar[Value]:
    """Make `carried` take a variable of the context, which has a default, to other threads; return the variable."""
    _carried.append(variable)
    return variable


_base: ContextVar[str | None] = carry(ContextVar("base_directory", default=None))


@contextmanager
def paths_from(directory: str) -> Iterator[None]:
    """Resolve relative paths from `directory`, an absolute path, in this thread within the context."""
    token = _base.set(directory)
    try:
        yield
    finally:
        _base.reset(token)


def carried(function: Callable[[], Result]) -> Callable[[], Result]:
    """Return the function for another thread, with this thread's base directory and other carried variables."""
    values = [(variable, variable.get()) for variable in _carried]

    def run() -> Result:
        tokens = [(variable, variable.set(value)) for variable, value in values]
        try:
            return function()
        finally:
            for variable, token in tokens:
                variable.reset(token)

    return run


def base_directory() -> str:
    """Return the absolute path that relative paths start from; FileNotFoundError if it was removed."""
    return _base.get() or os.getcwd()


def anchored(path: str) -> str:
    """Return the path to open for `path`: absolute within `paths_from`, else the path itself.

    In a plan it is that of the content which a run would have written there. To write, use `anchored_output`.
    """
    found, overlay = _joined(path), active_overlay()
    return overlay.seen(found) if overlay and path else found


def anchored_output(path: str) -> str:
    """Return the path to write to for `path`: in a plan one in its overlay."""
    found, overlay = _joined(path), active_overlay()
    return overlay.written(found) if overlay and path else found


def entries_of(directory: str) -> list[os.DirEntry[str]]:
    """Return the entries of a directory in any order; OSError if it cannot be read."""
    if overlay := active_overlay():
        return overlay.entries(_joined(directory))
    with os.scandir(_joined(directory)) as found:
        return list(found)


def remove_file(path: str) -> None:
    """Remove a file; OSError if that is impossible."""
    if overlay := active_overlay():
        overlay.remove(_joined(path))
    else:
        os.remove(_joined(path))


def _joined(path: str) -> str:
    base = _base.get()
    # An empty path must stay invalid instead of becoming a directory.
    return os.path.join(base, path) if base and path else path


def as_given(path: str) -> str:
    """Return a path from a system error as it was before it was anchored."""
    base = _base.get()
    if overlay := active_overlay():
        path = overlay.given(path)
    return path.removeprefix(os.path.join(base, "")) if base else path
