"""Ending when told to: SIGTERM gives work up as Ctrl-C does, so that programs do not stay behind.

What these have started themselves is theirs to end.
"""

from __future__ import annotations

import atexit
import signal
import sys
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from bundlepipe.concurrency.cancellation import await_the_end_of_work, cancel_all, is_main_thread, uninterrupted

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

# Seconds for work that is given up to tidy up.
_GRACE = 5.0
# Seconds between two signals to the same worker, and how many it gets: programs that it runs have their grace as well.
_PATIENCE = 0.5
_SIGNALS = 30


def end_orderly() -> None:
    """Let SIGTERM end this process by an exit, unless something else is set for it. Only the main thread can set it."""
    if is_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _OrderToEnd())


def interrupt_between_steps() -> None:
    """Let SIGINT wait for the end of `uninterrupted` steps as SIGTERM does, unless something else is set for it."""
    if is_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def give_up_all() -> None:
    """Give up all work of this process and of its workers: it is to end."""
    cancel_all()
    for worker in _workers():
        worker.terminate()
    # Once, and so late that it comes before what multiprocessing does at the end: that waits for workers for ever.
    atexit.unregister(_let_all_end)
    atexit.register(_let_all_end)


def tell_interrupts_shortly() -> None:
    """Let Ctrl-C end the run by a line, as every other end is told; doit itself lets it through."""
    previous = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            end_interrupted()
        else:
            previous(kind, error, trace)

    sys.excepthook = tell


def end_interrupted() -> None:
    """Give all work up and say so: threads and workers would otherwise be waited for until they have done all."""
    give_up_all()
    sys.stderr.write("interrupted: the next run does what is not finished\n")


def has_workers() -> bool:
    """Tell whether this process has workers, which share its terminal."""
    return bool(_workers())


def _workers() -> list[BaseProcess]:
    # Where nobody has imported it, there are none.
    multiprocessing = sys.modules.get("multiprocessing")
    return multiprocessing.active_children() if multiprocessing else []


def _let_all_end() -> None:
    """Wait for workers, and then for what doit has threads do, which would end in the middle of it.

    Workers that never end are killed; who asks again ends the waits.

    Two signals at once, as Ctrl-C and the order to end are, may both be taken by a thread
    that is not the main one of a worker, which then waits on for what it waits for: Python
    has them handled by the main thread, and only a further signal wakes that. So workers
    are told until they have ended.
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
    """Return the interruption or exit that an exception came in the way of; None if there is none.

    One that was dealt with, by `raise ... from`, does not count, nor does `outer` and what
    was before that: what was being handled already when all this began.
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


class _OrderToEnd:
    """Handles SIGTERM; for a while, it waits for an interruption that is on its way."""

    def __init__(self) -> None:
        self._waits_since: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """End by an exit."""
        if uninterrupted.takes(number):
            return
        # Who is interrupted at a terminal is told to end as well, and should not be in the middle of tidying up.
        # In a worker the interruption may be on its way through what cannot be seen from here.
        if ending_behind(sys.exc_info()[1]) or uninterrupted.has_interrupted_worker:
            now = time.monotonic()
            self._waits_since = now if self._waits_since is None else self._waits_since
            if now - self._waits_since <= _GRACE:
                give_up_all()
                return
        # Workers are told by doit as well, and the second time would come in the middle of this. Not SIG_IGN, which
        # programs that are started later would inherit.
        signal.signal(number, lambda *_: None)
        give_up_all()
        sys.exit(128 + number)
