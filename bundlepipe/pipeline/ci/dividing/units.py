"""Join stale tasks into units, each to be done in one job, and find what needs what among units.

Joined are: what stays in a clone and all that needs it, directly or through open tasks; tasks with a common place;
units that need each other; and chains, where one unit is all that needs another, and needs nothing else. A local task
belongs to the unit that needs it first. If others need it too they do it again, so for them it is only a way to what it
needs: a *passage*, which is in the graph with the units, and in no job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from bundlepipe.pipeline.ci.dividing.environments import check_repeated, environments_of
from bundlepipe.pipeline.ci.dividing.joining import Joined, strongly_connected
from bundlepipe.pipeline.ci.dividing.stale import StaleTask, ordered


class Unit(Struct, frozen=True, kw_only=True):
    """Tasks of one job, by their indexes in ascending order, or a passage, which has none.

    `needs` are indexes of units and passages before it.
    """

    tasks: Sequence[int]
    needs: Sequence[int]
    seconds: float = 0.0
    environment: str = ""

    @property
    def is_passage(self) -> bool:
        """Whether it stands for a local task that several units do themselves."""
        return not self.tasks


def units_of(tasks: Sequence[StaleTask]) -> list[Unit]:
    """Return the units of tasks, and the passages between them, each after those that it needs.

    Raises BundlepipeError if tasks of different environments have to be joined.
    """
    joined = Joined(len(tasks))
    _join_what_stays(tasks, joined)
    _join_places(tasks, joined)
    edges = _edges(tasks, joined, range(len(tasks)))
    for members in strongly_connected(edges):
        joined.join_all(members)
    homes = _homes(tasks, joined)
    environments = environments_of(tasks, homes, joined)
    check_repeated(tasks, homes, joined, environments)
    kept = _units_and_passages(tasks, homes)
    _join_chains(_edges(tasks, joined, kept), homes, joined, environments)
    return _built(tasks, homes, joined, _edges(tasks, joined, kept), environments)


def _join_what_stays(tasks: Sequence[StaleTask], joined: Joined) -> None:
    stays = [task.stays for task in tasks]
    for number, task in enumerate(tasks):
        for needed in task.needs:
            if stays[needed]:
                joined.join(number, needed)
                # Others that need this one need what stays through it.
                stays[number] = stays[number] or task.is_open


def _join_places(tasks: Sequence[StaleTask], joined: Joined) -> None:
    first: dict[str, int] = {}
    for number, task in enumerate(tasks):
        for place in task.places:
            joined.join(first.setdefault(place, number), number)


def _edges(tasks: Sequence[StaleTask], joined: Joined, kept: Sequence[int]) -> dict[int, set[int]]:
    """Return the sets that each set needs, by their smallest tasks; only of tasks that are kept."""
    edges: dict[int, set[int]] = {joined.of(number): set() for number in kept}
    for number in kept:
        own = joined.of(number)
        edges[own].update(other for needed in tasks[number].needs if (other := joined.of(needed)) in edges)
    for own, others in edges.items():
        others.discard(own)
    return edges


def _homes(tasks: Sequence[StaleTask], joined: Joined) -> list[int]:
    """Return for each task one of the unit that it belongs to: itself if it is not a passage.

    Local tasks that only one set needs are joined with that.
    """
    sizes = _sizes(joined, len(tasks))
    needers: list[list[int]] = [[] for _ in tasks]
    homes = list(range(len(tasks)))
    for number in reversed(range(len(tasks))):
        task = tasks[number]
        if task.is_local and sizes[joined.of(number)] == 1 and needers[number]:
            first = needers[number][-1]
            if len({joined.of(needer) for needer in needers[number]}) == 1:
                joined.join(number, first)
                homes[number] = number if homes[first] == first else homes[first]
            else:
                homes[number] = homes[first]
        for needed in task.needs:
            needers[needed].append(number)
    return homes


def _sizes(joined: Joined, count: int) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for number in range(count):
        own = joined.of(number)
        sizes[own] = sizes.get(own, 0) + 1
    return sizes


def _units_and_passages(tasks: Sequence[StaleTask], homes: Sequence[int]) -> list[int]:
    """Return all tasks but the passages that lead nowhere."""
    leads: list[bool] = []
    for number, task in enumerate(tasks):
        leads.append(homes[number] == number or any(leads[needed] for needed in task.needs))
    return [number for number, does in enumerate(leads) if does]


def _join_chains(
    edges: Mapping[int, set[int]], homes: Sequence[int], joined: Joined, environments: Mapping[int, str]
) -> None:
    needers: dict[int, int] = {}
    for others in edges.values():
        for other in others:
            needers[other] = needers.get(other, 0) + 1
    for own, others in edges.items():
        if len(others) == 1:
            (other,) = others
            are_units = homes[own] == own and homes[other] == other
            if are_units and needers[other] == 1 and environments[own] == environments[other]:
                joined.join(own, other)


def _built(
    tasks: Sequence[StaleTask],
    homes: Sequence[int],
    joined: Joined,
    edges: Mapping[int, set[int]],
    environments: Mapping[int, str],
) -> list[Unit]:
    members: dict[int, list[int]] = {own: [] for own in edges}
    for number in range(len(tasks)):
        members[joined.of(homes[number])].append(number)
    order = ordered(edges)
    numbers = {own: number for number, own in enumerate(order)}
    return [
        Unit(
            tasks=members[own],
            needs=sorted(numbers[other] for other in edges[own]),
            seconds=sum(tasks[number].seconds for number in members[own]),
            environment=environments.get(own, ""),
        )
        for own in order
    ]
