"""Exit silently when the reader of the output is gone, and with one line when it cannot be written.

Examples: `doit list | head -n 1`, `bundlepipe doit >&-`; `doit list >/dev/full`.

SIGPIPE ends other programs then. Python ignores it, because of network connections, so a write fails, and doit
prints a traceback. Here such a write cancels all work, as an interruption does, and ends the process with the
exit status that shells give SIGPIPE, or with 1 if the output cannot be written for another reason, such as a full disk.
"""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TextIO

from bundlepipe.concurrency.termination import cancel_all_work

_UNWRITABLE = "ERROR: the output cannot be written: "
_WRITERS = ("write", "writelines", "flush")


class ClosedOutput(SystemExit):
    """The reader of the output is gone. doit also creates it, to pass it from threads to the main one."""

    def __init__(self, *_: object) -> None:
        super().__init__(128 + signal.SIGPIPE)


class UnwritableOutput(SystemExit):
    """The output cannot be written, for a `reason` of the system. Python prints the message at its exit.

    doit also creates it, of the message.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason.removeprefix(_UNWRITABLE)
        super().__init__(_UNWRITABLE + self.reason)


_ended: list[TextIO] = []


def end_quietly() -> None:
    """Make this process exit with ClosedOutput on its first line to a standard stream without a reader.

    With UnwritableOutput if the line cannot be written for another reason.

    A stream that was closed from the start accepts everything, like the null device.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream and stream not in _ended:
            _ended.append(stream)
            for name in _WRITERS:
                # On the object, which doit and others already hold.
                setattr(stream, name, _ending(stream, getattr(stream, name)))
            # Output at Python's exit cannot change the exit status. The stream may already be closed.
            with suppress(ValueError):
                stream.flush()
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(line_buffering=True)
    if sys.stdout is None:
        _replace_missing()


def _ending(stream: TextIO, write: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(write)
    def write_or_end(*arguments: Any) -> Any:
        try:
            return write(*arguments)
        except BrokenPipeError:
            _discard_rest()
            cancel_all_work()
            raise ClosedOutput from None
        except OSError as error:
            _lead_nowhere(stream)
            cancel_all_work()
            raise UnwritableOutput(error.strerror or str(error)) from None

    return write_or_end


@atexit.register
def _discard_rest() -> None:
    """Discard buffered output that cannot be written, which Python would try again at exit."""
    for stream in _ended:
        try:
            type(stream).flush(stream)
        except OSError:
            _lead_nowhere(stream)
        except ValueError:
            pass  # closed by its reader


def _lead_nowhere(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


class _Outstream:
    """Descriptor for the attribute of doit's classes that holds `sys.stdout`, if it is missing."""

    def __init__(self, null: TextIO) -> None:
        self._null = null

    def __get__(self, owner: Any, kind: type | None = None) -> TextIO:
        return vars(owner).get("outstream") or self._null

    def __set__(self, owner: Any, stream: TextIO | None) -> None:
        vars(owner)["outstream"] = stream


def _replace_missing() -> None:
    from doit.cmd_base import DoitCmdBase
    from doit.reporter import ConsoleReporter, JsonReporter

    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (open as long as the process runs)
    for kind in (DoitCmdBase, ConsoleReporter, JsonReporter):
        kind.outstream = _Outstream(sys.stdout)
