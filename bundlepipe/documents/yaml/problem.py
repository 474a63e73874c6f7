"""Faults in machine-readable form: messages parsed into path, line, column and text.

Messages begin with `path:line:column:`, with `path:` if a whole file is at fault, or with neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>[1-9]\d*):(?P<column>[1-9]\d*): (?P<message>.*)", re.DOTALL)


class Problem(NamedTuple):
    """A fault and its position; line and column count from 1, and are None if a whole file is meant."""

    file: str
    line: int | None
    column: int | None
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields by name, as in `schemas/problems.schema.json`."""
        return self._asdict()


def parse_problem(text: str, is_file: Callable[[str], bool], otherwise: str) -> Problem:
    """Parse a message.

    `is_file` says whether a text at its start is a path; `otherwise` is the file to use if the
    message names none.
    """
    match = _PLACE.fullmatch(text)
    if match:
        return Problem(match["file"], int(match["line"]), int(match["column"]), match["message"])
    head, colon, message = text.partition(": ")
    while colon:
        if is_file(head):
            return Problem(head, None, None, message)
        further, colon, message = message.partition(": ")
        head = f"{head}: {further}"
    return Problem(otherwise, None, None, text)
