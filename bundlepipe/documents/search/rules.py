"""kbld's search rules: which values are image references, and how they are replaced.

Source: kbld's configuration, `searchRules`. Key and value matchers must both match, the first rule
that matches a value decides, and the rule for keys named `image` comes last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

_REFERENCE = re.compile(r"(?P<repository>.+?)(?::[\w.-]+)?(?:@.+:.+)?", re.ASCII)


class AnyIndex(Struct, frozen=True):
    """A path element that matches every item of a list (`allIndexes: true`)."""


# A key of a mapping, an index of a list, or every index.
PathPart = str | int | AnyIndex


class KeyMatcher(Struct, frozen=True):
    """Matches values by the name of their key, anywhere, or by their whole path in the document (exactly one)."""

    name: str | None = None
    path: tuple[PathPart, ...] | None = None

    def matches(self, path: Sequence[str | int]) -> bool:
        """Return whether the value at `path` matches."""
        if self.path is None:
            return bool(path) and path[-1] == self.name and isinstance(path[-1], str)
        return len(path) == len(self.path) and all(map(_part_matches, self.path, path))


def _part_matches(part: PathPart, actual: str | int) -> bool:
    if isinstance(part, AnyIndex):
        return isinstance(actual, int)
    return type(part) is type(actual) and part == actual


class ImageMatcher(Struct, frozen=True):
    """Matches a whole reference, or its part before tag and digest; both literally (exactly one)."""

    image: str | None = None
    image_repo: str | None = None

    def matches(self, reference: str) -> bool:
        """Return whether the reference, as configuration has it, matches."""
        if self.image is not None:
            return self.image == reference
        return self.image_repo == repository_text(reference)


def repository_text(reference: str) -> str:
    """Return a reference without anything that looks like `:tag` and `@digest`."""
    found = _REFERENCE.fullmatch(reference)
    return found["repository"] if found else reference


class Within(Struct, frozen=True):
    """The value is a YAML or JSON text: only these rules, and not the default one, are used to search it."""

    format: Literal["yaml", "json"]
    rules: tuple[SearchRule, ...]


# entireValue: the value is the reference. none: it is not, but nodes below it are searched.
UpdateStrategy = Literal["entireValue", "none"] | Within


@dataclass(frozen=True)
class SearchRule:
    """What a rule matches, by key, value or both, and its strategy, if that is `said` explicitly."""

    key: KeyMatcher | None = None
    value: ImageMatcher | None = None
    strategy: UpdateStrategy = "entireValue"
    said: bool = field(default=False, compare=False)


DEFAULT_RULE = SearchRule(key=KeyMatcher(name="image"))
