"""Vertical coordinates: each vertex as close to its neighbours as order and distances allow."""

from __future__ import annotations

from collections.abc import Sequence

from bundlepipe.pipeline.drawing.layout.layers import Layered

# Pairs of sweeps, from the left and from the right.
_SWEEPS = 3
# Straight long edges are worth more than straight short ones.
_WEIGHT_OF_POINT = 3.0
# The weights of places that should hardly change, and of those of vertices without neighbours.
_FIXED, _LOOSE = 1e9, 0.1


def heights(graph: Layered, room: float, point_room: float) -> list[float]:
    """Return the middle of each vertex, from 0 on; `room` is the least distance between tasks, in pixels.

    The points of long edges need only `point_room`.
    """
    middles = [0.0] * len(graph.layers)
    offsets = [_offsets(row, graph.count, room, point_room) for row in graph.rows]
    for row, offset in zip(graph.rows, offsets, strict=True):
        for one, least in zip(row, offset, strict=True):
            middles[one] = least
    for _ in range(_SWEEPS):
        _align(graph, offsets, middles, graph.left)
        _align(graph, offsets, middles, graph.right)
    # At last all follow what they need, and what needs nothing follows its users, so that chains are straight.
    _align(graph, offsets, middles, graph.left)
    _align(graph, offsets, middles, graph.right, keeping=graph.left)
    top = min(middles, default=0.0)
    return [middle - top for middle in middles]


def _offsets(row: Sequence[int], count: int, room: float, point_room: float) -> list[float]:
    """Return how far each vertex of a layer is below the first one if all are as close as possible."""
    found, place = [], 0.0
    for index, one in enumerate(row):
        if index:
            both = one < count and row[index - 1] < count
            place += room if both else (room + point_room) / 2 if one < count or row[index - 1] < count else point_room
        found.append(place)
    return found


def _align(
    graph: Layered,
    offsets: Sequence[Sequence[float]],
    middles: list[float],
    side: Sequence[Sequence[int]],
    keeping: Sequence[Sequence[int]] | None = None,
) -> None:
    """Move the vertices of each layer towards the mean of their neighbours on this side, if they have any there.

    Those with neighbours in `keeping` stay.
    """
    rows = list(zip(graph.rows, offsets, strict=True))
    for row, offset in rows if side is graph.left else reversed(rows):
        wanted, weights = [], []
        for one, least in zip(row, offset, strict=True):
            stays = keeping is not None and bool(keeping[one])
            near = () if stays else [middles[other] for other in side[one]]
            wanted.append((sum(near) / len(near) if near else middles[one]) - least)
            weights.append(_FIXED if stays else _LOOSE if not near else 1.0 if one < graph.count else _WEIGHT_OF_POINT)
        for one, least, place in zip(row, offset, non_decreasing(wanted, weights), strict=True):
            middles[one] = place + least


def non_decreasing(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the non-decreasing values with the least squares of distances (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(wanted, weights, strict=True):
        block = value, weight, 1
        while blocks and blocks[-1][0] > block[0]:
            mean, heavy, size = blocks.pop()
            total = heavy + block[1]
            block = (mean * heavy + block[0] * block[1]) / total, total, size + block[2]
        blocks.append(block)
    return [value for value, _, size in blocks for _ in range(size)]
