"""Enough of the needs of a dense graph to place its tasks by: layers stay, and so do connected parts.

A drawing of ten thousand arrows says nothing any more, but takes browsers seconds and the layout even longer.
"""

from __future__ import annotations

from collections.abc import Sequence

from bundlepipe.pipeline.drawing.model import in_order, inverse

# More are not drawn.
MOST_EDGES = 10_000
# For each task, and one for each that would be left without any.
_MOST_NEEDS = 8


def is_dense(needs: Sequence[Sequence[int]]) -> bool:
    """Return whether a graph has more edges than are drawn."""
    return sum(map(len, needs)) > MOST_EDGES


def thinned(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the deepest needs of each vertex, which its layer follows from, and one user of each other vertex."""
    depths = [0] * len(needs)
    for one in in_order(needs):
        depths[one] = max((depths[need] + 1 for need in needs[one]), default=0)
    kept = [sorted(needed, key=lambda need: -depths[need])[:_MOST_NEEDS] for needed in needs]
    is_needed = {need for needed in kept for need in needed}
    for one, users in enumerate(inverse(needs)):
        if users and one not in is_needed:
            kept[users[one % len(users)]].append(one)
    return kept
