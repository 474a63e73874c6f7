"""The states of the tasks of a graph, from a plan of all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import TopologicalSorter

from doit.task import Task

from bundlepipe.pipeline.drawing.model import State, StateName
from bundlepipe.pipeline.planning.plan import State as PlannedState
from bundlepipe.pipeline.planning.runner import PlanningRunner
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.progress.phrases import few

_MOST_REASONS = 5
_STATES: Mapping[PlannedState, StateName] = {
    "none": "up-to-date",
    "run": "stale",
    "maybe": "unknown",
    "error": "error",
}
# The states of members that a group has in their place, the worst first, in words.
_OF_GROUPS: Mapping[StateName, str] = {"error": "cannot run", "stale": "is to run", "unknown": "may run"}


def states_by_plan(
    tasks: Mapping[str, Task], before: Mapping[str, Collection[str]], planned: PlanningRunner
) -> dict[str, State]:
    """Return the state of each task; `before` are the tasks that come before each. A group has that of its members."""
    found = {
        task.name: State(_STATES[task.state], task.reasons[:_MOST_REASONS])
        for task in (*planned.plan.tasks, *planned.private)
    }
    for name in TopologicalSorter(before).static_order():
        if name not in found:
            found[name] = _other_state(tasks[name], sorted(before[name]), found, planned)
    return found


def _other_state(task: Task, members: Sequence[str], states: Mapping[str, State], planned: PlanningRunner) -> State:
    """Return the state of a task that was not planned."""
    is_left_out = bool(members) and all(states[member].name == "ignored" for member in members)
    if task.name in planned.ignored and (task.actions or is_left_out):
        return State("ignored", [Reason("ignored", task.name, "by doit ignore")])
    if task.actions:
        return State("up-to-date", [Reason("notNeeded", task.name, "no task that is to run needs it")])
    for state, words in _OF_GROUPS.items():
        found = [member for member in members if states[member].name == state]
        if found and not task.name.startswith("_"):
            return State(state, [Reason("members", task.name, f"{words}: {few(found)}")])
    return State("up-to-date")
