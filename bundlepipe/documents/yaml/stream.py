"""Join several YAML texts into one, each unchanged."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator

_MARKER = re.compile(rb"---(?:[ \t\r\n]|\Z)")
_END_MARKER = re.compile(rb"\.\.\.[ \t]*(?:#|\Z)")


def joined(texts: Iterable[bytes]) -> bytes:
    """Join the documents of some YAML texts, separated so that each keeps its meaning.

    Nothing else is added except a missing line end; only the byte order mark of the first text
    stays, as YAML readers accept none later.
    """
    parts: list[bytes] = []
    for text in texts:
        if not text.removeprefix(BOM_UTF8).strip():
            continue
        if not parts:
            parts.append(text)
            continue
        follower = text.removeprefix(BOM_UTF8)
        parts += [_between(parts[-1], follower), follower]
    return b"".join(parts)


def _between(text: bytes, follower: bytes) -> bytes:
    line_end = b"" if text.endswith((b"\n", b"\r")) else b"\n"
    first = next(_content_lines(follower), None)
    if first is None or _MARKER.match(follower):
        return line_end
    if not _MARKER.match(first) and not first.startswith(b"%"):
        return line_end + b"---\n"
    # Content before the follower's `---` would belong to a text that ends in a block scalar.
    ended = not _has_content(text) or _END_MARKER.match(_last_line(text))
    return line_end + (b"" if ended else b"...\n")


def _has_content(text: bytes) -> bool:
    return next(_content_lines(text.removeprefix(BOM_UTF8)), None) is not None


def _content_lines(text: bytes) -> Iterator[bytes]:
    """Yield the lines that contain more than a comment."""
    return (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(b"#"))


def _last_line(text: bytes) -> bytes:
    """Return the last line that contains more than a comment."""
    return next(line for line in reversed(text.splitlines()) if line.strip() and not line.lstrip().startswith(b"#"))
