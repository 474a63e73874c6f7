"""Parse and match `.dockerignore` patterns, for build contexts and for pushed files.

Sources: "`.dockerignore` files" of Docker's documentation, and moby's packages `ignorefile`
(how lines are read) and `patternmatcher` (what they match), which every builder of Docker uses. docker-py has a
`PatternMatcher`, too, which takes `[^a]x`, `a\\*b`, `**foo` and `[a\\-c]x` otherwise.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msgspec import Struct

from bundlepipe.errors import InputError, quoted

_BYTE_ORDER_MARK = "\ufeff"
_SPACE = " \t\n\v\f\r\x85\xa0"


class Pattern(Struct, frozen=True, dict=True):
    """A line of a `.dockerignore`: a cleaned path with wildcards; with `is_exception` it includes files again."""

    text: str
    is_exception: bool = False

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(_regex(self.text))

    def matches(self, path: str) -> bool:
        """Return whether a path relative to the context matches; paths below it follow from that."""
        return self._regex.fullmatch(path) is not None

    def may_match_below(self, directory: str) -> bool:
        """Return whether a path below a directory could match."""
        fixed = re.split(r"[*?\[\\]", self.text, maxsplit=1)[0]
        below = f"{directory}/"
        return fixed.startswith(below) or (fixed != self.text and below.startswith(fixed))


@dataclass(frozen=True)
class Verdict:
    """Whether a path is ignored, and which patterns match it or a directory above it."""

    is_excluded: bool = False
    matched: Sequence[bool] = field(default=(), repr=False)


class DockerIgnore(Struct, frozen=True):
    """The patterns of a `.dockerignore`, in order: the last match decides."""

    patterns: tuple[Pattern, ...] = ()

    @classmethod
    def parse(cls, content: bytes, path: str) -> DockerIgnore:
        """Parse a file; InputError, naming `path` and the line, for a malformed pattern."""
        text = content.decode("utf-8", "surrogateescape").removeprefix(_BYTE_ORDER_MARK)
        patterns = []
        for number, line in enumerate(text.split("\n"), 1):
            pattern = _pattern(line, f"{path}:{number}:1")
            if pattern:
                patterns.append(pattern)
        return cls(tuple(patterns))

    @classmethod
    def of(cls, patterns: Sequence[str]) -> DockerIgnore:
        """Parse patterns, each like a line of a file; InputError for a malformed one."""
        return cls(tuple(filter(None, (_pattern(text, "what to leave out") for text in patterns))))

    def leaves_out(self, path: str) -> bool:
        """Return whether a path is ignored, regardless of exceptions below it."""
        verdict, above = Verdict(), ""
        for part in path.split("/"):
            above = f"{above}/{part}" if above else part
            verdict = self.judge(above, verdict)
        return verdict.is_excluded

    def judge(self, path: str, parent: Verdict | None) -> Verdict:
        """Return the verdict on a path, given that on its directory (none, or `Verdict()`, for the context itself)."""
        parent = parent or Verdict()
        is_excluded = False
        matched = []
        for number, pattern in enumerate(self.patterns):
            matches = bool(parent.matched) and parent.matched[number]
            # As in moby, a pattern that would change nothing is skipped: below a directory its match is then
            # unknown.
            if not matches and pattern.is_exception == is_excluded:
                matches = pattern.matches(path)
            matched.append(matches)
            if matches:
                is_excluded = not pattern.is_exception
        return Verdict(is_excluded, matched)

    def may_bring_back_below(self, directory: str) -> bool:
        """Return whether an exception could match a path below an ignored directory."""
        return any(pattern.is_exception and pattern.may_match_below(directory) for pattern in self.patterns)


def _pattern(line: str, where: str) -> Pattern | None:
    if line.startswith("#"):
        return None
    text = line.strip(_SPACE)
    is_exception = text.startswith("!")
    if is_exception:
        text = text[1:].strip(_SPACE)
        if not text:
            raise InputError(f"{where}: '!' without a pattern")
    if not text:
        return None
    # Python keeps two leading slashes, Go does not.
    cleaned = re.sub("^/+", "/", posixpath.normpath(text))
    pattern = Pattern(cleaned[1:] if len(cleaned) > 1 and cleaned.startswith("/") else cleaned, is_exception)
    try:
        pattern.matches("")
    except ValueError as error:
        raise InputError(f"{where}: {quoted(line)} is not a pattern: {error}") from None
    return pattern


def _regex(pattern: str) -> str:
    """Return the regular expression of a pattern; ValueError if it is malformed."""
    # moby compares the start or the end of a path if the pattern has no wildcard besides its `**`.
    plain = not re.search(r"[*?\[\]\\]", pattern.removeprefix("**").removesuffix("**"))
    if plain and pattern.startswith("**") and not pattern.endswith("**"):
        suffix = pattern[2:]
        head = "(?:.*/)?" if suffix.startswith("/") else ".*"
        return f"(?s:{head}){re.escape(suffix.removeprefix('/'))}"
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        position, part = _part(pattern, position)
        parts.append(part)
    return "".join(parts)


def _part(pattern: str, start: int) -> tuple[int, str]:
    """Return the expression for the part at `start`, and where the next part begins."""
    if pattern.startswith("**", start):
        end = start + (3 if pattern.startswith("**/", start) else 2)
        return end, "(?s:.*)" if end == len(pattern) else "(?:(?s:.*)/)?"
    character = pattern[start]
    if character == "*":
        return start + 1, "[^/]*"
    if character == "?":
        return start + 1, "[^/]"
    if character == "[":
        return _character_class(pattern, start + 1)
    end, literal = _literal(pattern, start)
    return end, re.escape(literal)


def _literal(pattern: str, start: int) -> tuple[int, str]:
    if pattern[start] != "\\":
        return start + 1, pattern[start]
    if start + 1 == len(pattern):
        raise ValueError("nothing is behind the '\\' at its end")
    return start + 2, pattern[start + 1]


def _character_class(pattern: str, start: int) -> tuple[int, str]:
    """Return the expression for a `[class]`, as Go's `filepath.Match` defines it, and where the next part begins."""
    negation = "^" if pattern.startswith("^", start) else ""
    position = start + len(negation)
    ranges: list[str] = []
    while not ranges or not pattern.startswith("]", position):
        if position >= len(pattern):
            raise ValueError("a '[' has no ']'")
        if pattern[position] in "-]":
            raise ValueError(f"there is no character before the '{pattern[position]}' in a '[...]'")
        position, low = _literal(pattern, position)
        high = low
        if pattern.startswith("-", position):
            if pattern[position + 1 : position + 2] in ("", "-", "]"):
                raise ValueError("there is no character behind the '-' in a '[...]'")
            position, high = _literal(pattern, position + 1)
            if high < low:
                raise ValueError(f"the range '{low}-{high}' is empty: write '{high}-{low}'")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return position + 1, f"[{negation}{''.join(ranges)}]"
