"""Unified diffs of texts, as sequences of lines.

difflib forms the hunks. Its own search for equal lines can take hours for long texts with many of them, so this module
has another, whose work is bounded: beyond the bound, the rest counts as replaced, which is longer to read but correct.
`matching` compares sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import Match, SequenceMatcher
from typing import NamedTuple

from msgspec import Struct

from bundlepipe.verbs.diffing.matching import MOST_WORK, shortest_edits, unique_in_order

CONTEXT = 3

_NO_NEWLINE = "\\ No newline at end of file\n"


class Hunks(Struct, frozen=True):
    """The hunks of a unified diff, and how many lines they add and remove."""

    text: str
    added: int
    removed: int


def is_text(content: bytes) -> bool:
    """Return whether content is compared by lines: it has no NUL byte."""
    return b"\0" not in content


def unified(old: bytes, new: bytes, context: int = CONTEXT) -> Hunks:
    """Return the hunks that change one text into another, with lines of context around changes.

    Lines end with LF alone, as for git and patch. Bytes that are not UTF-8 become surrogates.
    """
    before, after = _split(old), _split(new)
    parts: list[str] = []
    added = removed = 0
    for group in _Matcher(before, after).get_grouped_opcodes(context):
        _, first_old, _, first_new, _ = group[0]
        _, _, end_old, _, end_new = group[-1]
        parts.append(f"@@ -{_range(first_old, end_old)} +{_range(first_new, end_new)} @@\n")
        for tag, start, end, start_new, end_of_new in group:
            if tag == "equal":
                parts += _marked(" ", before[start:end])
                continue
            parts += _marked("-", before[start:end])
            parts += _marked("+", after[start_new:end_of_new])
            removed += end - start
            added += end_of_new - start_new
    return Hunks("".join(parts), added, removed)


def _split(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _marked(mark: str, lines: Sequence[bytes]) -> Iterator[str]:
    for line in lines:
        text = mark + line.decode(errors="surrogateescape")
        yield text if text.endswith("\n") else f"{text}\n{_NO_NEWLINE}"


def _range(start: int, end: int) -> str:
    """Return a range of lines as unified diffs have it: an empty one is that after the line before."""
    length = end - start
    return str(start + 1) if length == 1 else f"{start + 1 if length else start},{length}"


class _Section(NamedTuple):
    """A part of both texts that is to be matched."""

    old: int
    end_old: int
    new: int
    end_new: int


class _Matcher(SequenceMatcher[bytes]):
    """difflib's matcher with other matches.

    Equal lines at both ends of a section are matched first, then lines that occur once on both sides, in the longest
    common order, as in git's patience diff; what is between them by the fewest edits, as git does by default.
    """

    def __init__(self, old: list[bytes], new: list[bytes]) -> None:
        super().__init__(None, (), (), autojunk=False)
        self.a, self.b = old, new
        numbers: dict[bytes, int] = {}
        # Small numbers are compared and hashed faster than lines.
        self._old, self._new = ([numbers.setdefault(line, len(numbers)) for line in text] for text in (old, new))
        self._work = MOST_WORK

    def get_matching_blocks(self) -> list[Match]:
        """Return the matches of both texts in order, with an empty one at the end, as difflib does."""
        blocks: list[Match] = []
        # The first one is at the end.
        waiting: list[_Section | Match] = [_Section(0, len(self.a), 0, len(self.b))]
        while waiting:
            part = waiting.pop()
            if isinstance(part, Match):
                blocks.append(part)
            else:
                waiting += reversed(list(self._split_section(part)))
        return [*_joined(blocks), Match(len(self.a), len(self.b), 0)]

    def _split_section(self, whole: _Section) -> Iterator[_Section | Match]:
        """Yield the matches in a section that are found first, and what is to be matched between them, in order."""
        head = self._equal(whole.old, whole.end_old, whole.new, whole.end_new, 1)
        if head:
            yield Match(whole.old, whole.new, head)
        old, new = whole.old + head, whole.new + head
        tail = self._equal(whole.end_old - 1, old - 1, whole.end_new - 1, new - 1, -1)
        end_old, end_new = whole.end_old - tail, whole.end_new - tail
        if old < end_old and new < end_new:
            section = _Section(old, end_old, new, end_new)
            anchors = unique_in_order(self._old[old:end_old], self._new[new:end_new])
            yield from _around(section, anchors) if anchors else self._shortest(section)
        if tail:
            yield Match(end_old, end_new, tail)

    def _equal(self, old: int, end_old: int, new: int, end_new: int, step: int) -> int:
        """Return how many lines are equal from two places on, forwards or backwards."""
        count = 0
        for line, other in zip(range(old, end_old, step), range(new, end_new, step), strict=False):
            if self._old[line] != self._new[other]:
                break
            count += 1
        return count

    def _shortest(self, section: _Section) -> Iterator[_Section | Match]:
        """Yield matches by the fewest edits, and the rest of a section where these are too many for one search."""
        old, new = range(section.old, section.end_old), range(section.new, section.end_new)
        # Lines that the other side does not have match nothing, and take most of the work.
        here, there = {self._old[place] for place in old}, {self._new[place] for place in new}
        left = [place for place in old if self._old[place] in there]
        right = [place for place in new if self._new[place] in here]
        if self._work <= 0 or not left:
            return
        found = shortest_edits([self._old[place] for place in left], [self._new[place] for place in right], self._work)
        self._work -= found.work
        for start, other, length in found.matches:
            yield from (Match(left[start + at], right[other + at], 1) for at in range(length))
        end, end_new = found.end
        if end < len(left) and end_new < len(right):
            yield section._replace(old=left[end], new=right[end_new])


def _around(section: _Section, anchors: Sequence[tuple[int, int]]) -> Iterator[_Section | Match]:
    """Yield anchors, places within a section, as matches, and the sections around them."""
    old, new = section.old, section.new
    for place, place_new in anchors:
        at, at_new = section.old + place, section.new + place_new
        yield _Section(old, at, new, at_new)
        yield Match(at, at_new, 1)
        old, new = at + 1, at_new + 1
    yield section._replace(old=old, new=new)


def _joined(blocks: Sequence[Match]) -> Iterator[Match]:
    """Yield matches with adjacent ones as one, which hunks would otherwise be split at."""
    current: Match | None = None
    for block in blocks:
        if current and current.a + current.size == block.a and current.b + current.size == block.b:
            current = Match(current.a, current.b, current.size + block.size)
            continue
        if current:
            yield current
        current = block
    if current:
        yield current
