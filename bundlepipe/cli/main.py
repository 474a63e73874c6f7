"""The entry point of the command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bundlepipe.garbage_collection import collect_rarely


def main() -> None:
    """Run the command in the arguments of the process, and exit: 0, 1 for an error, 130 if interrupted.

    It is 141 if the reader of the output is gone, as with imgpkg and kbld.
    """
    # Before anything large is imported.
    collect_rarely()
    with _ended_at_once_by_interrupts():
        from bundlepipe.cli.program import run

    status = run(sys.argv[0], sys.argv[1:])
    if status == 130:
        from bundlepipe.concurrency.termination import end_at_once_if_interrupted

        end_at_once_if_interrupted()
    sys.exit(status)


@contextmanager
def _ended_at_once_by_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process while it loads, when there is nothing to tidy up: Python would print a traceback."""
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_default:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if is_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
