"""Ending without a word when nobody reads the output any more: `doit list | head -n 1`, `bundlepipe doit >&-`.

Other programs are ended by SIGPIPE then. Python ignores it, for the sake of connections, so a
write fails, and doit tells of that with a traceback. Here such a write gives all work up, as
an interruption does, and ends the process with the exit status that shells give SIGPIPE.
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

from bundlepipe.concurrency.termination import give_up_all

_WRITERS = ("write", "writelines", "flush")


class ClosedOutput(SystemExit):
    """Nobody reads what is written. Made by doit as well, which hands it from threads to the main one as a text."""

    def __init__(self, *_: object) -> None:
        super().__init__(128 + signal.SIGPIPE)


_ended: list[TextIO] = []


def end_quietly() -> None:
    """Let this process end with ClosedOutput as soon as it writes a line to a standard stream that nobody reads.

    A stream that was closed from the start takes all, as if it were the null device.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream and stream not in _ended:
            _ended.append(stream)
            for name in _WRITERS:
                # By the object, which doit and others already have in their hands.
                setattr(stream, name, _ending(getattr(stream, name)))
            # What is written when Python ends cannot change the exit status. Somebody may have closed it.
            with suppress(ValueError):
                stream.flush()
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(line_buffering=True)
    if sys.stdout is None:
        _replace_missing()


def _ending(write: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(write)
    def write_or_end(*arguments: Any) -> Any:
        try:
            return write(*arguments)
        except BrokenPipeError:
            _discard_rest()
            give_up_all()
            raise ClosedOutput from None

    return write_or_end


@atexit.register
def _discard_rest() -> None:
    """Let what nobody reads go nowhere: it is still in buffers, which Python writes when it ends."""
    for stream in _ended:
        try:
            type(stream).flush(stream)
        except BrokenPipeError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
        except ValueError:
            pass  # closed by whoever wanted no more of it


class _Outstream:
    """The attribute of doit's classes that holds `sys.stdout`, where there is none."""

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
