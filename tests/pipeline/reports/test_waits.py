"""What held tasks up, and the critical path, from when they were ready, began and ended."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.pipeline.reports.content import NEEDS, START, WORKER, Step
from bundlepipe.pipeline.reports.waits import Hold, Span, critical_path, holds, lanes
from bundlepipe.pipeline.running.edges import needs_among

Needs = Mapping[str, Sequence[str]]


def _path(spans: Mapping[str, Span], needs: Needs) -> list[Step]:
    return critical_path(spans, holds(spans, needs, lanes(spans)))


def test_a_chain_is_the_critical_path_although_another_task_took_longer() -> None:
    spans = {"a": Span(0, 0, 1), "long": Span(0, 0, 2.5), "b": Span(1, 1, 2), "c": Span(2, 2.25, 3)}
    assert _path(spans, {"b": ["a"], "c": ["b"]}) == [
        Step("a", START, 0, 1), Step("b", NEEDS, 0, 1), Step("c", NEEDS, 0.25, 0.75)
    ]  # fmt: skip


def test_of_several_needs_the_last_to_end_held_a_task_up() -> None:
    spans = {"a": Span(0, 0, 1), "b": Span(0, 0, 3), "c": Span(3, 3, 4)}
    assert holds(spans, {"c": ["a", "b"]}, lanes(spans))["c"] == Hold("b", NEEDS)


def test_a_task_without_free_worker_waited_for_the_one_that_ended() -> None:
    spans = {"a": Span(0, 0, 2), "b": Span(0, 0, 1), "c": Span(1, 1.01, 3)}
    assert {name: lane.number for name, lane in lanes(spans).items()} == {"a": 1, "b": 2, "c": 2}
    assert [(step.task, step.because) for step in _path(spans, {})] == [("b", START), ("c", WORKER)]


def test_a_task_with_a_free_worker_waited_for_none() -> None:
    # The first lane was idle from 1 on.
    spans = {"a": Span(0, 0, 1), "b": Span(0, 0, 5), "c": Span(8, 8, 9)}
    assert "c" not in holds(spans, {}, lanes(spans))
    assert _path(spans, {}) == [Step("c", START, 8, 1)]


def test_a_task_that_ended_hardly_later_than_a_need_held_none_up() -> None:
    spans = {"a": Span(0, 0, 2), "b": Span(0, 0, 2.1), "c": Span(2.11, 2.11, 3)}
    assert holds(spans, {"c": ["a"]}, lanes(spans))["c"] == Hold("a", NEEDS)


def test_a_task_that_was_up_to_date_may_hold_others_up() -> None:
    spans = {"a": Span(1, None, 2), "b": Span(2, 2, 3)}
    assert [(step.task, step.seconds) for step in _path(spans, {"b": ["a"]})] == [("a", 1), ("b", 1)]


def test_a_run_in_which_nothing_ran_has_no_path() -> None:
    assert _path({"a": Span(0, None, 1)}, {}) == []
    assert _path({}, {}) == []


def test_needs_lead_through_groups_and_private_tasks() -> None:
    direct = {
        "push:a": ["_search", "group"], "_search": ["_deeper"], "_deeper": ["push:b"], "group": ["push:c", "push:d"],
        "push:b": ["push:d"], "push:c": ["group"],
    }  # fmt: skip
    found = needs_among(
        ["push:a", "push:b", "push:c", "push:d"], lambda name: direct.get(name, ()), lambda name: ":" in name
    )
    assert found == {"push:a": ["push:b", "push:c", "push:d"], "push:b": ["push:d"], "push:c": ["push:d"], "push:d": []}


_TIME = st.integers(0, 50)


@given(st.lists(st.tuples(_TIME, _TIME, st.booleans()), max_size=30), st.data())
def test_lanes_do_not_overlap_and_the_path_leads_forward(
    times: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    spans = {
        f"t{number}": Span(start, start if ran else None, start + length)
        for number, (start, length, ran) in enumerate(times)
    }
    names = list(spans)
    needs = {name: data.draw(st.lists(st.sampled_from(names[:number]), max_size=3)) if number else []
             for number, name in enumerate(names)}  # fmt: skip
    in_lanes = lanes(spans)
    assert in_lanes.keys() == {name for name, span in spans.items() if span.began is not None}
    for number in {lane.number for lane in in_lanes.values()}:
        lane = sorted(
            (spans[name] for name in in_lanes if in_lanes[name].number == number), key=lambda span: span.start
        )
        assert all(one.ended <= other.start for one, other in itertools.pairwise(lane))
    path = critical_path(spans, holds(spans, needs, in_lanes))
    assert bool(path) == bool(in_lanes)
    for one, other in itertools.pairwise(path):
        assert spans[one.task].ended <= spans[other.task].start
        assert other.waited == spans[other.task].start - spans[one.task].ended
    if path:
        assert spans[path[-1].task].ended == max(spans[name].ended for name in in_lanes)
        assert len(path) == len({step.task for step in path})
