"""Parse JSON with a bound on memory: text is refused if it would take far more memory than it has bytes.

An empty object is two bytes in a text and 64 in memory, so a limit on bytes alone bounds little.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any

from bundlepipe.limits import LARGEST_JSON_TEXT, MOST_JSON_VALUES, in_words

# Each key and each value, except the outermost, follows one of these.
_BEFORE_VALUES = "[{:,"
# A text, the beginning of a list or object, or another scalar, in a text without escapes.
_VALUE = re.compile(r'"[^"]*"?|[\[{]|[^\s",:\[\]{}]+')
# The first bytes of characters in UTF-8 that make Python keep a text in two and in four bytes a character (PEP 393).
_BEYOND_LATIN = re.compile(b"[\xc4-\xff]")
_BEYOND_BASIC = re.compile(b"[\xf0-\xff]")


class JsonFault(ValueError):
    """A text is not JSON, or is over a limit: `is not JSON`, to follow the name of the document."""


def loads(content: bytes | str) -> Any:
    """Return the data of a JSON document in UTF-8.

    Raises JsonFault for text that is not JSON, for more than MOST_JSON_VALUES values, keys
    included, and for text that takes more than LARGEST_JSON_TEXT bytes of memory.
    """
    text = checked(content)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise JsonFault("is not JSON") from None


def checked(content: bytes | str) -> str:
    """Return the decoded text of a JSON document; JsonFault if it takes more memory than the limit."""
    text = content if isinstance(content, str) else _decoded(content)
    if _has_many_values(text):
        raise JsonFault(f"has more than {MOST_JSON_VALUES} values, too many for one document")
    return text


def most_values(text: str) -> int:
    """Return how many values a JSON text has at most, keys included."""
    return sum(map(text.count, _BEFORE_VALUES)) + 1


def _decoded(content: bytes) -> str:
    if len(content) * 4 > LARGEST_JSON_TEXT and len(content) * _width(content) > LARGEST_JSON_TEXT:
        raise JsonFault(f"takes more than {in_words(LARGEST_JSON_TEXT)} of memory, the most for a document")
    try:
        # As json does, except UTF-16 and UTF-32, which exchanged JSON may not use (RFC 8259).
        return content.decode("utf-8-sig", "surrogatepass")
    except UnicodeDecodeError:
        raise JsonFault("is not JSON") from None


def _width(content: bytes) -> int:
    """Return how many bytes Python takes for each character of a text."""
    if content.isascii() or not _BEYOND_LATIN.search(content):
        return 1
    return 4 if _BEYOND_BASIC.search(content) else 2


def _has_many_values(text: str) -> bool:
    # This is cheap, and an overestimate where texts hold these characters.
    if most_values(text) <= MOST_JSON_VALUES:
        return False
    without_escapes = text.replace("\\\\", "").replace('\\"', "")
    return next(islice(_VALUE.finditer(without_escapes), MOST_JSON_VALUES, None), None) is not None
