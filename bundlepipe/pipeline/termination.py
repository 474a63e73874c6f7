"""Ending when told to: SIGTERM gives work up as Ctrl-C does, so that programs do not stay behind.

What these have started themselves is theirs to end.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from bundlepipe.cancellation import await_the_end_of_work, awaited, cancel_all

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

# What is said of a run that Ctrl-C ended.
INTERRUPTED = "interrupted: the next run does what is not finished"
# Seconds for work that is given up to tidy up.
_GRACE = 5.0
# Seconds between two signals to the same worker, and how many it gets: programs that it runs have their grace as well.
_PATIENCE = 0.5
_SIGNALS = 30

# The process that let SIGTERM end it; a forked one has that from its parent.
_watched_process: int | None = None


def end_orderly() -> None:
    """Let SIGTERM end this process by an exit, and SIGINT a worker even while it is being forked.

    Unless something else is set for them. Only the main thread can set it.
    """
    global _watched_process  # noqa: PLW0603  (as the handlers are, it is that of the process)
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _watched_process = os.getpid()
        signal.signal(signal.SIGTERM, _exit)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _watched_process = os.getpid()
        signal.signal(signal.SIGINT, _interrupt)


def let_waits_be_interrupted() -> None:
    """Let doit deal with signals while it waits for what threads or workers do, and not before all of these have begun.

    Until then it may have workers that nobody would end.
    """
    from doit.runner import MRunner, MThreadRunner

    for runner in (MRunner, MThreadRunner):
        if runner.Queue not in _queues:
            _queues.append(_with_awaited_get(runner.Queue))
            runner.Queue = staticmethod(_queues[-1])


_queues: list[Callable[[], Any]] = []


def _with_awaited_get(make: Callable[[], Any]) -> Callable[[], Any]:
    def made() -> Any:
        results = make()
        get = results.get

        def get_or_end() -> Any:
            while _postponed:
                signal.raise_signal(_postponed.pop())
            return awaited(get)

        results.get = get_or_end
        return results

    return made


def give_up_all() -> None:
    """Give up all work of this process and of its workers: it is to end."""
    cancel_all()
    for worker in _workers():
        worker.terminate()
    # Once, and so late that it comes before what multiprocessing does at the end: that waits for workers for ever.
    atexit.unregister(_let_all_end)
    atexit.register(_let_all_end)


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


class _Postponement:
    """How long the order to end has been waiting for an interruption that is on its way."""

    def __init__(self) -> None:
        self._began: float | None = None

    def is_over(self) -> bool:
        if self._began is None:
            self._began = time.monotonic()
        return time.monotonic() - self._began > _GRACE


_postponement = _Postponement()


def _is_being_forked(frame: FrameType | None) -> bool:
    """Tell whether this is a worker that does not work yet: what is raised there may be printed, and lost."""
    if os.getpid() == _watched_process:
        return False
    while frame:
        if frame.f_globals.get("__name__") == "multiprocessing.popen_fork":
            return True
        if frame.f_code.co_name == "_bootstrap":
            return False
        frame = frame.f_back
    return False


# Signals that came while doit began to have workers.
_postponed: list[int] = []


def _is_starting_worker(frame: FrameType | None) -> bool:
    """Tell whether doit is in the middle of starting a worker, which this process does not know yet."""
    modules = set()
    while frame:
        modules.add(frame.f_globals.get("__name__"))
        if frame.f_code.co_name == "_run_start_processes":
            return os.getpid() == _watched_process and "multiprocessing.process" in modules
        frame = frame.f_back
    return False


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _is_being_forked(frame):
        os._exit(128 + number)
    if _is_starting_worker(frame):
        _postponed.append(number)
        return
    signal.default_int_handler(number, frame)


def _exit(number: int, frame: FrameType | None) -> None:
    if _is_being_forked(frame):
        os._exit(128 + number)
    if _is_starting_worker(frame):
        _postponed.append(number)
        return
    # Who is interrupted at a terminal is told to end as well, and should not be in the middle of tidying up.
    if ending_behind(sys.exc_info()[1]) and not _postponement.is_over():
        give_up_all()
        return
    # Workers are told by doit as well, and the second time would come in the middle of this. Not SIG_IGN, which
    # programs that are started later would inherit.
    signal.signal(number, lambda *_: None)
    give_up_all()
    sys.exit(128 + number)
