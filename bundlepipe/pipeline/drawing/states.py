"""The states of tasks from doit's records, as `doit list -s` computes them, and what follows for tasks that need them.

`doit list -s` calls a task up to date as long as nothing that it reads has changed. If something that it needs is
to run, only that run can tell what it reads then: such a task is of unknown state here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any

from doit.dependency import Dependency
from doit.task import Task

from bundlepipe.pipeline.drawing.model import State, StateName
from bundlepipe.pipeline.drawing.reading import TaskNeeds, kind_of
from bundlepipe.pipeline.reasons import Code, Reason
from bundlepipe.pipeline.running.edges import REFUSAL
from bundlepipe.pipeline.running.staleness import WHY
from bundlepipe.progress.phrases import few

_MOST_REASONS = 5
# The states of tasks after which others may find something changed, the worst first, in words.
_OPEN: Mapping[StateName, str] = {"error": "cannot run", "stale": "is to run", "unknown": "may run"}
_IN_WORDS: Mapping[str, tuple[Code, str]] = {
    "missing_target": ("outputMissing", "missing"),
    "changed_file_dep": ("fileChanged", "changed"),
    "missing_file_dep": ("fileMissing", "missing"),
    "removed_file_dep": ("dependencyRemoved", "no longer needed"),
    "added_file_dep": ("dependencyAdded", "new"),
}


def states_by_records(found: TaskNeeds, dependencies: Dependency) -> dict[str, State]:
    """Return the state of each task; nothing runs but the conditions of users' own tasks, as for a list."""
    groups = {name for name, task in found.tasks.items() if kind_of(task) == "group"}
    own = {name: _own_state(name, found, dependencies) for name in found.tasks if name not in groups}
    return propagated(found.before, own)


def propagated(needs: Mapping[str, Collection[str]], own: Mapping[str, State]) -> dict[str, State]:
    """Return the states of all tasks from their `own` and those of their `needs`; a group has only these."""
    found: dict[str, State] = {}
    for name in TopologicalSorter(needs).static_order():
        open_needs = [need for need in sorted(needs[name]) if found[need].name in _OPEN]
        state = own.get(name)
        if state is None:
            found[name] = _state_of_group(name, open_needs, found)
        elif state.name == "up-to-date" and open_needs:
            reasons = [
                Reason("needsTask", need, f"needs {need}, which {_OPEN[found[need].name]}") for need in open_needs
            ]
            found[name] = State("unknown", reasons[:_MOST_REASONS])
        else:
            found[name] = state
    return found


def _state_of_group(group: str, open_members: Sequence[str], states: Mapping[str, State]) -> State:
    for name, words in _OPEN.items():
        members = [member for member in open_members if states[member].name == name]
        if members:
            return State(name, [Reason("members", group, f"{words}: {few(members)}")])
    return State("up-to-date")


def _own_state(name: str, found: TaskNeeds, dependencies: Dependency) -> State:
    task = found.tasks[name]
    if dependencies.status_is_ignore(task):
        return State("ignored", [Reason("ignored", name, "by doit ignore")])
    try:
        reasons = dependencies.get_status(task, found.tasks, get_log=True)
    except Exception as error:  # noqa: BLE001  (a user's condition; it would end a run, and here is only shown)
        words = f"its condition failed: {type(error).__name__}: {error}"
        return State("unknown", [Reason("conditionFailed", name, words)])
    refusal = getattr(task, REFUSAL, None)
    if refusal:
        return State("error", [Reason("failure", name, refusal)])
    if reasons.status == "up-to-date":
        return State("up-to-date")
    nowhere = [path for path in reasons.reasons.get("missing_file_dep", ()) if not found.makes(path)]
    lost = [Reason("fileMissing", path, f"{path} is missing, and no task makes it") for path in nowhere]
    return State("error" if nowhere else "stale", (lost or _told(task, reasons.reasons))[:_MOST_REASONS])


def _told(task: Task, logged: Mapping[str, Any]) -> list[Reason]:
    """Return why a task is to run: what it says itself, else what doit found."""
    if (task.meta or {}).get(WHY):
        return list(task.meta[WHY])
    reasons = [
        Reason(code, path, f"{path} is {words}")
        for kind, (code, words) in _IN_WORDS.items()
        for path in logged.get(kind, ())
    ]
    if logged.get("checker_changed"):
        reasons.append(Reason("noLocalRecord", task.name, "files were compared in another way"))
    if logged.get("has_no_dependencies"):
        reasons.append(Reason("noDependencies", task.name, "it has no dependencies, so it always runs"))
    if logged.get("uptodate_false"):
        reasons.append(Reason("conditionFalse", task.name, "its condition (uptodate) is false"))
    return reasons
