"""Tables as imgpkg and kbld print them, for users and for scripts (go-cli-ui, as observed)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat, zip_longest

_EMPTY = "-"
_SAME = "^"


def for_people(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with the header; a first cell equal to the one above is replaced with a mark."""
    firsts = [None, *(row[0] for row in rows if row)]
    marked = [[_SAME, *row[1:]] if row and row[0] == before else row for before, row in zip(firsts, rows, strict=False)]
    return _in_columns([header, *marked], "  ")


def for_scripts(rows: Sequence[Sequence[str]]) -> str:
    """Return lines whose cells are followed by tabs."""
    return _in_columns(rows, "\t")


def transposed_for_people(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a line for each cell, after its title, and an empty line between rows."""
    return _in_columns(_divided([list(zip(header, row, strict=True)) for row in rows]), "  ")


def transposed_for_scripts(rows: Sequence[Sequence[str]]) -> str:
    """Return a line for each cell, and an empty line between rows."""
    return _in_columns(_divided([[(cell,) for cell in row] for row in rows]), "\t")


def _divided(groups: Sequence[Sequence[Sequence[str]]]) -> list[Sequence[str]]:
    """Return the rows of groups, with a row without cells between groups."""
    return [row for index, group in enumerate(groups) for row in ([()] if index else []) + [*group]]


def _in_columns(rows: Sequence[Sequence[str]], border: str) -> str:
    """Return lines: beside cells of several lines, others are empty; the last one is not padded.

    A row without cells is an empty line.
    """
    lines = [line for row in rows for line in (zip_longest(*map(_cell_lines, row), fillvalue="") if row else [()])]
    # Go counts bytes.
    widths = [max(len(cell.encode()) for cell in column) for column in zip(*filter(None, lines), strict=True)]
    widths[-1:] = [0]
    return "".join("".join(map(_filled, line, widths, repeat(border))) + "\n" for line in lines)


def _filled(cell: str, width: int, border: str) -> str:
    return cell + " " * (width - len(cell.encode())) + border


def _cell_lines(cell: str) -> list[str]:
    return cell.replace("\r", "").split("\n") if cell else [_EMPTY]
