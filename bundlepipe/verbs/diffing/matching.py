"""Find equal lines of two texts, given as numbers that are the same for equal lines, with bounded work."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

# Steps of one diff: some seconds.
MOST_WORK = 10_000_000

# The memory of a search grows with the square of it: 3,000 take some 20 MB.
_MOST_EDITS = 3000
_NOWHERE = -(1 << 30)

# An array of C's int.
_INT = "i"


class ShortestEdits(NamedTuple):
    """Matches as triples of places and length, how far the search came on both sides, and the steps that it took."""

    matches: list[tuple[int, int, int]]
    end: tuple[int, int]
    work: int


def unique_in_order(old: Sequence[int], new: Sequence[int]) -> list[tuple[int, int]]:
    """Return the places of lines that are unique on both sides, of these the most that are in the same order.

    Source: Bram Cohen's patience diff.
    """
    in_old, in_new = Counter(old), Counter(new)
    places = {line: place for place, line in enumerate(new) if in_new[line] == 1}
    pairs = [(place, places[line]) for place, line in enumerate(old) if in_old[line] == 1 and line in places]
    # The longest increasing subsequence: for each length, the least end of one, and which pair that is.
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for index, (_, place_new) in enumerate(pairs):
        length = bisect_left(ends, place_new)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [place_new]
        last[length : length + 1] = [index]
    chosen: list[tuple[int, int]] = []
    index = last[-1] if last else -1
    while index >= 0:
        chosen.append(pairs[index])
        index = before[index]
    return chosen[::-1]


def shortest_edits(old: Sequence[int], new: Sequence[int], most_work: int) -> ShortestEdits:
    """Return the matches that leave the fewest edits, up to the farthest place if that takes too much work or memory.

    Source: E. W. Myers, Algorithmica 1 (1986), figure 2 of his paper on differences.
    """
    size_old, size_new = len(old), len(new)
    middle = min(size_old + size_new, _MOST_EDITS) + 1
    # The farthest place in the old text on each diagonal: the difference of the places in both texts.
    farthest = [_NOWHERE] * (2 * middle + 1)
    farthest[middle + 1] = 0
    history: list[array[int]] = []
    work = 0
    for edits in range(middle):
        # One step has the odd diagonals, the next one the even ones.
        history.append(array(_INT, farthest[middle - edits - 1 : middle + edits + 2 : 2]))
        for diagonal in range(-edits, edits + 1, 2):
            place = _next(
                farthest[middle + diagonal - 1], farthest[middle + diagonal + 1], diagonal, size_old, size_new
            )
            start = place
            other = place - diagonal
            while 0 <= place < size_old and other < size_new and old[place] == new[other]:
                place += 1
                other += 1
            farthest[middle + diagonal] = place
            work += 1 + place - start
            if place == size_old and other == size_new:
                return ShortestEdits(_matches(history, place, other, size_old, size_new), (place, other), work)
        if work > most_work:
            break
    # Diagonals of this step only.
    _, place, diagonal = max(
        (2 * farthest[middle + diagonal] - diagonal, farthest[middle + diagonal], diagonal)
        for diagonal in range(-edits, edits + 1, 2)
    )
    end = place, place - diagonal
    return ShortestEdits(_matches(history, *end, size_old, size_new), end, work)


def _next(left: int, right: int, diagonal: int, size_old: int, size_new: int) -> int:
    """Return the farthest place on a diagonal one edit after those on its neighbours, before equal lines."""
    removed = left + 1 if left < size_old else _NOWHERE
    added = right if right - diagonal <= size_new else _NOWHERE
    return max(removed, added)


def _matches(
    history: Sequence[array[int]], place: int, other: int, size_old: int, size_new: int
) -> list[tuple[int, int, int]]:
    """Return the matches on the way to a place that the last step of a search reached."""
    matches: list[tuple[int, int, int]] = []
    for edits in range(len(history) - 1, -1, -1):
        diagonal = place - other
        before = history[edits]
        index = (diagonal + edits) // 2
        left, right = before[index], before[index + 1]
        start = _next(left, right, diagonal, size_old, size_new)
        if place > start:
            matches.append((start, start - diagonal, place - start))
        was_added = start == right and right - diagonal <= size_new
        place = right if was_added else left
        other = place - (diagonal + 1 if was_added else diagonal - 1)
    return matches[::-1]
