"""Divide units into waves, so that the sum over waves of the start of a job and the longest job is least.

Dynamic programming finds the best cuts between levels, for each number of waves, with all units as early and as late
as can be; `improving` moves units between waves from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bundlepipe.pipeline.ci.dividing.improving import improved
from bundlepipe.pipeline.ci.dividing.levels import levels_of
from bundlepipe.pipeline.ci.dividing.packing import IMPOSSIBLE
from bundlepipe.pipeline.ci.dividing.pieces import Limits, Pieces
from bundlepipe.pipeline.ci.dividing.placing import Placed, placed, size_of
from bundlepipe.pipeline.ci.dividing.units import Unit

# Waves with more pieces are compared by the least time that is possible: packings come close to that.
_MOST_PACKED = 64
# Large graphs are packed for the best cuts only.
_MOST_VISITS = 50_000
_FEWEST_STARTS = 2

# Seconds, and jobs.
_Cost = tuple[float, int]


def waves_of(units: Sequence[Unit], limits: Limits) -> Placed | None:
    """Return the units in waves and jobs; None if there are too few waves or jobs for their environments."""
    starts = sorted(start for levels in levels_of(units, limits.shards) for start in _cut(units, levels, limits))
    most = max(_FEWEST_STARTS, _MOST_VISITS // size_of(units))
    found = list(filter(None, (placed(units, waves, limits) for _, waves in starts[:most])))
    found.sort(key=lambda each: each.cost)
    return improved(units, found, limits) if found else None


def _cut(units: Sequence[Unit], levels: Sequence[int], limits: Limits) -> Iterator[tuple[_Cost, list[int]]]:
    """Yield the best cuts between levels into 1, 2, ... waves: what they cost, and the wave of each unit."""
    count = max(levels) + 1
    costs = _costs(units, levels, count, limits)
    # The best cost of the levels before each, and where its last wave begins.
    before: list[tuple[_Cost, int]] = [((0.0, 0), 0), *[((IMPOSSIBLE, 0), 0)] * count]
    path: list[list[int]] = []
    for _ in range(min(limits.waves, count)):
        best = [((IMPOSSIBLE, 0), 0)] * (count + 1)
        for (first, end), (seconds, jobs) in costs.items():
            (so_far, jobs_so_far), _ = before[first]
            cost = (so_far + limits.startup + seconds, jobs_so_far + jobs)
            if cost[0] < IMPOSSIBLE:
                best[end] = min(best[end], (cost, first))
        path.append([first for _, first in best])
        before = best
        if best[count][0][0] < IMPOSSIBLE:
            yield best[count][0], _waves(levels, path, count)


def _costs(units: Sequence[Unit], levels: Sequence[int], count: int, limits: Limits) -> dict[tuple[int, int], _Cost]:
    """Return what each wave costs that begins with a level and ends before another one, as far as it is possible."""
    members: list[list[int]] = [[] for _ in range(count)]
    for number, level in enumerate(levels):
        members[level].append(number)
    costs = {}
    for first in range(count):
        pieces = Pieces(units)
        for level in range(first, count):
            for number in members[level]:
                pieces.add(number, [needed for needed in units[number].needs if levels[needed] >= first])
            cost = _cost(pieces, limits)
            if cost[0] == IMPOSSIBLE:
                break
            costs[first, level + 1] = cost
    return costs


def _cost(pieces: Pieces, limits: Limits) -> _Cost:
    if not pieces.is_possible:
        return IMPOSSIBLE, 0
    if len(pieces) > _MOST_PACKED:
        return pieces.least_possible(limits), min(limits.shards, len(pieces))
    packed = pieces.pack(limits)
    return (packed.longest, len(packed.bins)) if packed else (IMPOSSIBLE, 0)


def _waves(levels: Sequence[int], path: Sequence[Sequence[int]], count: int) -> list[int]:
    """Return the waves of units from the begins of the last waves, by the number of waves and the end."""
    waves = [0] * count
    end = count
    for wave in reversed(range(len(path))):
        first = path[wave][end]
        waves[first:end] = [wave] * (end - first)
        end = first
    return [waves[level] for level in levels]
