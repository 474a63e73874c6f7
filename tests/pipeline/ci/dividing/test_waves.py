from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bundlepipe.pipeline.ci.dividing.pieces import Limits
from bundlepipe.pipeline.ci.dividing.placing import jobs_of
from bundlepipe.pipeline.ci.dividing.units import Unit
from bundlepipe.pipeline.ci.dividing.waves import waves_of
from tests.support.shards import least_longest, least_whole

NEAR = 1.3


def unit(number: int, needs: Sequence[int], seconds: float = 1.0, environment: str = "") -> Unit:
    return Unit(tasks=(number,), needs=sorted(needs), seconds=seconds, environment=environment)


def passage(needs: Sequence[int]) -> Unit:
    return Unit(tasks=(), needs=sorted(needs))


def made(*parts: tuple[list[int], float, str]) -> list[Unit]:
    """Return units by what they need, their seconds and their environment; a passage has none."""
    return [
        unit(number, needs, float(seconds), name) if name else passage(needs)
        for number, (needs, seconds, name) in enumerate(parts)
    ]


@st.composite
def graphs(draw: st.DrawFn, most: int = 6, environments: str = "abc") -> list[Unit]:
    times = draw(st.sampled_from([st.sampled_from([1, 10, 100]), st.integers(1, 5), st.floats(0, 10)]))
    units: list[Unit] = []
    for number in range(draw(st.integers(1, most))):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set[int]()
        if needs and draw(st.integers(0, 5)) == 0:
            units.append(passage(sorted(needs)))
        else:
            units.append(unit(number, sorted(needs), float(draw(times)), draw(st.sampled_from(environments))))
    return units


LIMITS = st.builds(Limits, st.integers(1, 4), st.integers(1, 4), st.sampled_from([0, 0, 1, 5, 30]))


# It would be another set of graphs each time, and no bound is proven for the whole.
@settings(max_examples=1000, derandomize=True)
@given(graphs(), LIMITS)
# Each of these needs a move, an exchange or a kind of level of its own.
@example(
    made(([], 10, "a"), ([], 100, "b"), ([0], 10, "b"), ([], 100, "b"), ([0], 10, "c"), ([3], 10, "c")), Limits(2, 4, 0)
)
@example(made(([], 1, "a"), ([], 1, "c"), ([], 10, "b"), ([], 10, "b")), Limits(2, 2, 0))
@example(made(([], 2, "a"), ([], 4, "a"), ([], 3, "a"), ([], 4, "b")), Limits(2, 3, 0))
@example(made(([], 1, "c"), ([0], 2, "c"), ([], 1, "a"), ([], 2, "c")), Limits(2, 2, 0))
@example(
    made(([], 1, "b"), ([], 10, "a"), ([], 100, "b"), ([1], 100, "b"), ([2], 1, "a"), ([1], 10, "a")), Limits(2, 3, 5)
)
@example(
    made(([], 1, "c"), ([], 100, "c"), ([1], 1, "c"), ([], 100, "c"), ([], 1, "b"), ([1, 3], 100, "a")), Limits(2, 2, 0)
)
@example(
    made(([], 100, "c"), ([], 10, "a"), ([], 100, "a"), ([1], 100, "b"), ([0, 3], 100, "b"), ([0, 2, 4], 1, "b")),
    Limits(3, 4, 0),
)
@example(
    made(([], 10, "b"), ([0], 0, ""), ([], 1, "b"), ([], 100, "c"), ([3], 1, "a"), ([], 100, "a"), ([2], 100, "a")),
    Limits(4, 3, 5),
)
@example(
    made(
        ([], 1, "c"),
        ([], 1, "a"),
        ([1], 100, "b"),
        ([1, 2], 1, "b"),
        ([0, 1], 1, "a"),
        ([3, 4], 0, ""),
        ([0, 3, 5], 9, "c"),
    ),
    Limits(1, 4, 30),
)
def test_the_whole_is_near_the_best_of_all_divisions(units: list[Unit], limits: Limits) -> None:
    found = waves_of(units, limits)
    best = least_whole(units, limits)
    if found is None:
        assert best == math.inf
    else:
        assert best - 1e-4 <= found.cost[0] <= NEAR * best + 1e-4


@settings(max_examples=300, derandomize=True)
@given(graphs(most=7, environments="a"), LIMITS)
def test_without_environments_too(units: list[Unit], limits: Limits) -> None:
    found = waves_of(units, limits)
    assert found and found.cost[0] <= NEAR * least_whole(units, limits) + 1e-4


@given(graphs(most=12), LIMITS)
def test_waves_keep_the_order_and_the_limits(units: list[Unit], limits: Limits) -> None:
    found = waves_of(units, limits)
    if found is None:
        return
    jobs = jobs_of(units, found, limits)
    assert len(jobs) <= limits.waves and all(0 < len(wave) <= limits.shards for wave in jobs)
    where = {number: (wave, job) for wave, each in enumerate(jobs) for job, part in enumerate(each) for number in part}
    assert sorted(where) == [number for number, unit in enumerate(units) if not unit.is_passage]
    needs: list[set[int]] = []
    for number, each in enumerate(units):
        needs.append(set().union(*(needs[other] if units[other].is_passage else {other} for other in each.needs)))
        if not each.is_passage:
            for other in needs[number]:
                assert where[other] == where[number] or where[other][0] < where[number][0]
    for wave in jobs:
        for part in wave:
            assert len({units[number].environment for number in part}) == 1


@given(graphs(most=8), LIMITS)
def test_the_longest_job_of_each_wave_is_near_the_best(units: list[Unit], limits: Limits) -> None:
    found = waves_of(units, limits)
    if found is None:
        return
    for wave, jobs in enumerate(jobs_of(units, found, limits)):
        longest = max(sum(units[number].seconds for number in part) for part in jobs)
        assert longest == pytest.approx(found.longest[wave])
        pieces = _pieces(units, [number for part in jobs for number in part])
        times = [sum(units[number].seconds for number in piece) for piece in pieces]
        names = [units[piece[0]].environment for piece in pieces]
        assert longest <= NEAR * least_longest(times, names, limits.shards) + 1e-6


def _pieces(units: Sequence[Unit], numbers: Sequence[int]) -> list[list[int]]:
    """Return the units of a wave with edges between them, directly or through passages, found one by one."""
    needs: list[set[int]] = []
    for each in units:
        needs.append(set().union(*(needs[other] if units[other].is_passage else {other} for other in each.needs)))
    pieces: list[list[int]] = []
    for number in sorted(numbers):
        touched = [piece for piece in pieces if needs[number] & set(piece)]
        pieces = [piece for piece in pieces if piece not in touched]
        pieces.append(sorted([number, *(other for piece in touched for other in piece)]))
    return pieces


def test_startup_decides_how_many_waves_there_are() -> None:
    # One after the other takes 40 s in one job; in two waves of three jobs 20 s and another start.
    fan = made(([], 10, "a"), ([0], 10, "a"), ([0], 10, "a"), ([0], 10, "a"))
    for startup, waves in [(5, 2), (30, 1)]:
        found = waves_of(fan, Limits(3, 5, startup))
        assert found and len(found.longest) == waves


def test_a_graph_of_two_thousand_levels_has_few_waves() -> None:
    units = [unit(number, [number - 2] if number > 1 else []) for number in range(4000)]
    units += [unit(4000 + number, [number]) for number in range(0, 4000, 40)]
    found = waves_of(units, Limits(8, 5, 30))
    assert found and len(found.longest) <= 5


def test_environments_may_need_more_waves_than_there_are() -> None:
    back_and_forth = made(([], 1, "a"), ([0], 1, "b"), ([1], 1, "a"), ([2], 1, "b"))
    assert waves_of(back_and_forth, Limits(8, 3, 0)) is None
    assert waves_of(back_and_forth, Limits(8, 4, 0))
