"""Cooperative cancellation: unblocks threads whose work has been cancelled."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import partial
from typing import TypeVar
from weakref import WeakSet

from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.base_directory import carried

Result = TypeVar("Result")

# Seconds that a wait lasts before it checks for signals.
_TURN = 0.5


class Cancelled(BundlepipeError):
    """The work was cancelled, because other work that it belongs to failed or was interrupted."""

    def __init__(self) -> None:
        super().__init__("cancelled, since other work failed")

    def __reduce__(self) -> tuple[type[Cancelled], tuple[()]]:
        return Cancelled, ()


class Cancellation:
    """Whether some work was cancelled, by any of several threads; it cannot be undone."""

    def __init__(self) -> None:
        # A signal may arrive while it is held, and its handler cancels everything. Events do not survive
        # that.
        self._lock = threading.RLock()
        self._has_happened = False
        self._gate = threading.Lock()
        self._gate.acquire()
        self._cuts: list[Callable[[], object]] = []

    @property
    def has_happened(self) -> bool:
        """Return whether the work was cancelled."""
        return self._has_happened

    def set(self) -> None:
        """Cancel the work, and unblock its waits."""
        with self._lock:
            if not self._has_happened:
                self._has_happened = True
                self._gate.release()
                for cut in self._cuts:
                    cut()

    def wait(self, seconds: float) -> bool:
        """Wait for `seconds`, or until the work is cancelled; return whether it was."""
        if self._gate.acquire(timeout=seconds):
            self._gate.release()
        return self._has_happened

    @contextmanager
    def cutting(self, cut: Callable[[], object]) -> Iterator[None]:
        """Call `cut`, which must not raise, if the work is cancelled within the context; Cancelled if it was before."""
        with self._lock:
            self._cuts.append(cut)
        try:
            if self.has_happened:
                raise Cancelled
            yield
        finally:
            with self._lock:
                self._cuts.remove(cut)


_current: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)


class _Known:
    """The work in this process that can be cancelled."""

    def __init__(self) -> None:
        self.cancellations: WeakSet[Cancellation] = WeakSet()
        # Reentrant for the same reason.
        self.lock = threading.RLock()
        self.is_over = False
        self.at_work = 0
        self.may_be_idle = threading.Condition(self.lock)


_known = _Known()


def cancel_all() -> None:
    """Cancel all work of this process, including work that starts later: the process is about to end."""
    with _known.lock:
        _known.is_over = True
        for cancellation in _known.cancellations:
            cancellation.set()


def is_about_to_end() -> bool:
    """Return whether all work of this process was cancelled."""
    return _known.is_over


def await_the_end_of_work(seconds: float) -> None:
    """Wait until all cancellable work has ended, in any thread, but at most `seconds`."""
    with _known.lock:
        _known.may_be_idle.wait_for(lambda: _known.at_work == 0, seconds)


def cancellable(cancellation: Cancellation, function: Callable[[], Result]) -> Result:
    """Return what `function` returns; Cancelled before it begins, and where it waits, if the work is cancelled."""
    with _known.lock:
        _known.cancellations.add(cancellation)
        if _known.is_over:
            cancellation.set()
        _known.at_work += 1
    token = _current.set(cancellation)
    try:
        raise_if_cancelled()
        return function()
    finally:
        _current.reset(token)
        with _known.lock:
            _known.at_work -= 1
            _known.may_be_idle.notify_all()


def is_cancelled() -> bool:
    """Return whether this thread's work was cancelled."""
    cancellation = _current.get()
    return cancellation is not None and cancellation.has_happened


def raise_if_cancelled() -> None:
    """Raise Cancelled if this thread's work was cancelled."""
    if is_cancelled():
        raise Cancelled


def pause(seconds: float) -> None:
    """Wait for `seconds`; Cancelled, immediately, if this work is cancelled."""
    cancellation = _current.get()
    if cancellation is None:
        time.sleep(seconds)
    elif cancellation.wait(seconds):
        raise Cancelled


def awaited(get: Callable[..., Result], between_turns: Callable[[], object] = lambda: None) -> Result:
    """Return the result of a queue's `get`, however long it takes, while handling signals.

    Python handles signals only between steps of the main thread. One that arrives just before a wait without a
    limit would not end it, so this waits in turns. `between_turns` may end the wait by an exception.
    """
    while True:
        with suppress(queue.Empty):
            return get(timeout=_TURN)
        between_turns()


def cut_off_if_cancelled(cut: Callable[[], object]) -> AbstractContextManager[None]:
    """Call `cut` to unblock what this thread waits for within the context, if this work is cancelled.

    Any thread may call it, and it must not raise. The caller has to distinguish the result from a
    fault, by `is_cancelled`. Raises Cancelled if the work was already cancelled.
    """
    cancellation = _current.get()
    return nullcontext() if cancellation is None else cancellation.cutting(cut)


def left_if_cancelled(function: Callable[[], Result], when_left: Callable[[], object] = lambda: None) -> Result:
    """Return what `function` returns, which cannot be unblocked; Cancelled, immediately, if this work is cancelled.

    The function is then left running, in a thread that does not keep the process from ending, and `when_left`
    is called after it.
    """
    # The import takes a while, and not all cancellable work gets here.
    from concurrent.futures import CancelledError, Future, InvalidStateError

    if _current.get() is None:
        return function()
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            settle = partial(outcome.set_result, function())
        except BaseException as error:  # noqa: BLE001  (whatever it is, it is raised where it is waited for)
            settle = partial(outcome.set_exception, error)
        try:
            settle()
        except InvalidStateError:
            when_left()

    try:
        with cut_off_if_cancelled(outcome.cancel):
            threading.Thread(target=carried(run), daemon=True).start()
            return outcome.result()
    except CancelledError:
        raise Cancelled from None
    finally:
        outcome.cancel()


def is_main_thread() -> bool:
    """Return whether this is the thread that handles signals."""
    return threading.current_thread() is threading.main_thread()


class _Uninterrupted:
    """Steps of the main thread that a signal must not interrupt: it is handled after them."""

    def __init__(self) -> None:
        self._depth = 0
        self._process = 0
        self._waiting: list[int] = []
        self.is_in_worker = False
        self.has_interrupted_worker = False

    def __enter__(self) -> None:
        if is_main_thread():
            self._process = os.getpid()
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        if is_main_thread():
            self._depth -= 1
            if not self._depth and self._waiting:
                number = self._waiting[0]
                self._waiting.clear()
                signal.raise_signal(number)

    def leave(self) -> None:
        """Reset in a worker, which may have been forked within such a step."""
        self._depth = 0
        self._waiting.clear()
        self.is_in_worker = True

    def takes(self, number: int) -> bool:
        """Return whether a signal has to wait; end a process just forked, in which an exception would be lost."""
        if not self._depth:
            return False
        if os.getpid() != self._process:
            os._exit(128 + number)
        self._waiting.append(number)
        return True


uninterrupted = _Uninterrupted()
