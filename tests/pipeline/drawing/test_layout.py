"""The layout: nothing overlaps, edges go to the right, few of them cross, and the work grows with the graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.pipeline.drawing.layout.coordinates import non_decreasing
from bundlepipe.pipeline.drawing.layout.folding import cuts_between
from bundlepipe.pipeline.drawing.layout.layers import layered, layers_of
from bundlepipe.pipeline.drawing.layout.ordering import crossings, order
from bundlepipe.pipeline.drawing.layout.placing import Layout, place
from bundlepipe.pipeline.drawing.layout.thinning import MOST_EDGES, thinned
from bundlepipe.pipeline.drawing.model import folded, reduced
from bundlepipe.pipeline.running.edges import reached

Needs = list[list[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Needs:
    """Graphs without cycles of up to forty vertices, which need earlier ones."""
    count = draw(st.integers(0, 40))
    return [sorted(draw(st.sets(st.integers(0, number - 1), max_size=4))) if number else [] for number in range(count)]


def overlaps(layout: Layout) -> list[tuple[int, int]]:
    return [
        (one, other)
        for (one, a), (other, b) in combinations(enumerate(layout.spots), 2)
        if a.left < b.left + b.width and b.left < a.left + a.width
        if a.top < b.top + b.height - 0.01 and b.top < a.top + a.height - 0.01
    ]


@given(graphs())
def test_no_two_tasks_overlap_and_all_are_inside(needs: Needs) -> None:
    layout = place(needs, [100.0 + 10 * (number % 9) for number in range(len(needs))])
    assert overlaps(layout) == []
    assert all(spot.left >= 0 and spot.top >= -0.01 for spot in layout.spots)
    assert all(spot.left + spot.width <= layout.width for spot in layout.spots)
    assert sorted((edge.start, edge.end) for edge in layout.edges) == sorted(
        (need, user) for user, needed in enumerate(needs) for need in needed
    )


@given(graphs())
def test_each_vertex_is_in_a_layer_after_those_that_it_needs(needs: Needs) -> None:
    layers = layers_of(needs)
    assert all(layers[need] < layers[user] for user, needed in enumerate(needs) for need in needed)
    graph = layered(needs)
    for user, needed in enumerate(needs):
        for need in needed:
            route = [need, *graph.route(need, user), user]
            assert [graph.layers[one] for one in route] == list(range(layers[need], layers[user] + 1))
            assert all(after in graph.right[one] for one, after in pairwise(route))


def test_a_task_is_close_to_the_only_one_that_needs_it() -> None:
    # 0 -> 1 -> 2 -> 4, and 3 -> 4
    assert layers_of([[], [0], [1], [], [2, 3]]) == [0, 1, 2, 2, 3]


@given(graphs())
def test_crossings_are_counted(needs: Needs) -> None:
    graph = layered(needs)
    places = {one: number for row in graph.rows for number, one in enumerate(row)}
    pairs = [[(places[a], places[b]) for a in row for b in graph.right[a]] for row in graph.rows]
    expected = sum((a - c) * (b - d) < 0 for row in pairs for (a, b), (c, d) in combinations(row, 2))
    assert crossings(graph) == expected
    assert order(graph) == crossings(graph) <= expected


def test_chains_are_untangled() -> None:
    # Each of the last ten needs one of the first ten, in the opposite order.
    needs: Needs = [*([] for _ in range(10)), *([9 - number] for number in range(10))]
    assert order(layered(needs)) == 0
    layout = place([*needs, list(range(10, 20))], [100.0] * 21)
    for edge in layout.edges[:10]:
        assert layout.spots[edge.start].top == pytest.approx(layout.spots[edge.end].top)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 5)), min_size=1, max_size=8))
def test_values_that_must_not_decrease_are_the_closest_ones(pairs: list[tuple[int, int]]) -> None:
    wanted, weights = [float(value) for value, _ in pairs], [float(weight) for _, weight in pairs]
    found = non_decreasing(wanted, weights)
    assert all(one <= other + 1e-9 for one, other in pairwise(found))

    def distance(values: Sequence[float]) -> float:
        return sum(weight * (value - wish) ** 2 for value, wish, weight in zip(values, wanted, weights, strict=True))

    # It is a convex problem, so that a solution which no small step makes better is the best.
    for start, end in combinations(range(len(found) + 1), 2):
        for step in (-0.01, 0.01):
            moved = [value + (step if start <= number < end else 0) for number, value in enumerate(found)]
            if all(one <= other for one, other in pairwise(moved)):
                assert distance(moved) >= distance(found) - 1e-9


def test_long_chains_and_high_columns_are_folded_to_the_form_of_a_screen() -> None:
    chain: Needs = [[], *([number] for number in range(999))]
    fan: Needs = [[], *([0] for _ in range(999))]
    single: Needs = [[] for _ in range(1000)]
    for needs in (chain, fan, single):
        layout = place(needs, [180.0] * 1000)
        assert 0.5 < layout.width / layout.height < 4
        assert overlaps(layout) == []


def test_few_tasks_are_not_folded() -> None:
    layout = place([[], *([number] for number in range(5))], [180.0] * 6)
    assert {spot.top for spot in layout.spots} == {0.0}
    assert all(layout.spots[edge.start].left < layout.spots[edge.end].left for edge in layout.edges)


def test_a_drawing_is_cut_where_few_edges_are() -> None:
    # Two groups of four with edges inside, and one edge between them.
    edges = [(0.0, 3.0), (1.0, 2.0), (4.0, 7.0), (5.0, 6.0), (3.0, 4.0)]
    assert cuts_between([float(number) for number in range(8)], edges, 2) == [3.5]


def test_parts_that_need_nothing_of_each_other_are_side_by_side() -> None:
    layout = place([[] if number % 2 == 0 else [number - 1] for number in range(40)], [150.0] * 40)
    assert overlaps(layout) == []
    assert layout.width > 500 and layout.height < 800


@given(graphs())
def test_only_edges_that_follow_from_others_are_left_out(needs: Needs) -> None:
    kept = reduced(needs)
    for one, needed in enumerate(needs):
        assert reached([one], kept.__getitem__) == reached([one], needs.__getitem__)
        for need in kept[one]:
            without = [[other for other in each if (user, other) != (one, need)] for user, each in enumerate(needs)]
            assert need not in reached([one], without.__getitem__)
        assert set(kept[one]) <= set(needed)


@given(graphs(), st.sets(st.integers(0, 39)))
def test_edges_through_hidden_tasks_are_in_one_step(needs: Needs, hidden: set[int]) -> None:
    named = {str(one): [str(need) for need in needed] for one, needed in enumerate(needs)}
    found = folded(named, {str(one) for one in hidden})
    assert found.keys() == {name for name in named if int(name) not in hidden}
    for name, needed in found.items():
        # Hidden ones lead on, others are where a way ends.
        onward = [each if one in hidden else [] for one, each in enumerate(needs)]
        expected = {
            str(one) for need in needs[int(name)] for one in reached([need], onward.__getitem__) if one not in hidden
        }
        assert needed == sorted(expected)


@given(graphs())
def test_a_thinned_graph_has_the_same_layers_and_parts(needs: Needs) -> None:
    kept = thinned(needs)
    assert all(set(some) <= set(every) for some, every in zip(kept, needs, strict=True))
    assert all(bool(some) == bool(every) for some, every in zip(kept, needs, strict=True))
    used = {need for some in kept for need in some}
    assert used == {need for every in needs for need in every}
    assert _depths(kept) == _depths(needs)


def test_a_dense_graph_is_placed_without_edges() -> None:
    def dense(count: int) -> Needs:
        return [*([] for _ in range(count)), *([*range(count)] for _ in range(count))]

    drawn, dropped = (place(dense(count), [100.0] * 2 * count) for count in (100, 101))
    assert len(drawn.edges) == MOST_EDGES == 10_000
    assert not dropped.edges
    assert len({(spot.left, spot.top) for spot in dropped.spots}) == 202
    assert max(map(len, thinned(dense(101))[101:])) <= 8 + 1


def _depths(needs: Needs) -> list[int]:
    depths: list[int] = []
    for needed in needs:
        depths.append(max((depths[need] + 1 for need in needed), default=0))
    return depths


def test_a_long_line_goes_straight_between_the_tasks_of_a_layer() -> None:
    # 0 -> 1 -> 2 -> 3, and 0 -> 4 -> 3, where 4 is next to 3.
    layout = place([[], [0], [1], [2, 4], [0]], [100.0] * 5)
    (long,) = [edge for edge in layout.edges if edge.points]
    assert len({y for _, y in long.points}) == 1
    inside = [(x, y) for x, y in long.points for spot in layout.spots if spot.top <= y <= spot.top + spot.height
              and spot.left <= x <= spot.left + spot.width]  # fmt: skip
    assert inside == []


def _random(count: int) -> Needs:
    random = Random(count)
    return [
        sorted({random.randrange(max(0, number - 40), number) for _ in range(2)}) if number else []
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(_random, id="random"),
        pytest.param(lambda count: [[], *([number] for number in range(count - 1))], id="chain"),
        pytest.param(lambda count: [[], *([0] for _ in range(count - 1))], id="fan"),
        pytest.param(lambda count: [[] for _ in range(count)], id="single"),
        pytest.param(lambda count: [[] if number % 4 == 0 else [number - 1] for number in range(count)], id="parts"),
    ],
)
def test_the_work_grows_with_the_graph(made: Callable[[int], Needs]) -> None:
    few, many = _calls(made(100)), _calls(made(1000))
    # Long edges have more points in larger graphs, which get fewer sweeps.
    assert many < 25 * few


def _calls(needs: Needs) -> int:
    """Return how many functions are called for a layout."""
    count = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        place(reduced(needs), [180.0] * len(needs))
    finally:
        sys.setprofile(None)
    return count
