"""Edit a text: replace ranges of characters, keep the rest unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import yaml

# Those of YAML 1.1; 1.2 knows only the first two.
LINE_BREAKS = "\r\n\x85\u2028\u2029"
_BLANKS_AND_COMMENTS = re.compile(f"(?:[ \t{LINE_BREAKS}]|(?<![^ \t{LINE_BREAKS}])#[^{LINE_BREAKS}]*)*")
# An anchor or a tag, as libyaml delimits them.
_PROPERTY = re.compile(f"&[0-9A-Za-z_-]*|![^ \t{LINE_BREAKS}]*")


class Edit(NamedTuple):
    """Replaces the characters from `start` up to `end` with `text`."""

    start: int
    end: int
    text: str


def apply(edits: Iterable[Edit], content: str) -> str:
    """Return the content with all edits made; they must be in order and not overlap."""
    pieces: list[str] = []
    position = 0
    for edit in edits:
        assert position <= edit.start <= edit.end
        pieces += content[position : edit.start], edit.text
        position = edit.end
    pieces.append(content[position:])
    return "".join(pieces)


def skip_blanks_and_comments(content: str, index: int) -> int:
    """Return the position of the next character that is neither blank nor comment."""
    match = _BLANKS_AND_COMMENTS.match(content, index)
    assert match
    return match.end()


def content_start(content: str, node: yaml.Node) -> int:
    """Return the position of a node's own text, after its anchor and tag."""
    index: int = node.start_mark.index
    end: int = node.end_mark.index
    if isinstance(node, yaml.MappingNode) and node.value:
        first: int = node.value[0][0].start_mark.index
        # An anchor or tag may belong to the first key; and an alias has the marks of its anchor.
        end = first if first >= index else end
    while index < end:
        prefix = _PROPERTY.match(content, index)
        if not prefix:
            break
        behind = skip_blanks_and_comments(content, prefix.end())
        if behind > end:
            return prefix.end()
        index = behind
    return index


def line_start(content: str, index: int) -> int:
    """Return the start of the line that holds a character."""
    while index and content[index - 1] not in LINE_BREAKS:
        index -= 1
    return index
