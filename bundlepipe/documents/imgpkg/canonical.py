"""Parse an ImagesLock or ImageLocations in the form that imgpkg, kbld and bundlepipe write, without a YAML parser.

Nearly every lock has this form and nearly every command reads one, while a YAML parser and JSON Schema take 80 ms
to import. For a document in another form, or with possible faults, the result is None: then the strict reader is
used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bundlepipe.documents.yaml.core_schema import STRING, plain_tag
from bundlepipe.limits import MOST_YAML_VALUES

API_VERSION = "imgpkg.carvel.dev/v1alpha1"

_DOCUMENT = re.compile(
    rf"(?:---\n)?apiVersion: {re.escape(API_VERSION)}\n"
    r"(?:images:(?: (?:\[\]|null)\n|\n(?P<entries>(?:[- ] .*\n)+)))?"
    r"kind: (?P<kind>\w+)\n"
)
# No white space, and no ':' at the end: nothing with a meaning in YAML.
_PLAIN = r"[A-Za-z0-9](?:[A-Za-z0-9._/@:+-]*[A-Za-z0-9._/@+-])?"
_ENTRIES = {
    "ImagesLock": re.compile(rf"- (?:annotations:\n(?P<annotations>(?:    .*\n)+)  )?image: (?P<image>{_PLAIN})\n"),
    "ImageLocations": re.compile(rf"- image: (?P<image>{_PLAIN})\n  isBundle: (?P<is_bundle>true|false)\n"),
}
# A multi-line text, such as kbld's origins, starts below its key.
_ANNOTATION = re.compile(
    r"    (?P<key>[a-z][a-z0-9-]*\.[a-z0-9./-]*[a-z0-9]): "
    rf"(?:(?P<plain>{_PLAIN})\n|\|\n(?P<lines> {{6}}[!-~][ -~]*\n(?: {{6}}(?! *\n)[ -~]*\n)*))"
)
_INDENT = re.compile(r"^ {6}", re.MULTILINE)
# A key, its value, and the mapping that they start.
_MOST_VALUES_A_LINE = 3


def canonical_data(content: bytes, kind: str) -> dict[str, Any] | None:
    """Return the data of a document of `kind`, ImagesLock or ImageLocations; None unless its form is canonical.

    The value of `image` may still be an invalid reference.
    """
    if content.count(b"\n") * _MOST_VALUES_A_LINE > MOST_YAML_VALUES or not content.isascii():
        return None
    document = _DOCUMENT.fullmatch(content.decode())
    if document is None or document["kind"] != kind:
        return None
    try:
        images = list(_entries(document["entries"] or "", kind))
    except ValueError:
        return None
    return {"apiVersion": API_VERSION, "images": images, "kind": kind}


def _entries(text: str, kind: str) -> Iterator[dict[str, Any]]:
    for match in _consecutive(_ENTRIES[kind], text):
        found = match.groupdict()
        entry: dict[str, Any] = {"image": _text(found["image"])}
        if found.get("annotations"):
            entry["annotations"] = _annotations(found["annotations"])
        if "is_bundle" in found:
            entry["isBundle"] = found["is_bundle"] == "true"
        yield entry


def _annotations(text: str) -> dict[str, str]:
    matches = list(_consecutive(_ANNOTATION, text))
    annotations = {
        match["key"]: _text(match["plain"]) if match["plain"] else _INDENT.sub("", match["lines"]) for match in matches
    }
    if len(annotations) < len(matches):
        raise ValueError("a key twice")
    return annotations


def _consecutive(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield matches that fill a text without gaps; ValueError at the first gap."""
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            raise ValueError(f"another form at {position}")
        yield match
        position = match.end()


def _text(plain: str) -> str:
    """Return an unquoted scalar; ValueError if it is not a string, such as `1.0` and `true`."""
    if plain_tag(plain) != STRING:
        raise ValueError("not a string")
    return plain
