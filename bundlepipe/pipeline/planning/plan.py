"""A plan: what each task would do, why, and what would come of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from bundlepipe.documents.schemas import API_VERSION
from bundlepipe.pipeline.reasons import Reason, as_json

KIND = "Plan"
_SURROGATE = re.compile("[\ud800-\udfff]")

# none: up to date. run: it will run. maybe: that depends on what another task makes. error: it cannot run.
State = Literal["none", "run", "maybe", "error"]


class PlannedFile(Struct, frozen=True):
    """What happens to a file; `path` is relative to the directory of the pipeline."""

    path: str
    change: Literal["created", "changed", "removed"]


class PlannedEntry(Struct, frozen=True):
    """An entry of a lock that changes: its reference, and its digests before and after, None if it is not there."""

    reference: str
    old: str | None
    new: str | None


class PlannedTask(Struct, frozen=True, kw_only=True):
    """What a run will do with one task.

    `reasons` say why it runs, may run or cannot; `needs` are the tasks before it that will run, may run or cannot.
    If the result is known beforehand, `image` is the `repository@digest`, `digest` that of an image or file, and
    `summary` the line of the run; `is_unchanged`, if it will find nothing to change. `upload` and `download` are
    bytes of blobs, `files` those that it changes, `entries` those of its lock that change; `diff` is what an
    apply would change in the cluster.
    """

    name: str
    state: State
    reasons: Sequence[Reason] = ()
    needs: Sequence[str] = ()
    image: str | None = None
    digest: str | None = None
    is_unchanged: bool = False
    summary: str = ""
    upload: int | None = None
    download: int | None = None
    files: Sequence[PlannedFile] = ()
    entries: Sequence[PlannedEntry] = ()
    diff: str | None = None

    @property
    def has_work(self) -> bool:
        """Whether the task would change anything, may do so, or would fail."""
        return self.state != "none" and not self.is_unchanged


class Plan(Struct, frozen=True):
    """The tasks of a run in order, without groups and private tasks.

    `files` are written by no task alone: a lock file loses entries that no lock uses any more. `removed` are tasks
    that an earlier revision has.
    """

    tasks: Sequence[PlannedTask]
    files: Sequence[PlannedFile] = ()
    removed: Sequence[str] = ()

    @property
    def has_work(self) -> bool:
        """Whether a run would change anything, may do so, or would fail."""
        return bool(self.files or self.removed) or any(task.has_work for task in self.tasks)

    def as_json(self) -> str:
        """Return the plan as JSON, by `schemas/plan.schema.json`."""
        document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND}
        document["tasks"] = [_as_json(task) for task in self.tasks]
        if self.files:
            document["files"] = _files_as_json(self.files)
        if self.removed:
            document["removed"] = list(self.removed)
        return json_text(document)


def json_text(document: Mapping[str, Any]) -> str:
    """Return a document as JSON that can be written as UTF-8, although names of files in it may not be that."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _as_json(task: PlannedTask) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if task.image:
        result["image"] = task.image
    if task.digest:
        result["digest"] = task.digest
    if task.is_unchanged:
        result["unchanged"] = True
    if task.files:
        result["files"] = _files_as_json(task.files)
    if task.entries:
        result["entries"] = [_entry_as_json(entry) for entry in task.entries]
    if task.diff is not None:
        result["diff"] = task.diff
    sizes = {"upload": task.upload, "download": task.download}
    cost = {way: size for way, size in sizes.items() if size is not None}
    return {
        "name": task.name,
        "state": task.state,
        "reasons": as_json(task.reasons),
        "needs": list(task.needs),
        **({"result": result} if result else {}),
        **({"cost": cost} if cost else {}),
    }


def _entry_as_json(entry: PlannedEntry) -> dict[str, str]:
    digests = {"old": entry.old, "new": entry.new}
    return {"reference": entry.reference, **{name: digest for name, digest in digests.items() if digest}}


def _files_as_json(files: Sequence[PlannedFile]) -> list[dict[str, str]]:
    return [{"path": file.path, "change": file.change} for file in files]
