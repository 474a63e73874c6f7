"""Why a task runs, may run or cannot: one type for the lines of a run, plans, graphs and reports.

Made by the conditions of all tasks, and by plans; programs go by the code and the subject, people read the sentence.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from bundlepipe.errors import printable
from bundlepipe.pipeline.records.state import task_of_record
from bundlepipe.progress.phrases import few

Code = Literal[
    # What the task reads or has made; the subject is a path.
    "fileAdded",
    "fileRemoved",
    "fileChanged",
    "modeChanged",
    "fileMissing",
    "outputMissing",
    "dependencyAdded",
    "dependencyRemoved",
    # Its declaration and the request for it; the subject is an option.
    "optionChanged",
    "refreshRequested",
    "refreshAlways",
    # Images; the subject is a reference or another location.
    "destinationMissing",
    "destinationDiffers",
    "destinationUnknown",
    "sourceChanged",
    "entryChanged",
    "entryRemoved",
    "entryRefreshed",
    # Tasks before it; the subject is a task.
    "resultChanged",
    "needsTask",
    "mayChange",
    "taskCannotRun",
    # Itself; the subject is its own name.
    "noLocalRecord",
    "newTask",
    "noDependencies",
    "conditionFalse",
    "conditionFailed",
    "undecided",
    "notForeseen",
    "failure",
    "ignored",
    "members",
    "notNeeded",
]


class Reason(Struct, frozen=True):
    """One reason: a word from a closed list; the path, option, task or reference that it is about; a sentence."""

    code: Code
    subject: str
    because: str

    def __str__(self) -> str:
        return self.because


REFRESH_REQUESTED = Reason("refreshRequested", "refresh", "refresh requested")
REFRESH_ALWAYS = Reason("refreshAlways", "refresh", "refresh: always")


def no_local_record(task: str) -> Reason:
    """Return the reason for a task without a record of an earlier run."""
    return Reason("noLocalRecord", task, "no local record")


def changed_dependency(path: str) -> Reason:
    """Return the reason for a `file_dep` that changed: a file, or the record of what another task made."""
    task = task_of_record(path)
    if task:
        return Reason("resultChanged", task, f"{os.path.basename(path)} changed")
    return Reason("fileChanged", path, f"{path} changed")


def sentences(reasons: Sequence[Reason]) -> list[str]:
    """Return reasons as sentences for one line each."""
    return [printable(reason.because) for reason in reasons]


def summary(reasons: Sequence[Reason]) -> str:
    """Return reasons as one phrase, the first few in full."""
    return few(sentences(reasons))


def as_json(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    """Return reasons as JSON-able values."""
    return [{"code": reason.code, "subject": reason.subject, "because": reason.because} for reason in reasons]
