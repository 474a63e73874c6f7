"""The pieces of a wave: units with edges between them in one wave have to be in one job."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from bundlepipe.pipeline.ci.dividing.joining import Joined
from bundlepipe.pipeline.ci.dividing.packing import Packed, least_possible, pack
from bundlepipe.pipeline.ci.dividing.units import Unit


class Limits(Struct, frozen=True):
    """At most `shards` jobs in a wave, at most `waves`; a job takes `startup` seconds before its first task."""

    shards: int
    waves: int
    startup: float


class Pieces:
    """Units of one wave, joined to pieces while they are added; `totals` are their seconds by environment.

    `is_possible` is False if a piece has several environments.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = units
        self._joined = Joined(len(units))
        self._needs_of_passages: dict[int, Sequence[int]] = {}
        self._seconds: dict[int, float] = {}
        self._environments: dict[int, str] = {}
        self.totals: dict[str, float] = {}
        self.largest = 0.0
        self.is_possible = True

    def __len__(self) -> int:
        return len(self._seconds)

    def add(self, number: int, needs: Sequence[int]) -> None:
        """Add a unit or passage, with what it needs in this wave, which has been added."""
        unit = self._units[number]
        if unit.is_passage:
            # It matters only once a unit in this wave needs it.
            self._needs_of_passages[number] = needs
            return
        self._seconds[number] = unit.seconds
        self._environments[number] = unit.environment
        self.totals[unit.environment] = self.totals.get(unit.environment, 0.0) + unit.seconds
        self.largest = max(self.largest, unit.seconds)
        waiting = [(number, needed) for needed in needs]
        while waiting:
            needer, needed = waiting.pop()
            waiting += [(needed, other) for other in self._needs_of_passages.pop(needed, ())]
            self._join(needer, needed)

    def _join(self, one: int, other: int) -> None:
        one, other = self._joined.of(one), self._joined.of(other)
        if one == other:
            return
        self._joined.join(one, other)
        kept, gone = min(one, other), max(one, other)
        names = [self._environments.pop(each) for each in (kept, gone) if each in self._environments]
        seconds = self._seconds.pop(gone, 0.0) + self._seconds.pop(kept, 0.0)
        if names:
            self.is_possible = self.is_possible and len(set(names)) == 1
            self._environments[kept], self._seconds[kept] = names[0], seconds
            self.largest = max(self.largest, seconds)

    def least_possible(self, limits: Limits) -> float:
        """Return a time that the longest job cannot be below; infinite if this cannot be a wave."""
        return least_possible(self.totals, self.largest, limits.shards)

    def pack(self, limits: Limits) -> Packed | None:
        """Return the pieces, in ascending order, as jobs; None if they cannot be a wave."""
        if not self.is_possible:
            return None
        order = sorted(self._seconds)
        seconds = tuple(self._seconds[number] for number in order)
        return pack(seconds, tuple(self._environments[number] for number in order), limits.shards)

    def members(self, numbers: Sequence[int]) -> list[list[int]]:
        """Return the units of each piece, in the order of `pack`, of those units that were added."""
        found: dict[int, list[int]] = {number: [] for number in sorted(self._seconds)}
        for number in numbers:
            found[self._joined.of(number)].append(number)
        return list(found.values())
