"""kbld's configuration as a model: search rules, overrides, sources and destinations.

Source: kbld's configuration (`kbld.k14s.io/v1alpha1`), as kbld 0.45 reads it. Unknown keys are
ignored, and null counts as absent. The kinds before `Config` have the same keys. An ImagesLock is
configuration too: an override for each of its images.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from bundlepipe.documents.kbld.builders import Builder
from bundlepipe.documents.kbld.rule_documents import written_rule
from bundlepipe.documents.kbld.tag_selection import TagSelection
from bundlepipe.documents.search.annotations import Origin
from bundlepipe.documents.search.kinds import KBLD_API_VERSION
from bundlepipe.documents.search.rules import ImageMatcher, SearchRule
from bundlepipe.documents.yaml.writer import write
from bundlepipe.errors import BundlepipeError
from bundlepipe.oci.manifest import PlatformSelection

# The version with this format.
KBLD_VERSION = "0.45.0"


class Override(Struct, frozen=True):
    """What replaces a reference before it is resolved.

    Without `new_image` the reference stays, and only its tag or platform is selected. A preresolved
    `new_image` is the result, verbatim. `where` is `path:line:column`. `fault` is an error that
    kbld reports when it uses the override.
    """

    matcher: ImageMatcher
    new_image: str | None
    preresolved: bool = False
    tag_selection: TagSelection | None = None
    platform_selection: PlatformSelection | None = None
    origins: tuple[Origin, ...] = ()
    where: str = ""
    fault: BundlepipeError | None = None


class ImageSource(Struct, frozen=True):
    """An image to build from the directory `path`, relative to where kbld is run."""

    matcher: ImageMatcher
    path: str
    builder: Builder
    where: str = ""


class ImageDestination(Struct, frozen=True):
    """Where a built image is pushed: a repository, and the tags it gets there."""

    matcher: ImageMatcher
    new_image: str
    tags: tuple[str, ...] = ()
    where: str = ""


class KbldConfig(Struct, frozen=True):
    """Rules in order: the first that matches decides."""

    search_rules: tuple[SearchRule, ...] = ()
    overrides: tuple[Override, ...] = ()
    sources: tuple[ImageSource, ...] = ()
    destinations: tuple[ImageDestination, ...] = ()

    def __add__(self, other: KbldConfig) -> KbldConfig:
        """Return the rules of both, these first."""
        return KbldConfig(
            self.search_rules + other.search_rules,
            self.overrides + other.overrides,
            self.sources + other.sources,
            self.destinations + other.destinations,
        )


class _Matching(Protocol):
    @property
    def matcher(self) -> ImageMatcher: ...


_Rule = TypeVar("_Rule", bound=_Matching)


def first_match(rules: Iterable[_Rule], reference: str) -> _Rule | None:
    """Return the first of some overrides, sources or destinations that matches a reference; None if there is none."""
    return next((rule for rule in rules if rule.matcher.matches(reference)), None)


def config_to_bytes(locked: Iterable[tuple[str, str]], search_rules: Iterable[SearchRule] = ()) -> bytes:
    """Return kbld's `--lock-output`: a Config that resolves the same references again without a network.

    `locked` maps references, as configuration has them, to what they were resolved to. `search_rules` are
    those that found them, except the default rule; each is written once.
    """
    return overrides_to_bytes(
        ((ImageMatcher(reference), resolved) for reference, resolved in sorted(locked)), search_rules
    )


def overrides_to_bytes(overrides: Iterable[tuple[ImageMatcher, str]], search_rules: Iterable[SearchRule] = ()) -> bytes:
    """Return a Config with overrides, in order: what each matches and its replacement.

    Each override, and each rule, is written once.
    """
    document: dict[str, Any] = {
        "apiVersion": KBLD_API_VERSION,
        "kind": "Config",
        "minimumRequiredVersion": KBLD_VERSION,
        "overrides": [_written_override(matcher, image) for matcher, image in dict.fromkeys(overrides)],
        "searchRules": [],
    }
    for rule in map(written_rule, search_rules):
        if rule not in document["searchRules"]:
            document["searchRules"].append(rule)
    return write({key: value for key, value in document.items() if value}, marked=False)


def _written_override(matcher: ImageMatcher, image: str) -> dict[str, Any]:
    matched = {"imageRepo": matcher.image_repo} if matcher.image is None else {"image": matcher.image}
    return {**matched, "newImage": image, "preresolved": True}
