"""The graph of tasks as values: what is drawn, whatever it is drawn as.

States are values that are passed in (`with_states`): from doit's records, or from anything that knows better.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.running.edges import needs_among, reached

# The kinds of a pipeline's tasks, users' own tasks, groups, and private tasks.
TaskKind = Literal["image", "lock", "push", "copy", "pull", "render", "apply", "task", "group", "private"]
StateName = Literal["up-to-date", "stale", "unknown", "ignored", "error"]

KINDS: Sequence[TaskKind] = get_args(TaskKind)
STATES: Sequence[StateName] = get_args(StateName)
# A sign for each state, so that colour is not the only difference.
SIGNS: Mapping[StateName, str] = {"up-to-date": "✓", "stale": "●", "unknown": "?", "ignored": "-", "error": "!"}


class State(Struct, frozen=True):
    """The state of a task: its name, and the reasons for it."""

    name: StateName
    reasons: Sequence[Reason] = ()


class GraphTask(Struct, frozen=True):
    """One task: `needs` are the names of the tasks that come before it, `setup` those of them that run only if it does.

    `state` is None if it was not looked for.
    """

    name: str
    kind: TaskKind
    doc: str
    needs: Sequence[str]
    setup: Sequence[str] = ()
    targets: Sequence[str] = ()
    state: State | None = None


class TaskGraph(Struct, frozen=True, dict=True):
    """Tasks, each of which needs only others of them, without cycles."""

    tasks: Sequence[GraphTask]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The position of each task by its name."""
        return {task.name: number for number, task in enumerate(self.tasks)}

    @cached_property
    def needs(self) -> list[list[int]]:
        """The positions of the tasks that each task needs."""
        return [[self.numbers[name] for name in task.needs] for task in self.tasks]

    @cached_property
    def drawn_needs(self) -> list[list[int]]:
        """The same without those that follow from others (the transitive reduction)."""
        return reduced(self.needs)

    def with_states(self, states: Mapping[str, State]) -> TaskGraph:
        """Return the graph with these states by name; tasks without one keep theirs."""
        return TaskGraph([replace(task, state=states.get(task.name, task.state)) for task in self.tasks])

    def around(self, names: Iterable[str]) -> TaskGraph:
        """Return the part with these tasks, what they need, and what needs them, transitively."""
        starts = [self.numbers[name] for name in names]
        kept = reached(starts, self.needs.__getitem__) | reached(starts, inverse(self.needs).__getitem__)
        chosen = [task for number, task in enumerate(self.tasks) if number in kept]
        inside = {task.name for task in chosen}
        return TaskGraph([_within(task, inside) for task in chosen])


def _within(task: GraphTask, names: Collection[str]) -> GraphTask:
    needs, setup = ([name for name in each if name in names] for each in (task.needs, task.setup))
    return replace(task, needs=needs, setup=setup)


def inverse(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return which vertices need each vertex."""
    users: list[list[int]] = [[] for _ in needs]
    for user, needed in enumerate(needs):
        for one in needed:
            users[one].append(user)
    return users


def in_order(needs: Sequence[Sequence[int]]) -> list[int]:
    """Return the vertices so that each comes after those that it needs; graphlib.CycleError if that is impossible."""
    return list(TopologicalSorter(dict(enumerate(needs))).static_order())


def reduced(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return `needs` without edges that follow from others; a vertex's set of needs is a number with a bit for each."""
    below = [0] * len(needs)
    kept: list[list[int]] = [[] for _ in needs]
    for one in in_order(needs):
        indirect = 0
        for need in needs[one]:
            indirect |= below[need]
        kept[one] = [need for need in needs[one] if not indirect >> need & 1]
        below[one] = indirect
        for need in needs[one]:
            below[one] |= 1 << need
    return kept


def folded(needs: Mapping[str, Collection[str]], hidden: Collection[str]) -> dict[str, list[str]]:
    """Return the edges between the other vertices, with those through `hidden` ones in one step, sorted by name."""
    shown = [name for name in needs if name not in hidden]
    return needs_among(shown, lambda name: needs.get(name, ()), lambda name: name not in hidden)
