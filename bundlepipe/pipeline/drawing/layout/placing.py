"""The layout of a whole graph: each connected part in layers, folded if it is large, and all parts packed together."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.pipeline.drawing.layout.coordinates import heights
from bundlepipe.pipeline.drawing.layout.folding import ASPECT, Spot, extent, fold
from bundlepipe.pipeline.drawing.layout.layers import Layered, layered
from bundlepipe.pipeline.drawing.layout.ordering import order
from bundlepipe.pipeline.drawing.layout.thinning import is_dense, thinned
from bundlepipe.pipeline.drawing.model import inverse
from bundlepipe.pipeline.running.edges import reached

# All in pixels: the height of a task, the least distances between tasks of a layer, and between lines.
HEIGHT, _ROOM, _POINT_ROOM = 28.0, 38.0, 12.0
# The distances between layers, and between parts or strips.
_BETWEEN, _APART = 54.0, 44.0

Point = tuple[float, float]


class Edge(Struct, frozen=True):
    """An edge from a task to one that needs it, through points between both."""

    start: int
    end: int
    points: Sequence[Point]

    def moved(self, right: float, down: float) -> Edge:
        """Return the edge so many pixels further to the right and down."""
        return Edge(self.start, self.end, [(x + right, y + down) for x, y in self.points])


class Layout(Struct, frozen=True):
    """Where tasks and edges are, in pixels from the top left corner; no edges if there are too many to draw."""

    spots: Sequence[Spot]
    edges: Sequence[Edge]
    width: float
    height: float


def place(needs: Sequence[Sequence[int]], widths: Sequence[float]) -> Layout:
    """Return the layout of vertices with these needs and widths in pixels; graphlib.CycleError if they have cycles."""
    if is_dense(needs):
        return replace(_placed(thinned(needs), widths), edges=[])
    return _placed(needs, widths)


def _placed(needs: Sequence[Sequence[int]], widths: Sequence[float]) -> Layout:
    spots = [Spot(0.0, 0.0, width, HEIGHT) for width in widths]
    parts, single = _parts(needs)
    blocks = [[spots[one] for one in part] for part in parts]
    edges = [_place_part(part, needs, block) for part, block in zip(parts, blocks, strict=True)]
    if single:
        blocks.append(_grid([spots[one] for one in single]))
    moves = _pack(blocks)
    moved = [edge.moved(*move) for found, move in zip(edges, moves, strict=False) for edge in found]
    return Layout(spots, moved, *extent(spots))


def _parts(needs: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[int]]:
    """Return the connected parts, and the vertices that are connected with nothing."""
    around = [[*needed, *users] for needed, users in zip(needs, inverse(needs), strict=True)]
    parts, seen = list[list[int]](), set[int]()
    for start in range(len(needs)):
        if start not in seen and around[start]:
            part = reached([start], around.__getitem__)
            seen |= part
            parts.append(sorted(part))
    return parts, [one for one, others in enumerate(around) if not others]


def _place_part(part: Sequence[int], needs: Sequence[Sequence[int]], spots: Sequence[Spot]) -> list[Edge]:
    """Place the vertices of a connected part, whose spots these are, and return its edges."""
    local = {one: number for number, one in enumerate(part)}
    graph = layered([[local[need] for need in needs[one]] for one in part])
    order(graph)
    middles = heights(graph, _ROOM, _POINT_ROOM)
    highest = min(middles[: graph.count])
    middles = [middle - highest + HEIGHT / 2 for middle in middles]
    lefts = _lefts(graph, spots)
    for number, spot in enumerate(spots):
        spot.left, spot.top = lefts[graph.layers[number]], middles[number] - HEIGHT / 2
    before = [(spot.left, spot.top) for spot in spots]
    pairs = [(local[need], number) for number, one in enumerate(part) for need in needs[one]]
    strips = fold(spots, pairs, _APART)
    edges = []
    for start, end in pairs:
        points: list[Point] = []
        # A line through places that are now elsewhere would only confuse.
        if strips[start] == strips[end]:
            for point in graph.route(start, end):
                layer = graph.layers[point]
                points += [(lefts[layer], middles[point]), (lefts[layer + 1] - _BETWEEN, middles[point])]
        left, top = before[start]
        edges.append(Edge(part[start], part[end], points).moved(spots[start].left - left, spots[start].top - top))
    return edges


def _lefts(graph: Layered, spots: Sequence[Spot]) -> list[float]:
    """Return the left end of each layer, and of one after the last."""
    lefts = [0.0]
    for row in graph.rows:
        widest = max((spots[one].width for one in row if one < graph.count), default=0.0)
        lefts.append(lefts[-1] + widest + _BETWEEN)
    return lefts


def _grid(spots: Sequence[Spot]) -> list[Spot]:
    """Place vertices without edges in columns, in order."""
    width = max(spot.width for spot in spots) + _BETWEEN / 2
    rows = max(1, round((len(spots) * width / ASPECT / _ROOM) ** 0.5))
    for number, spot in enumerate(spots):
        spot.left, spot.top = number // rows * width, number % rows * _ROOM
    return list(spots)


def _pack(blocks: Sequence[Sequence[Spot]]) -> list[tuple[float, float]]:
    """Move blocks side by side, in shelves below each other, the tallest first; return how far each moved."""
    sizes = [extent(block) for block in blocks]
    area = sum((width + _APART) * (height + _APART) for width, height in sizes)
    room = max([(area * ASPECT) ** 0.5, *(width for width, _ in sizes)], default=0.0)
    moves = [(0.0, 0.0)] * len(blocks)
    left = top = shelf = 0.0
    for number in sorted(range(len(blocks)), key=lambda each: -sizes[each][1]):
        width, height = sizes[number]
        if left and left + width > room:
            left, top, shelf = 0.0, top + shelf + _APART, 0.0
        moves[number] = left, top
        for spot in blocks[number]:
            spot.left += left
            spot.top += top
        left, shelf = left + width + _APART, max(shelf, height)
    return moves
