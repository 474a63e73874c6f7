"""What comes of a task, from the values that its action foresees and the files that it writes in the overlay."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from doit.task import Task

from bundlepipe.errors import printable
from bundlepipe.filesystem.base_directory import base_directory
from bundlepipe.filesystem.overlay import Write
from bundlepipe.pipeline.planning.plan import PlannedFile
from bundlepipe.pipeline.records.state import is_record
from bundlepipe.pipeline.running.action import SUMMARY, UNCHANGED

# What two changes of one file in a row come to; None if nothing.
_TOGETHER: dict[tuple[str, str], Any] = {
    ("created", "changed"): "created",
    ("created", "removed"): None,
    ("changed", "changed"): "changed",
    ("changed", "removed"): "removed",
    ("removed", "created"): "changed",
}


def outcome_of(task: Task, transferred: tuple[int, int | None], files: Sequence[PlannedFile]) -> dict[str, Any]:
    """Return what the values of a task, the bytes sent and received, and its files say about it, for a PlannedTask."""
    upload, download = transferred
    return {
        "image": task.values.get("image"),
        "digest": task.values.get("digest") or None,
        "is_unchanged": bool(task.values.get(UNCHANGED)),
        "summary": printable(str(task.values.get(SUMMARY, ""))),
        "upload": upload,
        "download": download,
        "files": tuple(files),
    }


def planned_files(writes: Iterable[Write]) -> list[PlannedFile]:
    """Return what happens to each file, by its path from the pipeline's directory, without records."""
    changes: dict[str, Any] = {}
    for write in writes:
        before = changes.get(write.path)
        changes[write.path] = _TOGETHER.get((before, write.change), write.change) if before else write.change
    paths = {os.path.relpath(path, base_directory()): change for path, change in changes.items() if change}
    return [PlannedFile(path, change) for path, change in paths.items() if not is_record(path)]
