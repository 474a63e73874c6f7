"""A text with its line starts, to convert character indices to positions."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from functools import cached_property

from msgspec import Struct

from bundlepipe.documents.yaml.fault import Fault

# Line ends as in editors; libyaml also counts U+0085, U+2028 and U+2029.
_LINE_END = re.compile("\r\n|\n|\r")


class Text(Struct, frozen=True, dict=True):
    """The text of a file, without byte order mark."""

    content: str

    @cached_property
    def _starts(self) -> array[int]:
        starts = array("Q", [0])
        starts.extend(match.end() for match in _LINE_END.finditer(self.content))
        return starts

    def position(self, index: int) -> tuple[int, int]:
        """Return line and column, from 1, of the character at this index."""
        index = min(index, len(self.content))
        line = bisect_right(self._starts, index)
        return line, index - self._starts[line - 1] + 1

    def fault(self, index: int, text: str) -> Fault:
        """Return the fault `text` at the character with this index."""
        return Fault(*self.position(index), text)
