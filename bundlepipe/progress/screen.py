"""How much output a person can take in at once, and whether more is wanted."""

from __future__ import annotations

import os
from typing import TextIO

from doit.exceptions import InvalidTask

SHOW_VARIABLE = "BUNDLEPIPE_SHOW"
_ALL = "all"
# What a terminal has if nothing else is known of it; a log gets what one that high would get.
_USUAL_HEIGHT = 24
# The line of the command itself, and the prompt after it.
_TAKEN = 2


def height_of(stream: TextIO) -> int:
    """Return how many lines of output fit on one screen of a terminal; elsewhere, on a usual one."""
    try:
        lines = os.get_terminal_size(stream.fileno()).lines if stream.isatty() else 0
    except (OSError, ValueError):
        lines = 0
    return max(1, (lines or _USUAL_HEIGHT) - _TAKEN)


def wants_all() -> bool:
    """Tell whether the environment asks for all lines; InvalidTask, by which doit ends the run, for another wish."""
    wanted = os.environ.get(SHOW_VARIABLE, "")
    if wanted not in ("", _ALL):
        raise InvalidTask(
            f"{SHOW_VARIABLE}={wanted}: expected {SHOW_VARIABLE}={_ALL}, which shows a line for each task"
        )
    return wanted == _ALL
