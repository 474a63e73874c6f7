"""Tables as imgpkg and kbld print them: cells in columns, whether people read them or scripts (go-cli-ui, observed)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat, zip_longest

_EMPTY = "-"
_SAME = "^"


def for_people(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with the header; rows whose first cell is that of the row above have a mark in its place."""
    firsts = [None, *(row[0] for row in rows if row)]
    marked = [[_SAME, *row[1:]] if row and row[0] == before else row for before, row in zip(firsts, rows, strict=False)]
    return _in_columns([header, *marked], "  ")


def for_scripts(rows: Sequence[Sequence[str]]) -> str:
    """Return lines whose cells are followed by tabs."""
    return _in_columns(rows, "\t")


def _in_columns(rows: Sequence[Sequence[str]], border: str) -> str:
    """Return lines: cells of several lines have empty cells beside them; the last is not filled up."""
    lines = [line for row in rows for line in zip_longest(*map(_cell_lines, row), fillvalue="")]
    # Go counts bytes.
    widths = [max(len(cell.encode()) for cell in column) for column in zip(*lines, strict=True)]
    widths[-1:] = [0]
    return "".join("".join(map(_filled, line, widths, repeat(border))) + "\n" for line in lines)


def _filled(cell: str, width: int, border: str) -> str:
    return cell + " " * (width - len(cell.encode())) + border


def _cell_lines(cell: str) -> list[str]:
    return cell.replace("\r", "").split("\n") if cell else [_EMPTY]
