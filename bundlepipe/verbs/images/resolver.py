"""Resolve references in configuration to digests, by kbld's rules in kbld's order.

The first override that matches replaces a reference, once; then a source that matches the result
builds it; a preresolved reference is used unchanged; everything else is looked up in a registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Struct

from bundlepipe.concurrency.cancellation import Cancelled
from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.concurrency.single_flight import Once
from bundlepipe.documents.kbld.config import ImageDestination, ImageSource, KbldConfig, Override, first_match
from bundlepipe.documents.kbld.tag_selection import TagSelection
from bundlepipe.errors import (
    AccessDenied,
    BundlepipeError,
    InputError,
    InvalidReference,
    NotFound,
    ResolutionError,
    Unresolved,
)
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.go_names import reference_problem, repository_problem
from bundlepipe.oci.manifest import Platform, PlatformSelection
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.opening import Stores

Item = TypeVar("Item")
Result = TypeVar("Result")
AnyPlatform = Platform | PlatformSelection


class Preresolved(Struct, frozen=True):
    """The configuration itself has the result for a reference."""

    image: str
    override: Override


class Made(Struct, frozen=True):
    """The reference is the name of an image or bundle that the pipeline makes; None if its digest is not yet known."""

    name: str
    image: Reference | None


class FromSource(Struct, frozen=True):
    """A source says how the image is built, a destination where it is pushed."""

    name: str
    source: ImageSource
    destination: ImageDestination | None


@dataclass(frozen=True)
class Lookup:
    """A lookup: a reference, with a selection among its tags, and among the platforms of an index.

    `image` is the reference as configuration or an override writes it.
    """

    reference: Reference
    tags: TagSelection | None = None
    platform: AnyPlatform | None = None
    image: str = field(default="", compare=False)

    @property
    def is_resolved(self) -> bool:
        """Whether the reference is a digest, and nothing has to be selected."""
        return self.reference.digest is not None and self.tags is None and self.platform is None

    def __str__(self) -> str:
        """Return the lookup on one line, the same for equal ones."""
        tags = f", tags {self.tags}" if self.tags else ""
        return f"{self.reference}{tags}" + (f", platform {self.platform}" if self.platform else "")


Plan = Preresolved | Made | FromSource | Lookup


def plan(
    reference: str,
    rules: KbldConfig,
    made: Mapping[str, Reference | None],
    platform: AnyPlatform | None = None,
    *,
    as_kbld: bool = False,
) -> Plan:
    """Return the plan for a reference in configuration.

    `made` maps names in configuration to what the pipeline makes; `platform` replaces an index that
    is named by a tag with its member. With `as_kbld` a platform is also selected from an index
    named by digest, and fields that an override omits match only absent ones. Raises
    InvalidReference for an invalid reference (with `as_kbld`, only if kbld rejects it), and the
    fault of an override that is used.
    """
    override = first_match(rules.overrides, reference)
    image = override.new_image if override and override.new_image is not None else reference
    if override and override.preresolved:
        return Preresolved(image, override)
    if override and override.fault:
        raise override.fault
    if image in made:
        return Made(image, made[image])
    source = first_match(rules.sources, image)
    if source:
        return FromSource(image, source, first_match(rules.destinations, image))
    tags = override.tag_selection if override else None
    problem = (repository_problem if tags else reference_problem)(image) if as_kbld else None
    if problem:
        raise InvalidReference(problem)
    parsed = Reference.parse(image)
    selection = override.platform_selection if override else None
    selected: AnyPlatform | None = selection
    if as_kbld:
        selected = selection.exact() if selection else platform
    if parsed.digest and not tags:
        return Lookup(parsed.with_digest(parsed.digest), platform=selected, image=image)
    return Lookup(parsed, tags, selected or platform, image)


class LookupResult(Struct, frozen=True):
    """The result of a lookup, and the index that it was selected from, if any."""

    image: Reference
    index: Reference | None = None


class Resolver:
    """Resolves lookups, each distinct one once, even for several locks."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._tags: Once[Sequence[str]] = Once()
        self._results: Once[LookupResult] = Once()

    def resolve(self, lookup: Lookup) -> Reference:
        """Return the reference with its current digest.

        With a tag selection it is that of the highest tag; with a platform, an index is replaced by
        its member. Raises StoreError, or BundlepipeError if no tag matches or the number of
        matching members is not one.
        """
        return self.look_up(lookup).image

    def look_up(self, lookup: Lookup) -> LookupResult:
        """Return the result of `resolve`, with the index that it was selected from."""
        if lookup.is_resolved:
            return LookupResult(lookup.reference)
        reference = self.tagged(lookup)
        return self._results.get((str(reference), lookup.platform), lambda: self._request(reference, lookup.platform))

    def tagged(self, lookup: Lookup) -> Reference:
        """Return the reference of a lookup, with the highest tag if it has a selection.

        Raises StoreError, or BundlepipeError if no tag matches.
        """
        selection, repository = lookup.tags, lookup.reference.repository
        if selection is None:
            return lookup.reference
        tags = self._tags.get(repository, lambda: tuple(self._stores.repository(repository).list_tags()))
        tag = selection.choose(tags)
        if tag is None:
            raise NotFound(
                f"{repository} has no tag for {selection} among its {len(tags)} tags",
                drop_in="Expected to find at least one version, but did not",
            )
        return repository.tagged(tag)

    def _request(self, reference: Reference, platform: AnyPlatform | None) -> LookupResult:
        store = self._stores.repository(reference.repository)
        if platform is None:
            try:
                return LookupResult(reference.with_digest(store.resolve(reference.identifier)))
            except (NotFound, AccessDenied):
                # Registries give a reason only if the manifest itself is requested, as kbld does.
                return LookupResult(reference.with_digest(store.read_manifest(reference.identifier).digest))
        manifest = store.read_manifest(reference.identifier)
        there = reference.with_digest(manifest.digest)
        if not manifest.is_index:
            return LookupResult(there)
        children = [(child.platform, child.digest) for child in manifest.children]
        return LookupResult(reference.with_digest(_choose(reference, there, platform, children)), there)


def _choose(
    reference: Reference, index: Reference, wanted: AnyPlatform, children: Sequence[tuple[Platform | None, Digest]]
) -> Digest:
    matching = [digest for offered, digest in children if offered and offered.matches(wanted)]
    if len(matching) == 1:
        return matching[0]
    offers = ", ".join(sorted({str(offered) for offered, _ in children if offered})) or "none"
    count = "no image" if not matching else f"{len(matching)} images"
    expected, found = ("one image", "none") if not matching else ("only one image", "more than one")
    raise BundlepipeError(
        f"{reference} has {count} for platform {wanted}; its platforms: {offers}",
        drop_in=f"Expected to find {expected} under index '{index}' with matching platform, but found {found}",
    )


def made_now(plan: Made) -> Reference:
    """Return the current reference of an image or bundle made here; InputError if it is not known."""
    if plan.image is None:
        raise InputError(
            f"'{plan.name}' is made by this pipeline, but only after this lock: it needs this bundle, or its inputs "
            "contain an output of this bundle: exclude that; or, if its name was added during this run, run again"
        )
    return plan.image


def resolve_all(
    items: Mapping[str, Item], resolve: Callable[[Item], Result], where: Callable[[str], object]
) -> dict[str, Result]:
    """Resolve all references in parallel.

    `where` returns, for messages, the position of a reference. Raises ResolutionError with all
    failures.
    """

    def attempt(reference: str) -> Result | Unresolved:
        item = items[reference]
        try:
            return resolve(item)
        except Cancelled:
            raise
        except BundlepipeError as error:
            verb = "build" if isinstance(item, FromSource) else "resolve"
            return Unresolved(reference, str(where(reference)), str(error), verb, error.drop_in)

    outcomes = dict(zip(items, in_parallel(attempt, items), strict=True))
    unresolved = [outcome for outcome in outcomes.values() if isinstance(outcome, Unresolved)]
    if unresolved:
        raise ResolutionError(unresolved)
    return {reference: found for reference, found in outcomes.items() if not isinstance(found, Unresolved)}
