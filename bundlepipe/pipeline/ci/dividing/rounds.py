"""Rounds of units: in one, no unit needs one of another environment, and there are not more environments than jobs.

So a round can be one wave, however it is packed. With no more environments than a wave has jobs, the fewest rounds
follow from the graph; with more, a search finds them for small graphs, and few for large ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice

from bundlepipe.pipeline.ci.dividing.units import Unit

# How many beginnings are followed at a time, times the size of the graph.
_MOST_VISITS = 100_000
_WIDEST = 200


def rounds_of(units: Sequence[Unit], order: Sequence[int], before: Sequence[Sequence[int]], limit: int) -> list[int]:
    """Return the round of each unit and passage, from 0 on; `before` are those that come before it in the order.

    `limit` is the number of jobs of a wave.
    """
    environments = sorted({unit.environment for unit in units if not unit.is_passage})
    if len(environments) < 2:
        return [0] * len(units)
    return _Search(units, order, before, environments, limit).found()


class _Search:
    """A search for the fewest rounds: by round, the best beginnings, each with the rounds of units so far, or -1."""

    def __init__(
        self,
        units: Sequence[Unit],
        order: Sequence[int],
        before: Sequence[Sequence[int]],
        environments: Sequence[str],
        limit: int,
    ) -> None:
        self._units = units
        self._order = order
        self._before = before
        self._environments = environments
        self._limit = limit
        self._heights = _heights(units, order, before)
        self._width = max(1, min(_WIDEST, _MOST_VISITS // (len(units) + sum(map(len, before)))))

    def found(self) -> list[int]:
        """Return the first beginning that has all units."""
        states, turn = [[-1] * len(self._units)], 0
        while -1 in states[0]:
            following: dict[bytes, list[int]] = {}
            for state in states:
                for after in self._after(state, turn):
                    following.setdefault(bytes(number >= 0 for number in after), after)
            states = sorted(following.values(), key=self._rest)[: self._width]
            turn += 1
        return states[0]

    def _rest(self, state: Sequence[int]) -> tuple[int, int]:
        """Return how much is left to do: the changes of the environment on the longest way, and the number of units."""
        left = [height for turn, height in zip(state, self._heights, strict=True) if turn < 0]
        return max(left, default=-1), len(left)

    def _after(self, state: Sequence[int], turn: int) -> Iterator[list[int]]:
        """Yield the states after each choice of environments for the next round; the most urgent ones first."""
        ready = {name: self._ready(state, name) for name in self._environments}
        working = [name for name, found in ready.items() if any(not self._units[number].is_passage for number in found)]
        working.sort(key=lambda name: -max(self._heights[number] for number in ready[name]))
        for names in islice(combinations(working, min(self._limit, len(working))), self._width):
            after = list(state)
            for name in names or self._environments:
                for number in ready[name]:
                    after[number] = turn
            yield after

    def _ready(self, state: Sequence[int], name: str) -> set[int]:
        """Return what can be done now in the jobs of one environment."""
        found: set[int] = set()
        for number in self._order:
            unit = self._units[number]
            is_possible = state[number] < 0 and (unit.is_passage or unit.environment == name)
            if is_possible and all(state[other] >= 0 or other in found for other in self._before[number]):
                found.add(number)
        return found


def _heights(units: Sequence[Unit], order: Sequence[int], before: Sequence[Sequence[int]]) -> list[int]:
    """Return how often the environment changes on the longest way from each unit on."""
    after: list[dict[str, int]] = [{} for _ in units]
    heights = [0] * len(units)
    for number in reversed(order):
        unit, known = units[number], after[number]
        if unit.is_passage:
            heights[number] = max(known.values(), default=0)
        else:
            heights[number] = max((height + (name != unit.environment) for name, height in known.items()), default=0)
            known = {unit.environment: heights[number]}
        for other in before[number]:
            for name, height in known.items():
                after[other][name] = max(after[other].get(name, 0), height)
    return heights
