"""Parse values of options as Go does, with the errors of Go's libraries.

Errors have the texts of strconv, time and pflag, which scripts may look for.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from typing import TypeVar

import click

from bundlepipe.errors import quoted

_Value = TypeVar("_Value")
_SECOND = 10**9
# In nanoseconds, as Go counts time.
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_DURATION_PART = re.compile(r"(?=\.?[0-9])(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>[^0-9.]*)", re.ASCII)
_LARGEST_INT = 1 << 63
# Values in range are shorter; Python refuses to convert thousands of digits.
_MOST_DIGITS = 200
# As strconv reads numbers whose prefix gives the base; 0 and a digit is base 8.
_INT_TEXT = re.compile(
    r"[+-]?(?:0|[1-9](?:_?[0-9])*|0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])+)", re.ASCII
)
# Seconds: sockets take no timeout of centuries.
_LONGEST = 1e9


class GoType(click.ParamType[_Value]):
    """A type of values that pflag checks while parsing."""

    @abstractmethod
    def fault(self, text: str) -> str | None:
        """Return the fault of a value, in Go's words; None if it is valid."""


def quoted_as_go(text: str) -> str:
    """Return a text as Go's `%q` prints it."""
    return json.dumps(text, ensure_ascii=False)


def truth_fault(text: str) -> str | None:
    """Return the fault of a boolean; None if it is valid."""
    from bundlepipe.stores.keychains.flags import GO_TRUTHS

    return None if text in GO_TRUTHS else f"strconv.ParseBool: parsing {quoted_as_go(text)}: invalid syntax"


def int_fault(text: str) -> str | None:
    """Return the fault of a number; None if it is valid."""
    if not _INT_TEXT.fullmatch(text):
        return f"strconv.ParseInt: parsing {quoted_as_go(text)}: invalid syntax"
    if len(text.lstrip("+-0_")) > _MOST_DIGITS or not -_LARGEST_INT <= go_int(text) < _LARGEST_INT:
        return f"strconv.ParseInt: parsing {quoted_as_go(text)}: value out of range"
    return None


def go_int(text: str) -> int:
    """Return the number in a valid text: Go's literals of base 2, 8, 10 and 16."""
    return int(re.sub(r"^([+-]?)0(?=_?[0-7])", r"\g<1>0o", text), 0)


class Duration(GoType[float]):
    """A duration in Go's notation (`30s`, `1m30s`), in seconds; negative ones count as 0."""

    name = "duration"

    def convert(self, value: object, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Return the seconds; a usage error for an invalid text."""
        text = str(value)
        if self.fault(text):
            self.fail(f"'{text}' is not a length of time: expected one such as 30s or 1m30s", parameter, context)
        return 0.0 if text.startswith("-") else min(_nanoseconds(text) / _SECOND, _LONGEST)

    def fault(self, text: str) -> str | None:
        """Return the fault of a duration; None if it is valid."""
        rest = re.sub(r"^[+-]", "", text)
        if rest == "0":
            return None
        invalid = f"time: invalid duration {quoted_as_go(text)}"
        if not rest:
            return invalid
        while rest:
            part = _DURATION_PART.match(rest)
            if not part:
                return invalid
            if not part["unit"]:
                return f"time: missing unit in duration {quoted_as_go(text)}"
            if part["unit"] not in _UNITS:
                return f"time: unknown unit {quoted_as_go(part['unit'])} in duration {quoted_as_go(text)}"
            rest = rest[part.end() :]
        return None if _nanoseconds(text) < _LARGEST_INT else invalid


def _nanoseconds(text: str) -> int:
    """Return the nanoseconds of a duration without sign, all of whose parts have units; fractions are dropped."""
    total = 0
    for part in _DURATION_PART.finditer(text):
        if part["unit"]:
            whole, fraction = (part["whole"] or "").lstrip("0"), (part["fraction"] or "")[:_MOST_DIGITS]
            unit = _UNITS[part["unit"]]
            total += _LARGEST_INT if len(whole) > _MOST_DIGITS else int(whole or 0) * unit
            total += int(fraction or 0) * unit // 10 ** len(fraction)
    return total


class Labels(GoType[str]):
    """`KEY=VALUE`, or several separated by commas, as in pflag's StringToString."""

    name = "labels"

    def fault(self, text: str) -> str | None:
        """Return the fault of labels; None if they are valid."""
        fault = next((pair for pair in label_texts(text) if "=" not in pair), None)
        return None if fault is None else f"{fault} must be formatted as key=value"


def label_texts(text: str) -> list[str]:
    """Return the labels in a text, each `KEY=VALUE`; if it has at most one `=`, the value may contain commas."""
    return [text.strip('"')] if text.count("=") <= 1 else csv_fields(text)


def csv_fields(text: str) -> list[str]:
    """Return the fields of a CSV line, the format of pflag's lists; UsageError for a line break in it."""
    import csv

    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        # A line break outside of quotes.
        raise click.UsageError(f"{quoted(text)} is more than a line: expected values divided by commas") from None
