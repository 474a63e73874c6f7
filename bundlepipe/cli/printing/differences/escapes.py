"""Names and contents of files from elsewhere, in a form that no terminal or page carries out."""

from __future__ import annotations

import os

_SHORT = {
    "\a": "\\a",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}


def quoted_path(path: str) -> str:
    """Return a path as git prints it: in quotes with C's escapes if it has unusual characters.

    Printable characters beyond ASCII stay, as with git's `core.quotePath=false`.
    """
    shown = "".join(map(_in_c, path))
    return path if shown == path else f'"{shown}"'


def _in_c(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


def visible(line: str) -> str:
    """Return a line with every unprintable character but tabs as an escape such as `\\x1b`."""
    if line.isprintable():
        return line
    return "".join(c if c == "\t" or c.isprintable() else _escape(c) for c in line)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
