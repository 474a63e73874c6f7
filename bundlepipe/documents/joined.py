"""Several YAML texts as one, each as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STARTS_DOCUMENT = re.compile(rb"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))*---(?:[ \t\r\n]|$)")
_STARTS_WITH_DIRECTIVE = re.compile(rb"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))*%")
_ENDS_DOCUMENT = re.compile(rb"(?:^|[\r\n])\.\.\.[ \t]*(?:#[^\r\n]*)?[\r\n]*\Z")


def joined(texts: Iterable[bytes]) -> bytes:
    """Return the documents of some YAML texts in one, with a `---` wherever one is needed between two.

    Nothing else is added but the end of a last line that lacks it; only the byte order mark
    of the first text stays, as YAML readers take none later.
    """
    parts: list[bytes] = []
    for text in filter(bytes.strip, texts):
        if not parts:
            parts.append(text)
            continue
        follower = text.removeprefix(_BYTE_ORDER_MARK)
        parts += [_between(parts[-1], follower), follower]
    return b"".join(parts)


def _between(text: bytes, follower: bytes) -> bytes:
    line_end = b"" if text.endswith((b"\n", b"\r")) else b"\n"
    if _STARTS_WITH_DIRECTIVE.match(follower):
        return line_end + (b"" if _ENDS_DOCUMENT.search(text) else b"...\n")
    return line_end + (b"" if _STARTS_DOCUMENT.match(follower) else b"---\n")
