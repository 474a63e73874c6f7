"""A fault as programs read it: what a message says before its first words, taken apart.

Messages begin with `path:line:column:`, `path:` where a file as a whole is at fault, or
with neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>[1-9]\d*):(?P<column>[1-9]\d*): (?P<message>.*)", re.DOTALL)


class Problem(NamedTuple):
    """What is wrong, and where; line and column count from 1, and are None where a whole file is meant."""

    file: str
    line: int | None
    column: int | None
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields by their names, as `schemas/problems.schema.json` has them."""
        return self._asdict()


def parse_problem(text: str, is_file: Callable[[str], bool], otherwise: str) -> Problem:
    """Return what a message says.

    `is_file` tells whether a text that a message begins with is a path; `otherwise` is the
    file that is meant where a message names none.
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
