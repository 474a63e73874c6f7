"""lock: resolve the images in configuration and write them to the images.yml of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

from msgspec import Struct, field

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.documents.kbld.config import KbldConfig
from bundlepipe.documents.search.annotations import ORIGINS_ANNOTATION
from bundlepipe.errors import DocumentError, InputError, InvalidReference
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Platform
from bundlepipe.oci.reference import Reference
from bundlepipe.verbs.images.resolver import (
    FromSource,
    Lookup,
    Made,
    Plan,
    Preresolved,
    Resolver,
    made_now,
    plan,
    resolve_all,
)
from bundlepipe.verbs.images.texts import Text, read_rules, read_texts, search

# Distinguishes a digest that was selected for a platform from one for all platforms, so that
# images.yml alone shows whether an entry still matches its lookup.
PLATFORM_ANNOTATION = "dev.bundlepipe.platform"
# The lookup that an override substituted for the reference itself.
QUESTION_ANNOTATION = "dev.bundlepipe.question"


class LockRequest(Struct, frozen=True):
    """What to lock.

    `files` are searched for references, except paths that `exclude` names relative to them, and so
    are `texts`; `config` are files of kbld's configuration. `include` holds additional references,
    each with the position of its declaration, which is converted to text only for a message. `made`
    maps names of images and bundles in configuration to their current `repository@digest`, None if
    not yet known. `refresh` says which references are resolved again although the current lock has
    them.
    """

    files: Sequence[str]
    exclude: Collection[str] = ()
    texts: Sequence[Text] = ()
    config: Sequence[str] = ()
    include: Mapping[str, object] = field(default_factory=dict)
    made: Mapping[str, Reference | None] = field(default_factory=dict)
    platform: Platform | None = None
    refresh: Callable[[str], bool] = lambda reference: False


class SharedResults(Protocol):
    """Results of lookups, shared by all locks of a pipeline."""

    def known(self, lookup: Lookup) -> Digest | None:
        """Return the digest that a lookup resolved to; None if it was not resolved yet."""
        ...

    def keep(self, results: Mapping[Lookup, Digest]) -> None:
        """Store new results, unless another lock was faster: `known` returns the valid ones."""
        ...


def lock(
    request: LockRequest,
    current: ImagesLock | SharedResults,
    resolver: Resolver,
    build: Callable[[FromSource], Reference],
) -> ImagesLock:
    """Return the lock of everything that the files and includes name, sorted by reference.

    A reference in `current` keeps its digest, so nothing moves unless requested; new ones are
    resolved, all at once; unused ones are removed. Images of kbld's sources are built by `build`,
    which decides whether there is anything to do. Raises DocumentError for faulty configuration and
    ResolutionError for references that cannot be resolved or built, with all of them.
    """
    problems: list[str] = []
    wanted, rules = _wanted(request, problems)
    own = current.images if isinstance(current, ImagesLock) else ()
    locked = {entry.annotations.get(KBLD_ID): entry for entry in own}
    entries: dict[str, ImageRef] = {}
    open_plans: dict[str, FromSource | Lookup] = {}
    for reference, where in wanted.items():
        try:
            planned = plan(reference, rules, request.made, request.platform)
            entry = _settled_entry(reference, planned) or _known_entry(
                reference, planned, request, locked.get(reference)
            )
            if entry:
                entries[reference] = entry
            elif isinstance(planned, FromSource | Lookup):
                open_plans[reference] = planned
        except (InvalidReference, InputError) as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise DocumentError(problems)
    shared = None if isinstance(current, ImagesLock) else current
    resolve = partial(_resolve, resolver=resolver, build=build, known=_known_results(open_plans, request, shared))
    results = resolve_all(open_plans, resolve, lambda text: wanted[text])
    if shared:
        _keep(open_plans, results, shared)
    for reference, image in results.items():
        entries[reference] = ImageRef(image, _annotations(reference, open_plans[reference], request.platform))
    return ImagesLock(tuple(entries[reference] for reference in sorted(entries)))


def _wanted(request: LockRequest, problems: list[str]) -> tuple[dict[str, object], KbldConfig]:
    """Return every distinct reference with its first position, and the rules; faults are added to `problems`."""
    rules = KbldConfig()
    try:
        rules = read_rules(request.config)
    except DocumentError as error:
        problems.extend(error.problems)
    configuration = search([*read_texts(request.files, request.exclude), *request.texts], rules)
    problems.extend(configuration.problems)
    wanted: dict[str, object] = {}
    for found in configuration.images:
        wanted.setdefault(found.value, found.where)
    for reference, where in request.include.items():
        wanted.setdefault(reference, where)
    return wanted, configuration.rules


def _settled_entry(reference: str, planned: Plan) -> ImageRef | None:
    """Return the entry of a reference that needs no lookup: preresolved, made here, or a digest."""
    if isinstance(planned, Preresolved):
        return ImageRef(_preresolved(reference, planned), {KBLD_ID: reference})
    if isinstance(planned, Made):
        return ImageRef(made_now(planned), {KBLD_ID: reference})
    if isinstance(planned, Lookup) and planned.is_resolved:
        return ImageRef(planned.reference, {KBLD_ID: reference})
    return None


def _resolve(
    planned: FromSource | Lookup,
    resolver: Resolver,
    build: Callable[[FromSource], Reference],
    known: Mapping[Lookup, Digest],
) -> Reference:
    if isinstance(planned, FromSource):
        return build(planned)
    digest = known.get(planned)
    return planned.reference.with_digest(digest) if digest else resolver.resolve(planned)


def _known_results(
    plans: Mapping[str, Plan], request: LockRequest, shared: SharedResults | None
) -> dict[Lookup, Digest]:
    """Return the shared results to use: all but those to be refreshed."""
    if shared is None:
        return {}
    lookups = {reference: planned for reference, planned in plans.items() if isinstance(planned, Lookup)}
    # Shared results have complete references, so users may also refer to them in that form.
    again = {lookup for text, lookup in lookups.items() if any(map(request.refresh, (text, str(lookup.reference))))}
    found = {lookup: shared.known(lookup) for lookup in lookups.values() if lookup not in again}
    return {lookup: digest for lookup, digest in found.items() if digest}


def _keep(plans: Mapping[str, Plan], images: dict[str, Reference], results: SharedResults) -> None:
    """Share new results with other locks, and take over theirs."""
    lookups = {reference: planned for reference, planned in plans.items() if isinstance(planned, Lookup)}
    results.keep({lookups[text]: image.digest for text, image in images.items() if text in lookups and image.digest})
    for text, lookup in lookups.items():
        digest = results.known(lookup)
        assert digest
        images[text] = lookup.reference.with_digest(digest)


def _known_entry(reference: str, planned: Plan, request: LockRequest, current: ImageRef | None) -> ImageRef | None:
    if not isinstance(planned, Lookup) or current is None or request.refresh(reference):
        return None
    annotations = _annotations(reference, planned, request.platform)
    if current.image.repository != planned.reference.repository:
        # An override, or another rule for the reference, was removed.
        return None
    if any(current.annotations.get(key) != annotations.get(key) for key in (PLATFORM_ANNOTATION, QUESTION_ANNOTATION)):
        return None
    return ImageRef(
        current.image, {key: value for key, value in current.annotations.items() if key != ORIGINS_ANNOTATION}
    )


def _preresolved(reference: str, planned: Preresolved) -> Reference:
    image = Reference.parse(planned.image)
    if image.digest is None:
        raise InputError(
            f"'{reference}' becomes '{planned.image}', which {planned.override.where} calls preresolved, "
            "but a lock holds digests only: expected REPOSITORY@DIGEST"
        )
    return image.with_digest(image.digest)


def _annotations(reference: str, planned: FromSource | Lookup, platform: Platform | None) -> dict[str, str]:
    """Return the annotations of an entry, which record its lookup."""
    annotations = {KBLD_ID: reference}
    if isinstance(planned, Lookup):
        if planned != Lookup(Reference.parse(reference), platform=platform):
            annotations[QUESTION_ANNOTATION] = str(planned)
        elif platform:
            annotations[PLATFORM_ANNOTATION] = str(platform)
    return annotations
