"""Move units between waves while that shortens the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bundlepipe.pipeline.ci.dividing.pieces import Limits
from bundlepipe.pipeline.ci.dividing.placing import Placed, placed, size_of
from bundlepipe.pipeline.ci.dividing.units import Unit

# A try takes time with the size of the graph, so large ones have fewer: their waves are full of small pieces anyway.
_MOST_VISITS = 150_000
_FEWEST_TRIES = 20
_MOST_STARTS = 6
# Of those that are as good as the best, which may be next to a better one.
_MOST_EQUALS = 6

# The wave of each unit; one between two others is a new wave.
_Waves = Sequence[float]


def improved(units: Sequence[Unit], starts: Sequence[Placed], limits: Limits) -> Placed:
    """Return the best that moves from any of the starts lead to; those are sorted by cost."""
    if _MOST_VISITS // size_of(units) < _FEWEST_TRIES:
        return starts[0]
    search = _Search(units, limits)
    return min((search.climb(start) for start in starts[:_MOST_STARTS]), key=lambda each: each.cost)


class _Search:
    """A search for better waves, with a limit of tries for all starts."""

    def __init__(self, units: Sequence[Unit], limits: Limits) -> None:
        self._units = units
        self._limits = limits
        self._tries = _MOST_VISITS // size_of(units)
        self._order = [number for number, unit in enumerate(units) if not unit.is_passage]
        self._order.sort(key=lambda number: -units[number].seconds)
        self._needers: list[list[int]] = [[] for _ in units]
        for number, unit in enumerate(units):
            for needed in unit.needs:
                self._needers[needed].append(number)

    def climb(self, best: Placed) -> Placed:
        """Return what the first better moves lead to, also from others that are as good as the start."""
        waiting, seen = [best], {tuple(best.waves)}
        while waiting and self._tries > 0:
            start = waiting.pop(0)
            found = self._first_better(start)
            if found[-1].cost < best.cost:
                best = found[-1]
                waiting, seen = [best], {tuple(best.waves)}
                continue
            for other in found:
                if len(seen) < _MOST_EQUALS and tuple(other.waves) not in seen:
                    seen.add(tuple(other.waves))
                    waiting.append(other)
        return best

    def _first_better(self, start: Placed) -> list[Placed]:
        """Return the start and others as good as it, and at the end the first one that is better, if there is any."""
        found = [start]
        for waves in self._moves(start):
            other = self._tried(waves)
            if other and other.cost[0] <= start.cost[0]:
                found.append(other)
                if other.cost < start.cost:
                    break
            if self._tries <= 0:
                break
        return found

    def _tried(self, waves: _Waves) -> Placed | None:
        self._tries -= 1
        return placed(self._units, waves, self._limits)

    def _moves(self, best: Placed) -> Iterator[_Waves]:
        """Yield the waves after each move: of single units, of like ones, by exchange, and of many to one wave."""
        waves = best.waves
        count = len(best.longest)
        steps = [wave / 2 for wave in range(-1, 2 * count)] if count < self._limits.waves else list(range(count))
        together: dict[tuple[int, str], list[int]] = {}
        for number in self._order:
            together.setdefault((waves[number], self._units[number].environment), []).append(number)
        for members in together.values():
            for index in range(len(members)):
                # One unit, or with all longer or shorter ones of its environment.
                for moving in (members[index : index + 1], members[index:], members[: index + 1]):
                    yield from (self._moved(waves, moving, step) for step in steps)
        yield from self._exchanges(waves, list(together.values()))
        yield from self._exchanges(waves, [[number] for number in self._order])
        for number in self._order:
            yield from (self._gathered(waves, number, step) for step in steps)

    def _exchanges(self, waves: _Waves, groups: Sequence[Sequence[int]]) -> Iterator[_Waves]:
        """Yield the waves after each exchange of two groups of units, each of one wave."""
        for index, group in enumerate(groups):
            for other in groups[:index]:
                if waves[other[0]] != waves[group[0]]:
                    moved = self._moved(waves, group, waves[other[0]])
                    yield self._moved(moved, other, waves[group[0]])

    def _gathered(self, waves: _Waves, number: int, wave: float) -> _Waves:
        """Return the waves after the move of one unit, good or bad, and of all to its new wave that do no harm then."""
        waves = self._moved(waves, [number], wave)
        best = self._tried(waves)
        for other in self._order:
            if waves[other] != wave and self._tries > 0:
                moved = self._moved(waves, [other], wave)
                then = self._tried(moved)
                if then and (best is None or then.cost <= best.cost):
                    waves, best = moved, then
        return waves

    def _moved(self, waves: _Waves, numbers: Sequence[int], wave: float) -> list[float]:
        """Return the waves with units of one wave in another: before it what they need, after it what needs them."""
        moved = list(waves)
        is_earlier = wave < waves[numbers[0]]
        waiting, seen = list(numbers), set(numbers)
        while waiting:
            one = waiting.pop()
            is_there = moved[one] <= wave if is_earlier else moved[one] >= wave
            if is_there and not self._units[one].is_passage:
                continue
            moved[one] = wave
            further = [
                other for other in (self._units[one].needs if is_earlier else self._needers[one]) if other not in seen
            ]
            seen.update(further)
            waiting += further
        return moved
