"""Pack what has to be in one job each into the fewest jobs that end as early as any, within a limit.

The longest job is at most 1.2 times as long as the best possible one: LPT (longest first, each to the job that has
least) and MULTIFIT (first fit, with the least capacity for which that needs no more jobs than there are), whichever is
better. MULTIFIT, with its bound of 13/11, sees only the largest four things per job: any after those are at most a
fifth of the best possible time, and fill up gaps. Jobs have one environment, so each environment has jobs of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from heapq import heapify, heapreplace

from msgspec import Struct

# Of MULTIFIT: each step halves the interval in which the least capacity is.
_STEPS = 12
_LARGEST_PER_BIN = 4
# What is this near to the best that is possible is not worth a search.
_NEAR = 1.01
# Sums of floating point numbers in another order differ by less.
_EQUAL = 1e-9
# For an environment that needs more jobs than there are.
IMPOSSIBLE = math.inf

Bins = list[list[int]]


class Packed(Struct, frozen=True):
    """Indexes of items by bin, and the time of the longest bin."""

    bins: Bins
    longest: float


# Most waves are as they were when units are moved between two.
@lru_cache(maxsize=1000)
def pack(seconds: tuple[float, ...], environments: tuple[str, ...], limit: int) -> Packed | None:
    """Return the best packing of items into at most `limit` bins; None if there are more environments than that.

    Both tuples belong to the items. Bins come with their items in ascending order, and in the order of their first
    items.
    """
    groups: dict[str, list[int]] = {}
    for index in sorted(range(len(seconds)), key=lambda index: (-seconds[index], index)):
        groups.setdefault(environments[index], []).append(index)
    if len(groups) > limit:
        return None
    longest = _least_longest(groups, seconds, limit)
    bins = [each for items in groups.values() for each in _fewest(items, seconds, limit, longest)]
    return Packed(sorted(sorted(each) for each in bins), longest)


def least_possible(totals: Mapping[str, float], largest: float, limit: int) -> float:
    """Return a time that no packing can be below; `totals` are the seconds of all items by environment."""
    if len(totals) > limit:
        return IMPOSSIBLE
    if len(totals) == 1:
        return max(largest, next(iter(totals.values())) / limit)
    low, high = sum(totals.values()) / limit, max(totals.values())
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if sum(_at_least(total, middle) for total in totals.values()) <= limit:
            high = middle
        else:
            low = middle
    return max(largest, low)


def _at_least(total: float, capacity: float) -> int:
    return max(1, math.ceil(total / capacity - _EQUAL)) if capacity > 0 else 1


def _least_longest(groups: Mapping[str, Sequence[int]], seconds: Sequence[float], limit: int) -> float:
    """Return the time of the longest bin: the environment that takes longest gets another bin while there is one."""
    totals = {name: sum(seconds[item] for item in items) for name, items in groups.items()}
    least = least_possible(totals, 0, limit)
    counts = {name: _at_least(total, least) for name, total in totals.items()}
    if sum(counts.values()) > limit:
        counts = dict.fromkeys(groups, 1)
    if len(groups) == 1:
        counts = dict.fromkeys(groups, limit)
    times = {name: _best(groups[name], seconds, count)[1] for name, count in counts.items()}
    for _ in range(limit - sum(counts.values())):
        slowest = max(times, key=lambda name: times[name])
        counts[slowest] += 1
        times[slowest] = min(times[slowest], _best(groups[slowest], seconds, counts[slowest])[1])
    return max(times.values())


def _fewest(items: Sequence[int], seconds: Sequence[float], limit: int, longest: float) -> Bins:
    """Return as few bins as are found in which no one takes more than the `longest`."""
    fitted = _first_fit(items, seconds, limit, longest)
    if fitted is None:
        return _best(items, seconds, limit)[0]
    bins = [each for each in fitted if each]
    evened, time = _best(items, seconds, len(bins))
    return evened if time <= longest * (1 + _EQUAL) else bins


def _best(items: Sequence[int], seconds: Sequence[float], count: int) -> tuple[Bins, float]:
    """Return the better of both packings of items, the largest first, and the time of its longest bin."""
    bins, longest = _filled([[] for _ in range(count)], items, seconds)
    total = sum(seconds[item] for item in items)
    bound = max(total / count, seconds[items[0]])
    if len(items) > count:
        bound = max(bound, seconds[items[count - 1]] + seconds[items[count]])
    if longest <= bound * _NEAR:
        return bins, longest
    large = items[: _LARGEST_PER_BIN * count]
    fitted = _multifit(large, seconds, count, bound, longest)
    if fitted:
        other, time = _filled(fitted, items[len(large) :], seconds)
        if time < longest:
            return other, time
    return bins, longest


def _filled(bins: Bins, items: Sequence[int], seconds: Sequence[float]) -> tuple[Bins, float]:
    """Give each item to the bin that has least, which is LPT if they come by size."""
    loads = [(sum(seconds[item] for item in each), number) for number, each in enumerate(bins)]
    heapify(loads)
    for item in items:
        load, number = loads[0]
        bins[number].append(item)
        heapreplace(loads, (load + seconds[item], number))
    return [each for each in bins if each], max(loads)[0]


def _multifit(items: Sequence[int], seconds: Sequence[float], count: int, low: float, high: float) -> Bins | None:
    found = None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        bins = _first_fit(items, seconds, count, middle)
        if bins:
            found, high = bins, middle
        else:
            low = middle
    return found


def _first_fit(items: Sequence[int], seconds: Sequence[float], count: int, capacity: float) -> Bins | None:
    """Return the items in bins by first fit; None if that needs more bins than `count`."""
    most = capacity * (1 + _EQUAL)
    bins: Bins = []
    loads: list[float] = []
    for item in items:
        time = seconds[item]
        number = 0
        for load in loads:
            if load + time <= most:
                break
            number += 1
        if number == count:
            return None
        if number == len(bins):
            bins.append([])
            loads.append(0.0)
        bins[number].append(item)
        loads[number] += time
    return bins + [[] for _ in range(count - len(bins))]
