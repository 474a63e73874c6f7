"""The order of vertices within layers, with few crossings: sweeps by the mean of neighbours, of which the best counts.

Sugiyama, Tagawa and Toda: Methods for visual understanding of hierarchical system structures (1981).
"""

from __future__ import annotations

from collections.abc import Sequence

from bundlepipe.pipeline.drawing.layout.layers import Layered

# Sweeps through small graphs; large ones have fewer, so that time grows with the size only.
_MOST_SWEEPS = 24
_EFFORT = 120_000


def sweeps_for(graph: Layered) -> int:
    """Return how many sweeps a graph of this size gets: at least two, one in each direction."""
    size = len(graph.layers) + sum(map(len, graph.right))
    return max(2, min(_MOST_SWEEPS, _EFFORT // max(size, 1)))


def order(graph: Layered) -> int:
    """Order the vertices of all layers, and return the number of crossings that are left."""
    _order_by_search(graph)
    best, fewest = [list(row) for row in graph.rows], crossings(graph)
    for number in range(sweeps_for(graph)):
        if not fewest:
            break
        if number % 2:
            _sweep(graph.rows[::-1], graph.right)
        else:
            _sweep(graph.rows, graph.left)
        found = crossings(graph)
        if found < fewest:
            best, fewest = [list(row) for row in graph.rows], found
    graph.rows = best
    return fewest


def crossings(graph: Layered) -> int:
    """Return the number of pairs of edges that cross."""
    places = _places(graph.rows, len(graph.layers))
    return sum(
        _inversions(_ends(row, graph.right, places), len(after))
        for row, after in zip(graph.rows, graph.rows[1:], strict=False)
    )


def _ends(row: Sequence[int], right: Sequence[Sequence[int]], places: Sequence[int]) -> list[int]:
    return [place for one in row for place in sorted(places[other] for other in right[one])]


def _inversions(values: Sequence[int], size: int) -> int:
    """Return how many pairs are in the wrong order, by a Fenwick tree of the values so far."""
    tree = [0] * (size + 1)
    found = 0
    for count, value in enumerate(values):
        index, smaller = value + 1, 0
        while index:
            smaller += tree[index]
            index &= index - 1
        found += count - smaller
        index = value + 1
        while index <= size:
            tree[index] += 1
            index += index & -index
    return found


def _places(rows: Sequence[Sequence[int]], count: int) -> list[int]:
    places = [0] * count
    for row in rows:
        for place, one in enumerate(row):
            places[one] = place
    return places


def _order_by_search(graph: Layered) -> None:
    """Order layers as a depth-first search from the right meets the vertices: neighbours are then close."""
    met: dict[int, None] = {}
    for start in (one for row in reversed(graph.rows) for one in row):
        waiting = [start]
        while waiting:
            one = waiting.pop()
            if one not in met:
                met[one] = None
                waiting += [*reversed(graph.left[one]), *reversed(graph.right[one])]
    rank = {one: number for number, one in enumerate(met)}
    for row in graph.rows:
        row.sort(key=rank.__getitem__)


def _sweep(rows: Sequence[list[int]], neighbours: Sequence[Sequence[int]]) -> None:
    """Sort each layer after the first by the mean place of its neighbours; vertices without any stay in place."""
    place: dict[int, float] = {}
    for row in rows:
        means = {}
        for index, one in enumerate(row):
            near = [place[other] for other in neighbours[one] if other in place]
            means[one] = sum(near) / len(near) if near else float(index)
        row.sort(key=means.__getitem__)
        place.update((one, float(index)) for index, one in enumerate(row))
