"""Ending when told to: SIGTERM gives work up as Ctrl-C does, so that programs do not stay behind.

What these have started themselves is theirs to end.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from bundlepipe.cancellation import cancel_all


def end_orderly() -> None:
    """Let SIGTERM end this process by an exit, unless something else is set for it. Only the main thread can set it."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    # Workers are told by doit as well, and the second time would come in the middle of this. Not SIG_IGN, which
    # programs that are started later would inherit.
    signal.signal(number, lambda *_: None)
    cancel_all()
    # Workers would wait for tasks for ever, and be waited for. Where nobody has imported it, there are none.
    if multiprocessing := sys.modules.get("multiprocessing"):
        for worker in multiprocessing.active_children():
            worker.terminate()
    sys.exit(128 + number)
