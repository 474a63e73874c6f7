"""kbld's search rules: which values in configuration are image references, and how they are replaced.

Source: kbld's configuration, `searchRules`. Key and value matchers are and-ed, the first
rule that matches a value decides about it, and the rule for keys named `image` comes last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

_REFERENCE = re.compile(r"(?P<repository>.+?)(?::[\w.-]+)?(?:@.+:.+)?", re.ASCII)


@dataclass(frozen=True)
class AnyIndex:
    """A part of a path that matches every item of a list (`allIndexes: true`)."""


# A key of a mapping, an index of a list, or every index.
PathPart = str | int | AnyIndex


@dataclass(frozen=True)
class KeyMatcher:
    """Matches values by their key's name, wherever it is, or by their whole path in the document (exactly one)."""

    name: str | None = None
    path: tuple[PathPart, ...] | None = None

    def matches(self, path: Sequence[str | int]) -> bool:
        """Tell whether the value that the keys and indexes of `path` lead to is meant."""
        if self.path is None:
            return bool(path) and path[-1] == self.name and isinstance(path[-1], str)
        return len(path) == len(self.path) and all(map(_part_matches, self.path, path))


def _part_matches(part: PathPart, actual: str | int) -> bool:
    if isinstance(part, AnyIndex):
        return isinstance(actual, int)
    return type(part) is type(actual) and part == actual


@dataclass(frozen=True)
class ImageMatcher:
    """Matches a reference as a whole, or by what stands before its tag and digest; both literally (exactly one)."""

    image: str | None = None
    image_repo: str | None = None

    def matches(self, reference: str) -> bool:
        """Tell whether the reference, as it stands in the configuration, is meant."""
        if self.image is not None:
            return self.image == reference
        return self.image_repo == repository_text(reference)


def repository_text(reference: str) -> str:
    """Return a reference as it stands in configuration, less `:tag` and `@digest`, as far as it has what looks so."""
    found = _REFERENCE.fullmatch(reference)
    return found["repository"] if found else reference


@dataclass(frozen=True)
class Within:
    """The value is a YAML or JSON text: only these rules, and not the default one, find references in it."""

    format: Literal["yaml", "json"]
    rules: tuple[SearchRule, ...]


# entireValue: the value is the reference. none: it is none, but what lies below it is searched.
UpdateStrategy = Literal["entireValue", "none"] | Within


@dataclass(frozen=True)
class SearchRule:
    """What a rule matches, by key, value or both, and what then holds of the value, if that is `said` or not."""

    key: KeyMatcher | None = None
    value: ImageMatcher | None = None
    strategy: UpdateStrategy = "entireValue"
    said: bool = field(default=False, compare=False)


DEFAULT_RULE = SearchRule(key=KeyMatcher(name="image"))
