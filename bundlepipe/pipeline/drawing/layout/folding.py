"""Fold a drawing that is much taller or longer than a screen, as text is: into columns, or into lines."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from msgspec import Struct

# The width of a good drawing by its height, that of most screens.
ASPECT = 1.6
# Smaller drawings are not folded, in pixels.
_LARGE = 1500.0
# How far from an even division a cut may be, by the length of a strip, to cut fewer edges.
_LEEWAY = 0.25


class Spot(Struct):
    """The top left corner of a rectangle and its size, in pixels."""

    left: float
    top: float
    width: float
    height: float


def extent(spots: Sequence[Spot]) -> tuple[float, float]:
    """Return the right and bottom ends of rectangles."""
    right = max((spot.left + spot.width for spot in spots), default=0.0)
    return right, max((spot.top + spot.height for spot in spots), default=0.0)


def fold(spots: Sequence[Spot], edges: Sequence[tuple[int, int]], gap: float) -> list[int]:
    """Move rectangles so that all of them fit a screen better; return the strip of each, all 0 if nothing moved.

    `edges` are pairs of rectangles that should rather stay in one strip; `gap` is the distance between strips.
    """
    width, height = extent(spots)
    if height > _LARGE and height > width:
        tops = [spot.top + spot.height / 2 for spot in spots]
        return _fold(spots, edges, tops, _strip_count(height * ASPECT, width + gap), gap, downwards=False)
    if width > _LARGE and width > height:
        lefts = [spot.left for spot in spots]
        return _fold(spots, edges, lefts, _strip_count(width, (height + gap) * ASPECT), gap, downwards=True)
    return [0] * len(spots)


def _strip_count(longer: float, shorter: float) -> int:
    return max(1, round(sqrt(longer / max(shorter, 1.0))))


def _fold(
    spots: Sequence[Spot],
    edges: Sequence[tuple[int, int]],
    places: Sequence[float],
    count: int,
    gap: float,
    *,
    downwards: bool,
) -> list[int]:
    cuts = cuts_between(places, [(places[one], places[other]) for one, other in edges], count)
    strips = [bisect_right(cuts, place) for place in places]
    position = 0.0
    for number in range(len(cuts) + 1):
        members = [spot for spot, strip in zip(spots, strips, strict=True) if strip == number]
        if not members:
            continue
        left, top = min(spot.left for spot in members), min(spot.top for spot in members)
        for spot in members:
            spot.left += (0.0 if downwards else position) - left
            spot.top += (position if downwards else 0.0) - top
        position = extent(members)[1 if downwards else 0] + gap
    return strips


def cuts_between(places: Sequence[float], edges: Sequence[tuple[float, float]], count: int) -> list[float]:
    """Return where to cut a line into `count` strips of about the same length, so that few edges are cut."""
    distinct = sorted(set(places))
    between = [(one + other) / 2 for one, other in pairwise(distinct)]
    starts, ends = sorted(min(edge) for edge in edges), sorted(max(edge) for edge in edges)
    cuts: list[float] = []
    step = (distinct[-1] - distinct[0]) / count if distinct else 0.0
    for number in range(1, count):
        wanted = distinct[0] + number * step
        low, high = (bisect_left(between, wanted + way * _LEEWAY * step) for way in (-1, 1))
        near = between[low:high] or between[max(0, low - 1) : low + 1]
        best = min(
            near, key=lambda cut: (bisect_left(starts, cut) - bisect_left(ends, cut), abs(cut - wanted)), default=None
        )
        if best is not None and (not cuts or best > cuts[-1]):
            cuts.append(best)
    return cuts
