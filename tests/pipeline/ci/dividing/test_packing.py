from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.pipeline.ci.dividing.packing import least_possible, pack
from tests.support.shards import least_longest

TIMES = st.one_of(st.integers(0, 6).map(float), st.floats(0, 100), st.sampled_from([1.0, 10.0, 100.0]))
ITEMS = st.lists(st.tuples(TIMES, st.sampled_from("abc")), min_size=1, max_size=7)


@given(ITEMS, st.integers(1, 5))
def test_the_longest_job_is_near_the_best_possible_one(items: list[tuple[float, str]], limit: int) -> None:
    seconds, environments = (tuple(each) for each in zip(*items, strict=True))
    packed = pack(seconds, environments, limit)
    best = least_longest(seconds, environments, limit)
    if packed is None:
        assert best == math.inf
        return
    longest = max(sum(seconds[item] for item in each) for each in packed.bins)
    assert longest == pytest.approx(packed.longest)
    assert longest <= 1.2 * best + 1e-6
    totals: dict[str, float] = {}
    for time, name in items:
        totals[name] = totals.get(name, 0.0) + time
    assert least_possible(totals, max(seconds), limit) <= best + 1e-6


@given(ITEMS, st.integers(1, 5))
def test_each_item_is_in_one_job_of_its_environment(items: list[tuple[float, str]], limit: int) -> None:
    seconds, environments = (tuple(each) for each in zip(*items, strict=True))
    packed = pack(seconds, environments, limit)
    if packed:
        assert sorted(item for each in packed.bins for item in each) == list(range(len(items)))
        assert len(packed.bins) <= limit and all(packed.bins)
        assert all(len({environments[item] for item in each}) == 1 for each in packed.bins)


def test_it_is_better_than_longest_first_where_that_is_bad() -> None:
    # The example of the books for three jobs: longest first takes 11.
    packed = pack((5.0, 5.0, 4.0, 4.0, 3.0, 3.0, 3.0), ("",) * 7, 3)
    assert packed and packed.longest == 9


def test_no_job_is_added_that_does_not_shorten_the_wave() -> None:
    packed = pack((100.0, *[1.0] * 50), ("",) * 51, 8)
    assert packed and packed.longest == 100
    assert packed.bins == [[0], list(range(1, 51))]
    packed = pack((0.0, 0.0, 0.0), ("",) * 3, 8)
    assert packed and packed.bins == [[0, 1, 2]]


def test_the_environment_that_takes_longest_has_most_jobs() -> None:
    packed = pack((10.0, 10.0, 10.0, 10.0, 1.0, 1.0), ("a", "a", "a", "a", "b", "b"), 5)
    assert packed and packed.longest == 10
    assert packed.bins == [[0], [1], [2], [3], [4, 5]]


def test_thousands_of_items_fill_all_jobs_evenly() -> None:
    seconds = tuple(float(number % 89 + 1) for number in range(10_000))
    packed = pack(seconds, ("",) * 10_000, 50)
    assert packed and len(packed.bins) == 50
    assert packed.longest <= 1.01 * sum(seconds) / 50
