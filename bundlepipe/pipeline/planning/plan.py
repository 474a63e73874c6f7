"""A plan: what each task would do, why, and what would come of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from bundlepipe.documents.schemas import API_VERSION
from bundlepipe.errors import printable
from bundlepipe.pipeline.reasons import Reason, as_json, summary
from bundlepipe.progress.phrases import code_fence, counted, few, human_size

KIND = "Plan"

# none: up to date. run: it will run. maybe: that depends on what another task makes. error: it cannot run.
State = Literal["none", "run", "maybe", "error"]
_WORDS: dict[State, str] = {"run": "run", "maybe": "may run", "error": "cannot run", "none": "up to date"}


class PlannedFile(Struct, frozen=True):
    """What happens to a file; `path` is relative to the directory of the pipeline."""

    path: str
    change: Literal["created", "changed", "removed"]


class PlannedTask(Struct, frozen=True, kw_only=True):
    """What a run will do with one task.

    `reasons` say why it runs, may run or cannot; `needs` are the tasks before it that will run, may run or cannot.
    If the result is known beforehand, `image` is the `repository@digest`, `digest` that of an image or file, and
    `summary` the line of the run; `is_unchanged`, if it will find nothing to change. `upload` and `download` are
    bytes of blobs, `files` those that it changes.
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


class Plan(Struct, frozen=True):
    """The tasks of a run in order, without groups and private tasks.

    `files` are written by no task alone: a lock file loses entries that no lock uses any more.
    """

    tasks: Sequence[PlannedTask]
    files: Sequence[PlannedFile] = ()

    @property
    def has_work(self) -> bool:
        """Whether a run would do anything, or fail."""
        return bool(self.files) or any(task.state != "none" for task in self.tasks)

    def as_json(self) -> str:
        """Return the plan as JSON, by `schemas/plan.schema.json`."""
        document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND}
        document["tasks"] = [_as_json(task) for task in self.tasks]
        if self.files:
            document["files"] = _files_as_json(self.files)
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def as_text(self) -> str:
        """Return the plan for people: a line for each task with something to do, and the totals."""
        lines = [_line(task) for task in self.tasks if task.state != "none"]
        lines += [f"{'write':<10} {printable(file.path)}" for file in self.files]
        return "".join(f"{line}\n" for line in [*lines, self._totals()])

    def why(self, name: str) -> str:
        """Return why a task runs, as text: its reasons, and below it those of the tasks that it needs, each once."""
        lines: list[str] = []
        by_name, told = {task.name: task for task in self.tasks}, set[str]()

        def tell(task: PlannedTask, indent: str) -> None:
            lines.append(f"{indent}{_line(task)}")
            told.add(task.name)
            for needed in task.needs:
                if needed not in told:
                    tell(by_name[needed], indent + "  ")

        tell(by_name[name], "")
        return "".join(f"{line}\n" for line in lines)

    def as_markdown(self) -> str:
        """Return the plan as Markdown: a table of the tasks with something to do, and the totals."""
        rows = [_row(task) for task in self.tasks if task.state != "none"]
        rows += [f"| write {_code(file.path)} | | |" for file in self.files]
        head = ["| task | result | why |", "|---|---|---|"] if rows else []
        return "".join(f"{line}\n" for line in [*head, *rows, *([""] if rows else []), self._totals()])

    def _totals(self) -> str:
        count = {state: sum(task.state == state for task in self.tasks) for state in _WORDS}
        parts = [f"{count[state]} {words}" for state, words in _WORDS.items() if count[state]]
        upload = sum(task.upload or 0 for task in self.tasks)
        if upload:
            parts.append(f"{human_size(upload)} to upload")
        return ", ".join(parts) or counted(0, "task")


def _line(task: PlannedTask) -> str:
    told = [f"{_WORDS[task.state]:<10} {task.name}"]
    if task.summary:
        told.append(task.summary)
    if task.upload:
        told.append(human_size(task.upload))
    why = summary(task.reasons)
    return "  ".join(told) + (f"  ({why})" if why else "")


def _row(task: PlannedTask) -> str:
    result = _code(task.summary) if task.summary else ""
    if task.upload:
        result += f", {human_size(task.upload)}"
    why = few([_code(reason.because) for reason in task.reasons])
    return f"| {_WORDS[task.state]} {_code(task.name)} | {result} | {why} |"


def _code(text: str) -> str:
    """Return outside text as code in a cell of a table: it cannot end the code or the cell."""
    shown = printable(text).replace("|", "\\|")
    fence = code_fence(shown, 1)
    return f"{fence} {shown} {fence}" if "`" in shown else f"`{shown}`"


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


def _files_as_json(files: Sequence[PlannedFile]) -> list[dict[str, str]]:
    return [{"path": file.path, "change": file.change} for file in files]
