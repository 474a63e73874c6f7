"""Levels of units: each is in a level after those that it needs, as early or as late as can be.

Levels follow rounds, so that all levels of a round can be one wave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bundlepipe.pipeline.ci.dividing.rounds import rounds_of
from bundlepipe.pipeline.ci.dividing.units import Unit

# Graphs may be thousands of levels deep; more than this many places for a cut improve nothing.
_MOST_LEVELS = 40
# The time of a cut grows with this many nodes; so large graphs have fewer places for one.
_MOST_VISITS = 200_000
_FEWEST_LEVELS = 12


def levels_of(units: Sequence[Unit], limit: int) -> Iterator[list[int]]:
    """Yield the level of each unit and passage: with all as early as can be, then as late.

    With several environments, levels follow rounds, which can always be waves; then come levels that do not, and may be
    better. `limit` is the number of jobs of a wave. A passage is in the last level of what it needs.
    """
    needers: list[list[int]] = [[] for _ in units]
    for number, unit in enumerate(units):
        for needed in unit.needs:
            needers[needed].append(number)
    forwards, backwards = range(len(units)), range(len(units) - 1, -1, -1)
    needs = [unit.needs for unit in units]
    none = [0] * len(units)
    early, late = rounds_of(units, forwards, needs, limit), rounds_of(units, backwards, needers, limit)
    for turns, others in [(early, late), (none, none)][: 1 + any(early)]:
        yield _grouped(units, _keys(units, forwards, needs, turns))
        yield _grouped(units, [(-turn, -depth) for turn, depth in _keys(units, backwards, needers, others)])


def _keys(
    units: Sequence[Unit], order: Sequence[int], before: Sequence[Sequence[int]], turns: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the round of each unit, and its depth in that; `before` are those that come before it in the order."""
    depths = [0] * len(units)
    for number in order:
        earlier = (depths[other] for other in before[number] if turns[other] == turns[number])
        depths[number] = max(earlier, default=0) + (not units[number].is_passage)
    return list(zip(turns, depths, strict=True))


def _grouped(units: Sequence[Unit], keys: Sequence[tuple[int, int]]) -> list[int]:
    """Return the level of each unit by its key; of too many keys, successive ones of a round share a level."""
    seconds: dict[tuple[int, int], float] = {}
    for unit, key in zip(units, keys, strict=True):
        if not unit.is_passage:
            seconds[key] = seconds.get(key, 0.0) + unit.seconds
    edges = sum(len(unit.needs) for unit in units)
    most = max(_FEWEST_LEVELS, min(_MOST_LEVELS, _MOST_VISITS // (len(units) + edges + 1)))
    share = 1.0 if len(seconds) > most else 0.0
    total = sum(seconds.values()) or 1.0
    numbers: dict[tuple[int, int], int] = {}
    turn, number, filled = 0, -1, 0.0
    for key in sorted(seconds):
        if number < 0 or key[0] != turn or filled >= share / most:
            turn, number, filled = key[0], number + 1, 0.0
        numbers[key] = number
        filled += (seconds[key] / total + 1 / len(seconds)) / 2
    levels: list[int] = []
    for unit, key in zip(units, keys, strict=True):
        before = (levels[needed] for needed in unit.needs)
        levels.append(max(before, default=0) if unit.is_passage else numbers[key])
    return levels
