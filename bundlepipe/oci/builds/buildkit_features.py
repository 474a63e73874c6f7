"""Find what in a Dockerfile needs BuildKit, before the Docker Engine's classic builder gets it.

The Engine's own errors do not replace this: they come after the context was sent, or not at
all. An Engine 20.10 refuses most of it, but takes `# syntax=` and leaves `ARG TARGETARCH`
empty. Newer ones also parse here-documents and flags such as `COPY --parents`, and build
without them.

Sources: Docker's "Dockerfile reference"; an Engine 20.10; moby's `daemon/builder/dockerfile/dispatchers.go`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from itertools import takewhile
from typing import NamedTuple

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S*)")
_OWN_SYNTAX = re.compile(r"(?:docker\.io/)?docker/dockerfile(?:[:@]|$)")
_FLAG = re.compile(r"--([a-z-]+)")
_HERE_DOCUMENT = re.compile(r"\d*<<-?([\"']?)[A-Za-z_]\w*\1")
_FLAGS = {
    "RUN": ("mount", "network", "security", "device"),
    "COPY": ("link", "chmod", "parents", "exclude"),
    "ADD": ("link", "chmod", "checksum", "keep-git-dir", "exclude", "unpack"),
}
_PLATFORM_ARGS = frozenset(
    f"{which}{what}" for which in ("BUILD", "TARGET") for what in ("PLATFORM", "OS", "ARCH", "VARIANT")
)


class BuildKitFeature(NamedTuple):
    """A feature that needs BuildKit: its line, from 1, and its name in messages."""

    line: int
    name: str


def find_buildkit_feature(dockerfile: str, args: Container[str]) -> BuildKitFeature | None:
    """Return the first feature in a Dockerfile that needs BuildKit; `args` are the build arguments given.

    A `# syntax=` that names Docker's own syntax does not count: the classic builder ignores it.
    """
    lines = dockerfile.removeprefix("\ufeff").splitlines()
    directives = dict(_directives(lines))
    line, syntax = directives.get("syntax", (0, ""))
    if syntax and not _OWN_SYNTAX.match(syntax):
        return BuildKitFeature(line, f"'# syntax={syntax}'")
    escape = directives.get("escape", (0, "\\"))[1]
    for line, instruction, words in _instructions(lines, escape):
        name = _feature(instruction, words, args)
        if name:
            return BuildKitFeature(line, name)
    return None


def _directives(lines: list[str]) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yield the parser directives, which come before everything else, with their line and value."""
    for number, line in enumerate(lines, 1):
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match:
            return
        yield match[1].lower(), (number, match[2])


def _instructions(lines: list[str], escape: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield each instruction with its first line, its name in capitals, and its words."""
    start, text = 0, ""
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        start = start or number
        if stripped.endswith(escape) and number < len(lines):
            text += stripped[: -len(escape)] + " "
            continue
        instruction, *words = (text + stripped).split()
        yield start, instruction.upper(), words
        start, text = 0, ""


def _feature(instruction: str, words: list[str], args: Container[str]) -> str | None:
    if instruction == "ARG":
        unset = [word for word in words if word in _PLATFORM_ARGS and word not in args]
        return f"ARG {unset[0]}, whose value BuildKit knows," if unset else None
    if instruction == "FROM":
        used = [arg for arg in _PLATFORM_ARGS if re.search(rf"\$(?:{arg}\b|{{{arg}\b)", " ".join(words))]
        return f"${used[0]} in FROM" if used and used[0] not in args else None
    flags = [match[1] for match in takewhile(bool, map(_FLAG.match, words)) if match]
    needing = [flag for flag in flags if flag in _FLAGS.get(instruction, ())]
    if needing:
        return f"{instruction} --{needing[0]}"
    if instruction in _FLAGS and any(map(_HERE_DOCUMENT.fullmatch, words)):
        return f"the here-document of {instruction}"
    return None
