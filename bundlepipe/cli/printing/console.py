"""The console of a command: what it prints where, by the rules of imgpkg and kbld (cppforlife/go-cli-ui, as observed).

On a terminal, or with `--tty`, commands narrate; otherwise they print only documents and rows, and
with `--json` all their output as one JSON document at the end.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from itertools import zip_longest
from typing import Literal, TextIO

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.cli.printing import go_table
from bundlepipe.errors import BundlepipeError

_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"
_INDENT = "  "
# Characters that Go's encoding/json escapes in texts.
_GO_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


_Rows = Sequence[Sequence[str]]
_Form = tuple[Callable[[Sequence[str], _Rows], str], Callable[[_Rows], str]]


class Table(Struct, frozen=True):
    """Rows of texts. `content` names them in the plural, `header` has titles by the keys of `--column`.

    `hidden` are keys of columns that are printed only on request. With `is_transposed` imgpkg and kbld print a
    line for each cell.
    """

    title: str
    content: str
    header: dict[str, str]
    rows: Sequence[Sequence[str]]
    hidden: Collection[str] = ()
    is_transposed: bool = False

    def only(self, columns: Sequence[str]) -> Table:
        """Return the table with only these columns, by key or title; BundlepipeError for an unknown one."""
        keys = list(self.header)
        titles = {title.lower(): key for key, title in self.header.items()}
        chosen = [titles.get(column.lower(), column) for column in columns]
        for column, key in zip(columns, chosen, strict=True):
            if key not in keys:
                raise BundlepipeError(f"--column {column}: there is no such column: expected {' or '.join(keys)}")
        return self._with(chosen)

    def visible(self) -> Table:
        """Return the table without hidden columns."""
        return self._with([key for key in self.header if key not in self.hidden])

    def _with(self, chosen: Sequence[str]) -> Table:
        keys = list(self.header)
        order = [keys.index(key) for key in chosen]
        header = {key: self.header[key] for key in chosen}
        return replace(self, header=header, rows=[[row[index] for index in order] for row in self.rows], hidden=())


class Console:
    """Prints for one command.

    stands_in: the output is exactly that of imgpkg or kbld.
    narrates: progress is narrated (a terminal or `--tty`).
    as_json: output is kept and written as one JSON document by `succeed` or `fail`.
    color: results may be coloured, on a terminal if `NO_COLOR` is not set. `write` writes texts to
    a stream; a progress display replaces it.
    """

    def __init__(
        self,
        *,
        stands_in: bool = False,
        tty: bool = False,
        as_json: bool = False,
        color: bool = True,
        columns: Sequence[str] = (),
    ) -> None:
        self._stands_in = stands_in
        self.as_json = as_json
        self.narrates = as_json or tty or sys.stdout.isatty()
        self._columns = columns
        self._color = color and not os.environ.get("NO_COLOR")
        self._lines: list[str] = []
        self._blocks: list[str] = []
        self._tables: list[Table] = []
        self._document: object = None
        # Consecutive lines and blocks are adjacent; a blank line is before and after everything
        # else.
        self._printed: Literal["nothing", "text", "other"] = "nothing"
        self.write: Callable[[str, TextIO], None] = _write_at_once

    @property
    def is_colored(self) -> bool:
        """Whether results are coloured: on a terminal, unless an option or `NO_COLOR` says otherwise."""
        return self._color and sys.stdout.isatty()

    def line(self, text: str, *, ends: bool = True) -> None:
        """Narrate a line; the last one before `Succeeded` may omit its line end, as in imgpkg."""
        if self.as_json:
            self._lines.append(f"{text}\n" if ends and self._stands_in else text)
        elif self.narrates:
            self._write(text + ("\n" if ends else ""))

    def block(self, text: str) -> None:
        """Print a result unchanged, terminal or not."""
        if self.as_json:
            self._blocks.append(text)
        else:
            self._write(text)

    def blocks(self, texts: Sequence[str]) -> None:
        """Print the parts of a result at once: a reader that stops after the first does not cause an error."""
        if self.as_json:
            self._blocks += texts
        else:
            self._write("".join(texts))

    def table(self, table: Table) -> None:
        """Print a table: for users with title, header and count, otherwise as rows with cells separated by tabs."""
        table = self._with_columns(table)
        if self.as_json:
            self._tables.append(table)
        elif self.narrates:
            header = list(table.header.values())
            body = self._form(table.is_transposed)[0](header, table.rows)
            self._write(f"{table.title}\n\n{body}\n{len(table.rows)} {table.content}\n", "other")
        else:
            self._write(self._form(table.is_transposed)[1](table.rows), "other")

    def _form(self, is_transposed: bool) -> _Form:
        """Return the function that renders a table: for users, or for scripts."""
        if not self._stands_in:
            return _for_people, _for_scripts
        if is_transposed:
            return go_table.transposed_for_people, go_table.transposed_for_scripts
        return go_table.for_people, go_table.for_scripts

    def _with_columns(self, table: Table) -> Table:
        """Return the table with the requested columns; under another tool's name in the table's own order."""
        if not self._columns or not self._stands_in:
            return table.visible().only(self._columns) if self._columns else table.visible()
        asked = ["_".join(re.sub(r"[\W_]", " ", column.lower()).split()) for column in self._columns]
        unknown = [column for column in asked if column not in table.header]
        return table.only(unknown or [key for key in table.header if key in asked])

    def document(self, document: object) -> None:
        """Set the JSON document for `--json`, which replaces tables, blocks and lines."""
        self._document = document

    def note(self, text: str) -> None:
        """Print a note on stderr, in whole lines."""
        self.write(f"{text}\n", sys.stderr)

    def succeed(self, *, says_so: bool = True) -> None:
        """End the output, for people with a line that `says_so`."""
        if self.as_json:
            self._lines.append("Succeeded")
            self._write_json()
        elif self.narrates and says_so:
            self._write(self._painted("Succeeded", _GREEN, sys.stdout.isatty()) + "\n", "other")
        sys.stdout.flush()

    def fail(self, message: str) -> None:
        """Report a failure: on stderr, and with `--json` in the document as well."""
        try:
            if self.as_json:
                self._lines.append(message)
                self._write_json()
            elif self._stands_in:
                self._write("", "other")
            sys.stdout.flush()
        except OSError:
            # Writing the rest may be what failed. It stays in the buffer, and would fail again.
            discard_output()
        head, colon, rest = message.partition(": ")
        _write_at_once(f"{self._painted(head, _RED, sys.stderr.isatty())}{colon}{rest}\n", sys.stderr)

    def _painted(self, text: str, color: str, is_terminal: bool) -> str:
        return f"{color}{text}{_PLAIN}" if self._color and is_terminal else text

    def _write(self, text: str, what: Literal["text", "other"] = "text") -> None:
        is_apart = self._printed == "other" or (self._printed == "text" and what == "other")
        self._printed = what
        self.write("\n" + text if is_apart else text, sys.stdout)

    def _write_json(self) -> None:
        text = json.dumps(self._json_document(), indent=4, ensure_ascii=False)
        text = text.translate(_GO_ESCAPES) if self._stands_in else text + "\n"
        # JSON is UTF-8, and a file name may have other bytes; Go replaces them in the same way.
        sys.stdout.write(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))

    def _json_document(self) -> object:
        if self._document is not None:
            return self._document
        tables = [
            {
                "Content": table.content,
                "Header": self._in_order(table.header),
                "Rows": [self._in_order(dict(zip(table.header, row, strict=True))) for row in table.rows],
                "Notes": None,
            }
            for table in self._tables
        ]
        return {"Tables": tables or None, "Blocks": self._blocks or None, "Lines": self._lines}

    def _in_order(self, cells: dict[str, str]) -> dict[str, str]:
        return dict(sorted(cells.items())) if self._stands_in else cells


def discard_output() -> None:
    """Discard further output, and what is not written yet."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _for_people(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = _lines([header, *rows])
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "".join(
        _INDENT.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _for_scripts(rows: Sequence[Sequence[str]]) -> str:
    # A single column also ends with a tab: scripts cut the first field.
    lines = ([*line, ""] if len(line) == 1 else line for line in _lines(rows))
    return "".join("\t".join(line) + "\n" for line in lines)


def _lines(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return rows as lines: beside cells of several lines, the others are filled with empty cells."""
    return [list(line) for row in rows for line in zip_longest(*(cell.split("\n") for cell in row), fillvalue="")]


def _write_at_once(text: str, stream: TextIO) -> None:
    sys.stdout.flush()
    stream.write(text)
    stream.flush()
