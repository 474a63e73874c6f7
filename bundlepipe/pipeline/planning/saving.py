"""Save a plan: beside what it says, of what it was made, so that a run can do just that (`doit plan --out`)."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from doit.task import Task

from bundlepipe.documents.plan.saved import Saved, SavedLookup, SavedTask, saved_files
from bundlepipe.documents.schemas import API_VERSION
from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.base_directory import anchored, paths_from
from bundlepipe.filesystem.overlay import Unforeseen
from bundlepipe.filesystem.snapshots import Snapshot
from bundlepipe.pipeline.carrying_out.other_tasks import files_there
from bundlepipe.pipeline.carrying_out.pipeline_tasks import (
    KEPT_VALUES,
    hashes_of,
    inputs_of,
    records_read,
    saved_options,
)
from bundlepipe.pipeline.declared.paths import normalise
from bundlepipe.pipeline.doit_adapter.internals import calculators
from bundlepipe.pipeline.planning.plan import KIND, Plan, State, json_text
from bundlepipe.pipeline.records.state import is_record
from bundlepipe.pipeline.running.edges import PipelineTask
from bundlepipe.pipeline.running.sources import SourceStaleness
from bundlepipe.pipeline.running.staleness import Staleness, from_values
from bundlepipe.pipeline.running.variables import variables_in_use
from bundlepipe.stores.resolved import Resolved
from bundlepipe.verbs.outputs.replacing import FileOutput, Kind, forcible_output


class PlanSaver:
    """Notes what the tasks of a plan are done with, when their turn comes, and what comes of them."""

    def __init__(self) -> None:
        self._salt = os.urandom(16).hex()
        self._inputs: dict[str, Snapshot | None] = {}
        self._archives: dict[str, dict[str, str]] = {}
        self._tasks: dict[str, SavedTask] = {}
        self.resolved = Resolved()
        # What the tags of destinations named, set at the end.
        self.destinations: dict[str, str | None] = {}

    def look(self, task: Task) -> None:
        """Note what a task is about to be done with."""
        staleness = _staleness(task)
        if staleness is None:
            self._inputs[task.name] = files_there(task.file_dep)
            return
        with paths_from(staleness.directory):
            try:
                self._inputs[task.name] = inputs_of(staleness, task)
            except BundlepipeError:
                # It will exist when other tasks have run; otherwise the task fails.
                self._inputs[task.name] = None
            read = [path for path in staleness.archives_read if path not in task.targets]
            self._archives[task.name] = hashes_of(read)

    def keep(self, task: Task, state: State) -> None:
        """Keep a task of the plan, with its values if it is up to date or foreseen."""
        is_private = task.name.startswith("_")
        if is_private and isinstance(task, PipelineTask):
            return
        staleness = _staleness(task)
        if staleness is None:
            files = self._inputs.get(task.name, files_there(task.file_dep))
            outputs = hashes_of(task.targets) if state == "none" else {}
            shown = state if is_private else ""
            self._tasks[task.name] = SavedTask(files=_saved(files), outputs=outputs, state=shown)
            return
        with paths_from(staleness.directory):
            self._tasks[task.name] = self._of_pipeline(task, staleness, state)

    def _of_pipeline(self, task: PipelineTask, staleness: Staleness, state: State) -> SavedTask:
        values = task.values if state in ("none", "run") else {}
        made = from_values(values)
        if state != "none" and "digest" not in values and isinstance(staleness, SourceStaleness):
            # The run reports what it cannot read; offline it is open.
            with contextlib.suppress(BundlepipeError, Unforeseen):
                staleness.resolve_source()
        kept = {key: values[key] for key in KEPT_VALUES if values.get(key) is not None}
        options = saved_options(staleness.options, self._salt)
        if state == "none":
            return SavedTask(
                pipeline=task.pipeline,
                options=options,
                files=_saved({**made, **records_read(task)}),
                archives=hashes_of(staleness.archives_read),
                records=_records(task),
                values=kept,
            )
        return SavedTask(
            pipeline=task.pipeline,
            options=options,
            files=_saved(self._inputs.get(task.name)),
            archives=self._archives.get(task.name, {}),
            outputs={path: sha256 for path in task.targets if path in made and (sha256 := made[path].sha256)},
            records=_records(task) if "digest" in values else {},
            values=kept,
        )

    def document(self, plan: Plan, open_tasks: Collection[Task], selected: Sequence[str]) -> str:
        """Return the saved plan as JSON, by `schemas/plan.schema.json`."""
        document: dict[str, Any] = json.loads(plan.as_json())
        saved = Saved(
            salt=self._salt,
            variables=variables_in_use(),
            selected=selected,
            open=sorted(set(_outputs(open_tasks))),
            resolved=[SavedLookup(key[0], str(digest), *key[1:]) for key, digest in self.resolved.items()],
            destinations=dict(sorted(self.destinations.items())),
            tasks=self._tasks,
        )
        document["saved"] = msgspec.to_builtins(saved)
        return json_text(document)


def plan_output(path: str, *, force: bool) -> FileOutput:
    """Return the file that a plan is saved to: it replaces an earlier plan, and nothing that would be lost."""
    return forcible_output(path, Kind("a plan", _is_plan), "it is not a plan", forced=force)


def _is_plan(path: str) -> bool:
    """Return whether a file begins as plans do."""
    start = json.dumps({"apiVersion": API_VERSION, "kind": KIND}, indent=2).removesuffix("\n}").encode()
    try:
        with open(anchored(path), "rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def _staleness(task: Task) -> Staleness | None:
    found = (each for each in calculators(task) if isinstance(each, Staleness))
    return next(found, None) if isinstance(task, PipelineTask) else None


def _saved(files: Snapshot | None) -> Any:
    return None if files is None else saved_files(files)


def _records(task: Task) -> dict[str, str]:
    records = list(filter(is_record, task.targets))
    found = {}
    for path in records:
        with open(anchored(path), encoding="utf-8") as file:
            found[path] = file.read()
    return found


def _outputs(tasks: Collection[Task]) -> list[str]:
    directories = [task.directory for task in tasks if isinstance(task, PipelineTask) and task.directory]
    return [normalise(path) for task in tasks for path in task.targets] + directories
