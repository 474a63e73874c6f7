"""How a reference in configuration becomes a digest: kbld's rules, applied in its order.

The first override that matches replaces a reference, once; then a source that matches what
it became builds it; what is preresolved is taken as it stands; everything else is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

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
from bundlepipe.stores.homes import Homes

Item = TypeVar("Item")
Answer = TypeVar("Answer")
AnyPlatform = Platform | PlatformSelection


@dataclass(frozen=True)
class Preresolved:
    """The configuration says itself what a reference becomes."""

    image: str
    override: Override


@dataclass(frozen=True)
class Made:
    """The reference is the name of something that the pipeline makes; None: it is not known yet what it is."""

    name: str
    image: Reference | None


@dataclass(frozen=True)
class FromSource:
    """A source says how the image is built, a destination where it goes."""

    name: str
    source: ImageSource
    destination: ImageDestination | None


@dataclass(frozen=True)
class Question:
    """What is asked of a registry: a reference, one of the tags beside it, one of the platforms of an index.

    `image` is the reference as configuration or an override has it.
    """

    reference: Reference
    tags: TagSelection | None = None
    platform: AnyPlatform | None = None
    image: str = field(default="", compare=False)

    @property
    def is_answered(self) -> bool:
        """Whether the reference is a digest, of which nothing is to be chosen."""
        return self.reference.digest is not None and self.tags is None and self.platform is None

    def __str__(self) -> str:
        """Return the question in one line, the same for the same question."""
        tags = f", tags {self.tags}" if self.tags else ""
        return f"{self.reference}{tags}" + (f", platform {self.platform}" if self.platform else "")


Plan = Preresolved | Made | FromSource | Question


def plan(
    reference: str,
    rules: KbldConfig,
    made: Mapping[str, Reference | None],
    platform: AnyPlatform | None = None,
    *,
    as_kbld: bool = False,
) -> Plan:
    """Return what a reference in configuration asks for.

    `made` gives what the pipeline makes by the names that configuration calls it;
    `platform` replaces an index that is named by a tag by its child. With `as_kbld` it is
    chosen of an index that is named by its digest as well, and what an override does not say
    of a platform is not anything, but nothing. Raises InvalidReference for what is no reference
    (to kbld either, with `as_kbld`), and what is wrong with an override that is used.
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
        return Question(parsed.with_digest(parsed.digest), platform=selected, image=image)
    return Question(parsed, tags, selected or platform, image)


@dataclass(frozen=True)
class Answered:
    """What a question came to, and the index that it was chosen from, if it was."""

    image: Reference
    index: Reference | None = None


class Resolver:
    """Answers questions, each distinct one once, however many locks ask it."""

    def __init__(self, homes: Homes) -> None:
        self._homes = homes
        self._tags: Once[Sequence[str]] = Once()
        self._answered: Once[Answered] = Once()

    def resolve(self, question: Question) -> Reference:
        """Return the reference, with the digest that it stands for now.

        With tags to choose from, it is that of the highest; with a platform, an index is
        replaced by its child for it. Raises StoreError, or BundlepipeError where no tag or
        not exactly one child matches.
        """
        return self.answer(question).image

    def answer(self, question: Question) -> Answered:
        """Return what `resolve` does, with the index that it was chosen from."""
        if question.is_answered:
            return Answered(question.reference)
        reference = self.tagged(question)
        return self._answered.get((str(reference), question.platform), lambda: self._ask(reference, question.platform))

    def tagged(self, question: Question) -> Reference:
        """Return the reference that a question is about, with the highest tag where it has some to choose from.

        Raises StoreError, or BundlepipeError where no tag matches.
        """
        selection, repository = question.tags, question.reference.repository
        if selection is None:
            return question.reference
        tags = self._tags.get(repository, lambda: tuple(self._homes.repository(repository).list_tags()))
        tag = selection.choose(tags)
        if tag is None:
            raise NotFound(
                f"{repository} has no tag for {selection} among its {len(tags)} tags",
                drop_in="Expected to find at least one version, but did not",
            )
        return repository.tagged(tag)

    def _ask(self, reference: Reference, platform: AnyPlatform | None) -> Answered:
        store = self._homes.repository(reference.repository)
        if platform is None:
            try:
                return Answered(reference.with_digest(store.resolve(reference.identifier)))
            except (NotFound, AccessDenied):
                # Registries say why only where they are asked for the manifest itself, as kbld asks.
                return Answered(reference.with_digest(store.read_manifest(reference.identifier).digest))
        manifest = store.read_manifest(reference.identifier)
        there = reference.with_digest(manifest.digest)
        if not manifest.is_index:
            return Answered(there)
        children = [(child.platform, child.digest) for child in manifest.children]
        return Answered(reference.with_digest(_choose(reference, there, platform, children)), there)


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
    """Return what something made here is now; InputError if it is not known."""
    if plan.image is None:
        raise InputError(
            f"'{plan.name}' is made by this pipeline, but not before this lock: it needs this bundle, or what it is "
            "made of holds what this bundle becomes: leave that out; or, if it was named only now, run again"
        )
    return plan.image


def answer_all(
    items: Mapping[str, Item], answer: Callable[[Item], Answer], where: Callable[[str], object]
) -> dict[str, Answer]:
    """Return the answers for all references, asked for side by side.

    `where` tells, for messages, where a reference stands. Raises ResolutionError for those
    without an answer, with all of them.
    """

    def attempt(reference: str) -> Answer | Unresolved:
        item = items[reference]
        try:
            return answer(item)
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
