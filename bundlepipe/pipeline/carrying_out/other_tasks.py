"""Users' own tasks in a run that carries out a saved plan: those that it does not say will run are refused."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence

from doit.exceptions import InvalidCommand
from doit.task import Task

from bundlepipe.documents.plan.saved import SavedPlan, SavedTask
from bundlepipe.errors import printable
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.snapshots import Snapshot, file_snapshot
from bundlepipe.pipeline.carrying_out.pipeline_tasks import (
    differs_from_plan,
    hash_of,
    no_such_task,
    not_as_planned,
    not_planned,
    not_up_to_date,
)
from bundlepipe.pipeline.doit_adapter.chosen_tasks import (
    Refusal,
    Verdict,
    judge_tasks,
    refuse_changes_of_records,
    select_by_default,
)
from bundlepipe.pipeline.running.edges import PipelineTask


def run_by_plan(plan: SavedPlan) -> None:
    """Let this process run the tasks that a plan was made for, and of users' own only those that it says will run."""
    judge_tasks(lambda task: _verdict(plan, task))
    select_by_default(lambda tasks: _selected(plan, tasks))
    refuse_changes_of_records("plan= carries out a saved plan, and is for runs: leave it out")


def _selected(plan: SavedPlan, tasks: Sequence[Task]) -> Sequence[str] | None:
    """Return the tasks of a run by a plan: also those of the plan that no edge leads to any more.

    Raises InvalidCommand if a task of the plan is gone.
    """
    by_name = {task.name: task for task in tasks}
    for name in (*plan.states, *(plan.selected or ())):
        group = by_name.get(name.partition(":")[0])
        # The members of a group with a loader are created during the run.
        if name not in by_name and not (group and group.loader):
            raise InvalidCommand(no_such_task(name, plan.path))
    if plan.shard or plan.selected is None:
        return plan.selected
    # A run decides whether these are needed.
    setup = {name for task in tasks for name in task.setup_tasks}
    planned = [name for name, state in plan.states.items() if state == "run" and not name.startswith("_")]
    return list(dict.fromkeys([*plan.selected, *(name for name in planned if name in by_name and name not in setup)]))


def _verdict(plan: SavedPlan, task: Task) -> Verdict:
    # The actions of a pipeline's tasks decide themselves, and tasks without action do nothing.
    if isinstance(task, PipelineTask) or not task.actions:
        return "run"
    saved = plan.task(task.name)
    if saved is None:
        return Refusal(not_planned(plan.path))
    changed = next(_changed_dependencies(saved, task, plan.saved.open), None)
    if changed:
        return Refusal(not_as_planned(changed, plan.path))
    if plan.states[task.name] != "none":
        return "run"
    changed = next(_changed_targets(saved, task), None)
    if changed:
        return Refusal(not_up_to_date(changed, plan.path, is_missing=changed.endswith("is missing")))
    return "up-to-date"


def _changed_dependencies(saved: SavedTask, task: Task, open_paths: Collection[str]) -> Iterator[str]:
    before = {path: file.state for path, file in (saved.files or {}).items()}
    yield from differs_from_plan(before, files_there(task.file_dep), tuple(open_paths))


def _changed_targets(saved: SavedTask, task: Task) -> Iterator[str]:
    if not task.targets:
        yield "it has no output that shows that it has run here"
    for path in task.targets:
        if not os.path.lexists(anchored(path)):
            yield f"{printable(path)} is missing"
        elif path in saved.outputs and hash_of(path) != saved.outputs[path]:
            yield f"{printable(path)} changed"


def files_there(paths: Collection[str]) -> Snapshot:
    """Return the state of those files that exist; InputError for one that cannot be read."""
    return file_snapshot([path for path in sorted(paths) if os.path.isfile(anchored(path))], {})
