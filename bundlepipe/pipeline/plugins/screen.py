"""Choose how many lines of output to show: as many as fit on a screen, or all."""

from __future__ import annotations

import os
from typing import TextIO

from doit.exceptions import InvalidCommand

SHOW_VARIABLE = "BUNDLEPIPE_SHOW"
_ALL = "all"
# The height of an unknown terminal, also used for logs.
_USUAL_HEIGHT = 24
# The command line itself, and the prompt after it.
_TAKEN = 2


def height_of(stream: TextIO) -> int:
    """Return the number of lines that fit on one screen of a terminal; elsewhere, on a usual one."""
    try:
        lines = os.get_terminal_size(stream.fileno()).lines if stream.isatty() else 0
    except (OSError, ValueError):
        lines = 0
    return max(1, (lines or _USUAL_HEIGHT) - _TAKEN)


def wants_all() -> bool:
    """Return whether the environment requests all lines; InvalidCommand, with which doit ends the run, if it is
    invalid.
    """
    wanted = os.environ.get(SHOW_VARIABLE, "")
    if wanted not in ("", _ALL):
        raise InvalidCommand(
            f"{SHOW_VARIABLE}={wanted}: expected {SHOW_VARIABLE}={_ALL}, which shows a line for each task"
        )
    return wanted == _ALL
