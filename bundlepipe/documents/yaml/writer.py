"""Write YAML reproducibly: a document's bytes depend on its content alone.

The output becomes part of a bundle's digest, and the emitters of PyYAML differ between C and Python
and between releases. The form is that of Go's library, as imgpkg writes: keys sorted, lists not
indented, lines not wrapped, texts quoted only if YAML 1.1 or 1.2 would read them as something else,
multi-line texts as literal blocks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bundlepipe.documents.yaml.fault import shown
from bundlepipe.errors import DocumentError

# YAML 1.1's booleans and nulls, `=` and `<<`, which have a meaning there.
_WORDS = frozenset({"", "~", "=", "<<", "null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_NUMBER = re.compile(
    r"""[-+]?(?:
        0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+
      | [0-9][0-9_]*(?::[0-9]{1,2})+(?:\.[0-9_]*)?
      | (?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?
      | \.(?:inf|nan)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?")
# A YAML indicator at the start, a ':' or '#' that would act as one, or a blank at an end.
_NEEDS_QUOTES = re.compile(r"^[\s,\[\]{}#&*!|>'\"%@`]|^[-?:](?:\s|$)|^(?:---|\.\.\.)|:(?:\s|$)|\s#|\s$")
# Fixed ranges rather than str.isprintable(), which changes with Python's Unicode tables.
INVISIBLE = re.compile("[\x00-\x1f\x7f-\xa0\u2000-\u202f\u205f-\u206f\ud800-\udfff\ufeff\ufffe\uffff]")
_UNREADABLE_IN_QUOTES = re.compile(INVISIBLE.pattern + r'|["\\]')
_SHORT_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
# YAML finds the ':' after a key only within 1,024 characters, unless a '?' precedes it.
_LONGEST_SIMPLE_KEY = 1000


class Plain(str):
    """A scalar, or a key, that is written without quotes, so that readers decide its type."""

    __slots__ = ()


def write(document: Mapping[str, Any], *, marked: bool = True) -> bytes:
    """Return a document of mappings, lists, str, bool, int and None as YAML, with a leading `---` if it is `marked`.

    Raises DocumentError for a text that is not Unicode (lone surrogates).
    """
    text = ("---\n" if marked else "") + text_of(document)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        around = text[max(error.start - 20, 0) : error.end]
        raise DocumentError([f"cannot write YAML: the text around {shown(around)} is not Unicode"]) from None


def text_of(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return a mapping or list as YAML without a leading `---`, for a text within a document."""
    lines = _collection(value, "") if value else [written_scalar(value, "")]
    return "".join(f"{line}\n" for line in lines)


def _collection(value: Mapping[str, Any] | Sequence[Any], indent: str) -> Iterator[str]:
    return _mapping(value, indent) if isinstance(value, Mapping) else _list(value, indent)


def _mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key in sorted(value):
        written = key if isinstance(key, Plain) else _single_line(key)
        if len(written) > _LONGEST_SIMPLE_KEY:
            yield f"{indent}? {written}"
            written = ""
        child = value[key]
        if _is_filled_collection(child):
            yield f"{indent}{written}:"
            yield from _collection(child, indent if _is_list(child) else indent + "  ")
        else:
            yield f"{indent}{written}: {written_scalar(child, indent + '  ')}"


def _list(value: Sequence[Any], indent: str) -> Iterator[str]:
    for item in value:
        if _is_filled_collection(item):
            lines = _collection(item, indent + "  ")
            yield f"{indent}- {next(lines).removeprefix(indent + '  ')}"
            yield from lines
        else:
            yield f"{indent}- {written_scalar(item, indent + '  ')}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_filled_collection(value: Any) -> bool:
    return bool(value) and (_is_list(value) or isinstance(value, Mapping))


def written_scalar(value: Any, indent: str) -> str:
    """Return a value, or an empty collection, to follow its key; further lines are indented by `indent`."""
    if isinstance(value, Plain):
        return str(value)
    if isinstance(value, str):
        return _literal(value, indent) if _is_literal(value) else _single_line(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if _is_list(value) else str(value)


def _is_literal(text: str) -> bool:
    """Return whether a text has several lines and needs no escapes; blanks at line ends should stay visible."""
    lines = text.split("\n")
    return (
        len(lines) > 1
        and not text.startswith((" ", "\n"))
        and not any(line.endswith(" ") or INVISIBLE.search(line) for line in lines)
    )


def _literal(text: str, indent: str) -> str:
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    chomping = ("-", "", "+")[min(ends, 2)]
    lines = [f"{indent}{line}" if line else "" for line in body.split("\n")]
    return "\n".join([f"|{chomping}", *lines, *[""] * (ends - 1)])


def _single_line(text: str) -> str:
    if INVISIBLE.search(text):
        return f'"{_UNREADABLE_IN_QUOTES.sub(_escape, text)}"'
    if reads_as_something_else(text):
        return f'"{text}"'
    if _NEEDS_QUOTES.search(text):
        doubled = text.replace("'", "''")
        return f"'{doubled}'"
    return text


def reads_as_something_else(text: str) -> bool:
    """Return whether YAML 1.1 or 1.2 would read a text without quotes as something else."""
    return text.lower() in _WORDS or bool(_NUMBER.fullmatch(text) or _TIMESTAMP.fullmatch(text))


def in_double_quotes(text: str) -> str:
    """Return a text as it appears between double quotes, in YAML and JSON."""
    return _UNREADABLE_IN_QUOTES.sub(lambda match: json.dumps(match[0])[1:-1], text)


def double_quoted(text: str) -> str:
    """Return a text in double quotes, on one line, in YAML and JSON."""
    return f'"{in_double_quotes(text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if 0xD800 <= code <= 0xDFFF:
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
