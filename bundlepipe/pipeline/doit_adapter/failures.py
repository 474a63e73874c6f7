"""What doit says of a task that failed, in one line."""

from __future__ import annotations

from doit.exceptions import BaseFail

from bundlepipe.errors import printable
from bundlepipe.progress.phrases import counted


def in_one_line(failure: BaseFail) -> str:
    """Return the first line of a failure; for a traceback also the last, which has the exception."""
    return first_line(str(failure.message), "".join(failure.traceback)) or failure.get_name()


def first_line(message: str, traceback: str) -> str:
    """Return the same for the texts of a failure; the empty string if neither says anything."""
    first, *further = [line for line in message.splitlines() if line.strip()] or [""]
    traced = [line for line in traceback.splitlines() if line.strip()]
    if traced:
        return printable(f"{first}: {traced[-1].strip()}" if first else traced[-1].strip())
    return printable(f"{first} (and {counted(len(further), 'more line')})" if further else first)
