"""Layers: each vertex is to the right of what it needs; a long edge has a point in each layer between."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from bundlepipe.pipeline.drawing.model import in_order, inverse


def layers_of(needs: Sequence[Sequence[int]]) -> list[int]:
    """Return the layer of each vertex: at least one more than those that it needs."""
    users = inverse(needs)
    order = in_order(needs)
    layers = [0] * len(needs)
    for one in order:
        layers[one] = 1 + max((layers[need] for need in needs[one]), default=-1)
    for one in reversed(order):
        # Close to its users if that makes more edges shorter than longer.
        if users[one] and len(users[one]) >= len(needs[one]):
            layers[one] = min(layers[user] for user in users[one]) - 1
    return layers


class Layered(Struct):
    """Vertices in layers, with edges between neighbouring layers only.

    Vertices from `count` on are points of long edges; edges from the same vertex share them. `left` and `right` are
    the neighbours of each vertex in the layer before and after; `rows` has the vertices of each layer in order.
    """

    count: int
    layers: list[int]
    left: list[list[int]]
    right: list[list[int]]
    rows: list[list[int]] = field(default_factory=list)
    # The points of a vertex's long edges, from its own layer on.
    points: dict[int, list[int]] = field(default_factory=dict)

    def route(self, start: int, end: int) -> list[int]:
        """Return the points that an edge passes."""
        return self.points.get(start, [])[: self.layers[end] - self.layers[start] - 1]


def layered(needs: Sequence[Sequence[int]]) -> Layered:
    """Return the vertices in layers, in no particular order within them."""
    layers = layers_of(needs)
    graph = Layered(len(needs), layers, [[] for _ in needs], [[] for _ in needs])
    for start, users in enumerate(inverse(needs)):
        farthest = max((layers[user] for user in users), default=0)
        chain = [start]
        for layer in range(layers[start] + 1, farthest):
            chain.append(_add_point(graph, layer, chain[-1]))
        if len(chain) > 1:
            graph.points[start] = chain[1:]
        for user in users:
            before = chain[layers[user] - layers[start] - 1]
            graph.right[before].append(user)
            graph.left[user].append(before)
    graph.rows = [[] for _ in range(max(graph.layers, default=-1) + 1)]
    for one, layer in enumerate(graph.layers):
        graph.rows[layer].append(one)
    return graph


def _add_point(graph: Layered, layer: int, before: int) -> int:
    point = len(graph.layers)
    graph.layers.append(layer)
    graph.left.append([before])
    graph.right.append([])
    graph.right[before].append(point)
    return point
