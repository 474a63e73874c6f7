"""Resolve scalars by YAML 1.2's core schema (section 10.3).

YAML 1.1, which PyYAML and Go's older libraries follow, reads `no`, `1:30`, `010` and `2020-01-01`
as other values than they seem; here they are a text, a text, ten and a text.
"""

from __future__ import annotations

import math
import re

_PREFIX = "tag:yaml.org,2002:"
STRING = _PREFIX + "str"
NULL = _PREFIX + "null"
BOOLEAN = _PREFIX + "bool"
INTEGER = _PREFIX + "int"
FLOAT = _PREFIX + "float"
MAPPING = _PREFIX + "map"
SEQUENCE = _PREFIX + "seq"
MERGE = _PREFIX + "merge"
TIMESTAMP = _PREFIX + "timestamp"

Scalar = str | int | float | bool | None

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INTEGER_OF_GO = re.compile(r"[-+]?(?:[0-9]+|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)")
_NOT_FINITE = re.compile(r"(?P<infinity>[-+]?\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)")
_NUMBER_STARTS = frozenset("+-.0123456789")
# Python refuses to convert some thousand digits; no real document has even this many.
_MOST_DIGITS = 1000

# strconv's shortest form uses an exponent from here on.
_EXPONENT_FROM = 6
_INT64_MINIMUM, _UINT64_MAXIMUM = -(2**63), 2**64 - 1


def plain_tag(text: str) -> str:
    """Return the tag of an unquoted scalar without an explicit tag."""
    if text in _NULLS:
        return NULL
    if text in _BOOLEANS:
        return BOOLEAN
    if text[0] in _NUMBER_STARTS:
        if _INTEGER.fullmatch(text):
            return INTEGER
        if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            return FLOAT
    return MERGE if text == "<<" else STRING


def is_number_of_go(text: str) -> bool:
    """Return whether Go's YAML libraries read an unquoted text as a number, as in YAML 1.1: `1_000`, `0b1`, `0X1F`.

    Base 60 numbers and infinities do not count.
    """
    plain = text.replace("_", "")
    if not text or text[0] not in _NUMBER_STARTS:
        return False
    return bool(_INTEGER_OF_GO.fullmatch(plain) or _FLOAT.fullmatch(plain))


def value(tag: str, text: str) -> Scalar:
    """Return the value of a scalar with this tag; ValueError, saying what was expected, if it is invalid.

    With an application's own tag the text is unchanged, as in Go's libraries.
    """
    if tag == NULL:
        if text not in _NULLS:
            raise ValueError("expected null or nothing after '!!null'")
        return None
    if tag == BOOLEAN:
        return _boolean(text)
    if tag == INTEGER:
        return _integer(text)
    if tag == FLOAT:
        return _float(text)
    if tag in (STRING, MERGE, TIMESTAMP) or not is_core(tag):
        return text
    raise ValueError(f"the tag '!!{tag.removeprefix(_PREFIX)}' is not supported, expected a plain value")


def is_core(tag: str) -> bool:
    """Return whether a tag is one of YAML's own (`!!map`), not an application's."""
    return tag.startswith(_PREFIX)


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError("expected true or false after '!!bool'")
    return _BOOLEANS[text]


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("expected a whole number after '!!int'")
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits, expected at most {_MOST_DIGITS}")
    if text.startswith("0o"):
        return int(text[2:], 8)
    return int(text[2:], 16) if text.startswith("0x") else int(text)


def _float(text: str) -> float:
    special = _NOT_FINITE.fullmatch(text)
    if special:
        return float(text.replace(".", "", 1)) if special["infinity"] else math.nan
    if not _FLOAT.fullmatch(text):
        raise ValueError("expected a number after '!!float'")
    return float(text)


def as_text(scalar: Scalar) -> str:
    """Return the text that Go's YAML libraries make of a scalar where they need a string.

    It is `strconv`'s shortest form: `1.0` is "1", and from a million on a fractional number is
    written with an exponent. Null is the empty string.
    """
    if isinstance(scalar, str):
        return scalar
    if scalar is None:
        return ""
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    if isinstance(scalar, int) and _INT64_MINIMUM <= scalar <= _UINT64_MAXIMUM:
        return str(scalar)
    return _float_as_text(scalar)


def _float_as_text(number: int | float) -> str:
    """Format as Go's `strconv.FormatFloat(number, 'g', -1, 64)`."""
    from decimal import Decimal  # rarely needed, and five milliseconds to import

    try:
        converted = float(number)
    except OverflowError:
        converted = math.inf if number > 0 else -math.inf
    if math.isnan(converted):
        return "NaN"
    if math.isinf(converted):
        return "+Inf" if converted > 0 else "-Inf"
    shortest = Decimal(repr(converted)).normalize()
    exponent = shortest.adjusted()
    if -4 <= exponent < _EXPONENT_FROM:
        return f"{shortest:f}"
    digits = "".join(map(str, shortest.as_tuple().digits))
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{'-' if converted < 0 else ''}{digits[0]}{fraction}e{exponent:+03d}"
