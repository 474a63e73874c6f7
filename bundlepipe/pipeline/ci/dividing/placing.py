"""Units in waves, packed into jobs: what that costs, and what is in each job."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from bundlepipe.pipeline.ci.dividing.pieces import Limits, Pieces
from bundlepipe.pipeline.ci.dividing.units import Unit


class Placed(Struct, frozen=True):
    """The wave of each unit, without gaps from 0 on; by wave the longest job, and the number of jobs."""

    waves: Sequence[int]
    longest: Sequence[float]
    jobs: Sequence[int]
    startup: float

    @property
    def cost(self) -> tuple[float, int]:
        """The seconds of all waves, and the number of jobs, which decides between equal ones."""
        return round(sum(self.longest) + self.startup * len(self.longest), 6), sum(self.jobs)


def placed(units: Sequence[Unit], waves: Sequence[float], limits: Limits) -> Placed | None:
    """Return what it costs to do units in waves, which may have any numbers; None if that is not possible."""
    numbers, pieces = _pieces(units, waves)
    if len(pieces) > limits.waves:
        return None
    longest, jobs = [], []
    for each in pieces:
        packed = each.pack(limits)
        if packed is None:
            return None
        longest.append(packed.longest)
        jobs.append(len(packed.bins))
    return Placed(numbers, longest, jobs, limits.startup)


def jobs_of(units: Sequence[Unit], found: Placed, limits: Limits) -> list[list[list[int]]]:
    """Return the units of each job of each wave, in ascending order."""
    numbers, pieces = _pieces(units, found.waves)
    members: list[list[int]] = [[] for _ in pieces]
    for number, unit in enumerate(units):
        if not unit.is_passage:
            members[numbers[number]].append(number)
    jobs = []
    for each, of_wave in zip(pieces, members, strict=True):
        packed, parts = each.pack(limits), each.members(of_wave)
        assert packed
        jobs.append([sorted(number for part in one for number in parts[part]) for one in packed.bins])
    return jobs


def size_of(units: Sequence[Unit]) -> int:
    """Return the number of units and edges, with which the time of a placing grows."""
    return len(units) + sum(len(unit.needs) for unit in units)


def _pieces(units: Sequence[Unit], waves: Sequence[float]) -> tuple[list[int], list[Pieces]]:
    """Return the waves numbered from 0, and their pieces; a passage is in the last wave of what it needs."""
    present = sorted({wave for unit, wave in zip(units, waves, strict=True) if not unit.is_passage})
    order = {wave: number for number, wave in enumerate(present)}
    pieces = [Pieces(units) for _ in present]
    numbers: list[int] = []
    for number, unit in enumerate(units):
        wave = max(numbers[needed] for needed in unit.needs) if unit.is_passage else order[waves[number]]
        numbers.append(wave)
        pieces[wave].add(number, [needed for needed in unit.needs if numbers[needed] == wave])
    return numbers, pieces
