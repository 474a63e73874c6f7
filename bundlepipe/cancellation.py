"""Giving up: who waits for others to finish makes them stop waiting for something else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar
from weakref import WeakSet

from bundlepipe.errors import BundlepipeError

Result = TypeVar("Result")

_stopping: ContextVar[threading.Event | None] = ContextVar("stopping", default=None)


class Cancelled(BundlepipeError):
    """Work was given up, because other work that it belongs to failed or was interrupted."""


class _Known:
    """What can be given up in this process."""

    def __init__(self) -> None:
        self.events: WeakSet[threading.Event] = WeakSet()
        # A signal may come while it is held, and its handler gives up everything.
        self.lock = threading.RLock()
        self.is_over = False


_known = _Known()


def cancel_all() -> None:
    """Give up all work of this process, also what begins from now on: the process is to end."""
    with _known.lock:
        _known.is_over = True
        for event in _known.events:
            event.set()


def cancellable(stopping: threading.Event, function: Callable[[], Result]) -> Result:
    """Return what `function` returns; where it pauses, it raises Cancelled once `stopping` is set."""
    with _known.lock:
        _known.events.add(stopping)
        if _known.is_over:
            stopping.set()
    token = _stopping.set(stopping)
    try:
        return function()
    finally:
        _stopping.reset(token)


def is_cancelled() -> bool:
    """Tell whether the work that this thread does is given up."""
    stopping = _stopping.get()
    return stopping is not None and stopping.is_set()


def pause(seconds: float) -> None:
    """Wait for so many seconds; Cancelled, at once, if this work is given up."""
    stopping = _stopping.get()
    if stopping is None:
        time.sleep(seconds)
    elif stopping.wait(seconds):
        raise Cancelled("given up, since other work failed")
