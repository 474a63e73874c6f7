"""Ending when told to: SIGTERM gives work up as Ctrl-C does, so that programs do not stay behind.

What these have started themselves is theirs to end.
"""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

from bundlepipe.cancellation import await_the_end_of_work, cancel_all

# Seconds for work that is given up to tidy up.
_GRACE = 5.0
# Seconds between two signals to the same worker.
_PATIENCE = 0.5


def end_orderly() -> None:
    """Let SIGTERM end this process by an exit, unless something else is set for it. Only the main thread can set it."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def give_up_all() -> None:
    """Give up all work of this process and of its workers: it is to end."""
    cancel_all()
    atexit.register(_let_threads_tidy_up)
    # Workers would wait for tasks for ever, and be waited for. Where nobody has imported it, there are none.
    if multiprocessing := sys.modules.get("multiprocessing"):
        for worker in multiprocessing.active_children():
            worker.terminate()
        atexit.register(_outlive_workers)


def _let_threads_tidy_up() -> None:
    """Wait for what doit has threads do, which would end in the middle of it; an interruption ends the wait."""
    with suppress(KeyboardInterrupt):
        await_the_end_of_work(_GRACE)


def _outlive_workers() -> None:
    """Tell workers to end until they do; an interruption kills them.

    Two signals at once, as Ctrl-C and this one are, may both be taken by a thread that is
    not the main one of a worker, which then waits on for what it waits for: Python has
    them handled by the main thread, and only a further signal wakes that.
    """
    for worker in sys.modules["multiprocessing"].active_children():
        try:
            while worker.is_alive():
                worker.terminate()
                worker.join(_PATIENCE)
        except KeyboardInterrupt:
            worker.kill()


def ending_behind(error: BaseException | None) -> KeyboardInterrupt | SystemExit | None:
    """Return the interruption or exit in the course of which an exception was raised; None if it was in none."""
    while error is not None and not isinstance(error, (KeyboardInterrupt, SystemExit)):
        error = error.__context__
    return error


def _exit(number: int, frame: FrameType | None) -> None:
    # Workers are told by doit as well, and the second time would come in the middle of this. Not SIG_IGN, which
    # programs that are started later would inherit.
    signal.signal(number, lambda *_: None)
    give_up_all()
    # Who is interrupted at a terminal is told to end as well, while the interruption is on its way.
    if ending_behind(sys.exc_info()[1]) is None:
        sys.exit(128 + number)
