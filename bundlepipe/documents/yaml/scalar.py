"""Map the characters of a scalar's value to those of its text.

With this, a part of a value, such as a reference in YAML inside a YAML string, can be replaced in
the scalar's text, and the rest, its quotes, escapes, folds and indentation, stays unchanged. The
conversion from text to value follows YAML 1.2, chapters 7.3 and 8.1, with the line breaks of YAML
1.1 (U+0085, U+2028, U+2029), as in libyaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import yaml

from bundlepipe.documents.yaml.edit import LINE_BREAKS, Edit, apply, content_start, line_start
from bundlepipe.documents.yaml.writer import INVISIBLE, double_quoted, in_double_quotes, reads_as_something_else

_BREAK = re.compile(f"\r\n|[{LINE_BREAKS}]")
_LAST_BREAK = re.compile(f"(?:{_BREAK.pattern})?\\Z")
_BLANKS = re.compile("[ \t]*")
_LINE = re.compile(f"[^{LINE_BREAKS}]*")
_ESCAPE = re.compile(r"\\(?:x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})|.)", re.DOTALL)
_ESCAPED = dict(zip('0abt\tnvfre "/\\N_LP', '\0\a\b\t\t\n\v\f\r\x1b "/\\\x85\xa0\u2028\u2029', strict=True))
_BLOCK_HEADER = re.compile(rf"[|>](?P<indicators>[-+0-9]*)[^{LINE_BREAKS}]*")
# Texts that mean the same in every place where an unquoted scalar may stand; references are among them.
_ALWAYS_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/@:+-]*[A-Za-z0-9])?")
_INDENTATION = re.compile(f"(?<![^{LINE_BREAKS}])( *)[^ {LINE_BREAKS}]")


class _Piece(NamedTuple):
    """A character of a value, and the characters of the scalar's text that produce it."""

    character: str
    start: int
    end: int


class ScalarText:
    """The text of a scalar node of `content`, which must not be empty."""

    def __init__(self, content: str, node: yaml.ScalarNode) -> None:
        self.value: str = node.value
        self._content = content
        self._style: str = node.style or ""
        self._start = content_start(content, node)
        self._text = content[self._start : node.end_mark.index]
        self._indent = _block_indent(self._text, self.value) if self._style in ("|", ">") else 0
        pieces = self._pieces(self._text)
        # If this reader ever disagrees with the parser, the scalar can only be edited as a whole.
        self._known = pieces if _value(pieces) == self.value else []

    def index(self, offset: int) -> int:
        """Return the position in the content of the value's character at this offset."""
        if not self._known:
            return self._start
        return self._start + self._known[min(offset, len(self._known) - 1)].start

    def edits(self, edits: Sequence[Edit]) -> list[Edit]:
        """Convert edits of the value to edits of the content; each must replace something.

        They keep the style of the scalar. If the new text does not fit that style, the whole scalar
        is rewritten in double quotes, which can hold any text in any place.
        """
        value = apply(edits, self.value)
        if self._known and all(self._fits(edit, value) for edit in edits):
            within = [self._within_text(edit) for edit in edits]
            # The parser would give the same result, but has to read the whole file.
            if _value(self._pieces(apply(within, self._text))) == value:
                return [Edit(self._start + start, self._start + end, text) for start, end, text in within]
        return [self._in_double_quotes(value)]

    def _in_double_quotes(self, value: str) -> Edit:
        quoted, length = double_quoted(value), len(self._text)
        if self._style in ("|", ">"):
            last_break = _LAST_BREAK.search(self._text)
            assert last_break
            length = last_break.start()
            # A block must be indented at least as far as its key, a quoted scalar need not be.
            if not self._content[line_start(self._content, self._start) : self._start].strip(" "):
                quoted = " " * self._indent + quoted
        return Edit(self._start, self._start + length, quoted)

    def _within_text(self, edit: Edit) -> Edit:
        text = edit.text
        if self._style == "'":
            text = text.replace("'", "''")
        elif self._style == '"':
            text = in_double_quotes(text)
        return Edit(self._known[edit.start].start, self._known[edit.end - 1].end, text)

    def _fits(self, edit: Edit, value: str) -> bool:
        """Return whether an edit, one of those that make `value`, leaves a scalar of this style well-formed."""
        new = edit.text
        if self._style == '"':
            return True
        if not self._style:
            return bool(_ALWAYS_PLAIN.fullmatch(new)) and not reads_as_something_else(value)
        # The ends of the replaced part may be line breaks, which a block needs.
        old = self.value[edit.start : edit.end]
        return old == old.strip() and bool(new) and new == new.strip() and not INVISIBLE.search(new)

    def _pieces(self, text: str) -> list[_Piece]:
        if self._style in ("|", ">"):
            return list(_block_pieces(text, self._indent))
        if self._style:
            return list(_flow_pieces(text, 1, len(text) - 1, self._style))
        return list(_flow_pieces(text, 0, len(text), ""))


def _value(pieces: Sequence[_Piece]) -> str:
    return "".join([piece.character for piece in pieces])


def _flow_pieces(text: str, start: int, end: int, quote: str) -> Iterator[_Piece]:
    """Read the text between quotes, or an unquoted scalar (`quote` is empty)."""
    index = start
    while index < end:
        character = text[index]
        if character == "\\" and quote == '"':
            pieces, index = _escape_pieces(text, index, end)
        elif character == "'" and quote == "'":
            pieces, index = [_Piece(character, index, index + 2)], index + 2
        elif character in " \t" or character in LINE_BREAKS:
            pieces, index = _blank_pieces(text, index, end)
        else:
            pieces, index = [_Piece(character, index, index + 1)], index + 1
        yield from pieces


def _escape_pieces(text: str, start: int, end: int) -> tuple[list[_Piece], int]:
    if text[start + 1] in LINE_BREAKS:
        breaks, following = _breaks(text, start + 1, end)
        return breaks[1:], following
    match = _ESCAPE.match(text, start)
    assert match
    digits = match["x"] or match["u"] or match["U"]
    character = chr(int(digits, 16)) if digits else _ESCAPED.get(match[0][1], "")
    return [_Piece(character, start, match.end())], match.end()


def _blank_pieces(text: str, start: int, end: int) -> tuple[list[_Piece], int]:
    """Read blanks: within a line they are kept; with line breaks among them they fold."""
    blanks_end = _end(_BLANKS, text, start, end)
    if blanks_end == end or text[blanks_end] not in LINE_BREAKS:
        return [_Piece(text[index], index, index + 1) for index in range(start, blanks_end)], blanks_end
    breaks, following = _breaks(text, start, end)
    if breaks[0].character != "\n":
        return breaks, following
    return breaks[1:] or [_Piece(" ", start, following)], following


def _breaks(text: str, start: int, end: int) -> tuple[list[_Piece], int]:
    """Return the line breaks among blanks, and the end of the blanks."""
    breaks: list[_Piece] = []
    index = _end(_BLANKS, text, start, end)
    while index < end and text[index] in LINE_BREAKS:
        breaks.append(_break(text, index))
        index = _end(_BLANKS, text, breaks[-1].end, end)
    return breaks, index


def _break(text: str, index: int) -> _Piece:
    match = _BREAK.match(text, index)
    assert match
    # U+2028 and U+2029 are kept, all others become a line feed.
    return _Piece(match[0] if match[0] in "\u2028\u2029" else "\n", index, match.end())


def _end(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    match = pattern.match(text, start, end)
    assert match
    return match.end()


def _block_indent(text: str, value: str) -> int:
    """Return the number of blanks that indent the lines of a block scalar and do not belong to its value."""
    header = _BLOCK_HEADER.match(text)
    assert header
    return max(_first_blanks(text[header.end() :]) - _first_blanks(value), 0)


def _first_blanks(text: str) -> int:
    """Return the number of blanks before the first other character on its line."""
    match = _INDENTATION.search(text)
    return len(match[1]) if match else 0


def _block_pieces(text: str, indent: int) -> Iterator[_Piece]:
    """Read a literal or folded block scalar."""
    header = _BLOCK_HEADER.match(text)
    assert header
    if header.end() == len(text):
        return
    folds, chomping = text[0] == ">", header["indicators"].strip("0123456789")
    before: _Piece | None = None  # the break that ended the previous line
    before_is_blank = False
    index = _break(text, header.end()).end
    while True:
        empty, index = _empty_lines(text, index, indent)
        if index == len(text):
            break
        is_blank = text[index] in " \t"
        if folds and before and before.character == "\n" and not before_is_blank and not is_blank:
            if not empty:
                yield _Piece(" ", before.start, index)
        elif before:
            yield before
        yield from empty
        line_end = _end(_LINE, text, index, len(text))
        yield from (_Piece(text[at], at, at + 1) for at in range(index, line_end))
        before_is_blank = is_blank
        before = _break(text, line_end) if line_end < len(text) else None
        index = before.end if before else line_end
    if before and chomping != "-":
        yield before
    if chomping == "+":
        yield from empty


def _empty_lines(text: str, start: int, indent: int) -> tuple[list[_Piece], int]:
    """Return the breaks of lines with only indentation, and the start of the next line's own text."""
    breaks: list[_Piece] = []
    index = start
    while True:
        index += len(text[index : index + indent]) - len(text[index : index + indent].lstrip(" "))
        if index == len(text) or text[index] not in LINE_BREAKS:
            return breaks, index
        breaks.append(_break(text, index))
        index = breaks[-1].end
