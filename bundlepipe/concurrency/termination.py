"""Orderly termination: SIGTERM and SIGHUP cancel work as Ctrl-C does, so that no programs are left running.

Processes that those programs started are left to them.
"""

from __future__ import annotations

import atexit
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from bundlepipe.concurrency.cancellation import await_the_end_of_work, cancel_all, is_main_thread, uninterrupted

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

# Seconds that cancelled work has to tidy up.
_GRACE = 5.0
# Seconds between two signals to the same worker, and their number: programs that it runs have their own grace period.
_PATIENCE = 0.5
_SIGNALS = 30
# A terminal that is closed, or a lost connection to one, sends SIGHUP.
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def end_orderly() -> None:
    """Make SIGTERM and SIGHUP end this process by an exit, unless they have other handlers, or `nohup` ignores them.

    Only the main thread can set handlers.
    """
    if is_main_thread():
        for number in _ENDING_SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)


def interrupt_between_steps() -> None:
    """Make SIGINT wait for the end of `uninterrupted` steps as SIGTERM does, unless it has another handler."""
    if is_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def cancel_all_work() -> None:
    """Cancel all work of this process and of its workers: it is about to end."""
    cancel_all()
    for worker in _workers():
        worker.terminate()
    # Registered once, and so late that it runs before multiprocessing's own exit handler, which waits for workers
    # forever.
    atexit.unregister(_let_all_end)
    atexit.register(_let_all_end)


def report_interrupts_briefly() -> None:
    """Make Ctrl-C end the run with one line, like any other end; doit itself raises it."""
    previous = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            end_interrupted_run()
            end_at_once_if_interrupted()
        else:
            previous(kind, error, trace)

    sys.excepthook = tell


def end_interrupted_run() -> None:
    """End a run of doit as `end_interrupted` does."""
    end_interrupted(lambda: sys.stderr and sys.stderr.write("interrupted: the next run does what is not finished\n"))


def end_interrupted(tell: Callable[[], object]) -> None:
    """Cancel all work, `tell` the user, and wait for the end of the work, which another interrupt cuts short.

    Otherwise threads and workers would be awaited until they have done everything.
    """
    with suppress(KeyboardInterrupt):
        cancel_all_work()
    with suppress(KeyboardInterrupt):
        tell()
    _let_all_end()
    atexit.unregister(_let_all_end)


def end_at_once_if_interrupted() -> None:
    """From now on let SIGINT end the process, unless it has another handler.

    For a process that is about to end: Python would print a traceback.
    """
    if is_main_thread() and signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _interrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def has_workers() -> bool:
    """Return whether this process has workers, which share its terminal."""
    return bool(_workers())


def _workers() -> list[BaseProcess]:
    # If it was never imported, there are none.
    multiprocessing = sys.modules.get("multiprocessing")
    return multiprocessing.active_children() if multiprocessing else []


def _let_all_end() -> None:
    """Wait for workers, and then for work in doit's threads, which would otherwise be cut off in the middle.

    Workers that never end are killed; a second request ends the waits.

    If two signals arrive at once, as Ctrl-C and SIGTERM may, a thread other than the main one of a
    worker may take both, and the worker goes on waiting: Python handles signals in the main thread,
    and only a further signal wakes it. So workers are signalled until they have ended.
    """
    workers = _workers()
    with suppress(KeyboardInterrupt, SystemExit):
        for _ in range(_SIGNALS):
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join(_PATIENCE / len(workers))
            if not any(worker.is_alive() for worker in workers):
                break
    for worker in workers:
        worker.kill()
    with suppress(KeyboardInterrupt, SystemExit):
        await_the_end_of_work(_GRACE)


def ending_behind(error: BaseException | None, outer: BaseException | None = None) -> BaseException | None:
    """Return the interruption or exit during which an exception was raised; None if there is none.

    One that was handled, by `raise ... from`, does not count, nor do `outer` and its context: they
    were being handled before this began.
    """
    seen = {id(outer)}
    while error is not None and id(error) not in seen:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            return error
        seen.add(id(error))
        error = None if error.__suppress_context__ else error.__context__
    return None


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not uninterrupted.takes(number):
        uninterrupted.has_interrupted_worker = uninterrupted.is_in_worker
        signal.default_int_handler(number, frame)


class _Ending:
    """Handles signals that end the process; it first waits for a while for an interruption in progress."""

    def __init__(self) -> None:
        self._waits_since: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """End the process by an exit."""
        if uninterrupted.takes(number):
            return
        # An interruption at a terminal is followed by SIGTERM or SIGHUP too, which should not disturb tidying up. In a
        # worker the interruption may be passing through code that cannot be seen from here.
        if ending_behind(sys.exc_info()[1]) or uninterrupted.has_interrupted_worker:
            now = time.monotonic()
            self._waits_since = now if self._waits_since is None else self._waits_since
            if now - self._waits_since <= _GRACE:
                cancel_all_work()
                return
        # doit also signals workers, and a second signal would disturb this. Not SIG_IGN, which programs that are
        # started later would inherit.
        for each in _ENDING_SIGNALS:
            if signal.getsignal(each) is self:
                signal.signal(each, lambda *_: None)
        cancel_all_work()
        sys.exit(128 + number)


_end = _Ending()
