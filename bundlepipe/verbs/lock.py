"""lock: the images that configuration names become the images.yml of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bundlepipe.documents.images_annotation import ORIGINS_ANNOTATION
from bundlepipe.documents.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.documents.kbld_config import KbldConfig
from bundlepipe.errors import DocumentError, InputError, InvalidReference
from bundlepipe.oci.manifest import Platform
from bundlepipe.oci.reference import Reference
from bundlepipe.verbs.configuration import Text, read_rules, read_texts, search
from bundlepipe.verbs.resolution import (
    FromSource,
    Made,
    Plan,
    Preresolved,
    Question,
    Resolver,
    answer_all,
    made_now,
    plan,
)

# Tells a digest that was chosen for a platform from one that stands for all of them, so
# that images.yml alone says whether an entry still answers the question.
PLATFORM_ANNOTATION = "dev.bundlepipe.platform"
# What was asked in place of the reference itself, because an override says so.
QUESTION_ANNOTATION = "dev.bundlepipe.question"


@dataclass(frozen=True)
class LockRequest:
    """What to lock.

    `files` are searched for references, less what `exclude` names relative to them, and so
    are `texts`; `config` are files of kbld's configuration. `include` holds further
    references, each with where it is declared, as something that becomes text when a
    message needs it. `made` gives the current `repository@digest` of images and bundles by
    the name that configuration calls them, None where it is not known yet. `refresh` tells
    which references are resolved again although the current lock has them.
    """

    files: Sequence[str]
    exclude: Collection[str] = ()
    texts: Sequence[Text] = ()
    config: Sequence[str] = ()
    include: Mapping[str, object] = field(default_factory=dict)
    made: Mapping[str, Reference | None] = field(default_factory=dict)
    platform: Platform | None = None
    refresh: Callable[[str], bool] = lambda reference: False


def lock(
    request: LockRequest, current: ImagesLock, resolver: Resolver, build: Callable[[FromSource], Reference]
) -> ImagesLock:
    """Return the lock of everything that the files and includes name, sorted by reference.

    A reference that `current` has keeps its digest, so nothing moves unasked; new ones are
    resolved, all at once; vanished ones go. What a source of kbld's configuration makes is
    made by `build`, which knows whether there is anything to do. Raises DocumentError for
    faulty configuration and ResolutionError for references that cannot be resolved or
    built, with all of them.
    """
    problems: list[str] = []
    wanted, rules = _wanted(request, problems)
    locked = {entry.annotations.get(KBLD_ID): entry for entry in current.images}
    entries: dict[str, ImageRef] = {}
    open_plans: dict[str, FromSource | Question] = {}
    for reference, where in wanted.items():
        try:
            planned = plan(reference, rules, request.made, request.platform)
            entry = _known_entry(reference, planned, request, locked.get(reference))
            if entry:
                entries[reference] = entry
            elif isinstance(planned, FromSource | Question):
                open_plans[reference] = planned
        except (InvalidReference, InputError) as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise DocumentError(problems)
    answers = answer_all(open_plans, lambda item: _answer(item, resolver, build), lambda text: wanted[text])
    for reference, image in answers.items():
        entries[reference] = ImageRef(image, _annotations(reference, open_plans[reference], request.platform))
    return ImagesLock(tuple(entries[reference] for reference in sorted(entries)))


def _wanted(request: LockRequest, problems: list[str]) -> tuple[dict[str, object], KbldConfig]:
    """Return every distinct reference with the place that first names it, and the rules; faults go to `problems`."""
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


def _known_entry(reference: str, planned: Plan, request: LockRequest, current: ImageRef | None) -> ImageRef | None:
    """Return the entry of a reference that needs no registry: made here, preresolved, a digest, or locked already."""
    if isinstance(planned, Preresolved):
        return ImageRef(_preresolved(reference, planned), {KBLD_ID: reference})
    if isinstance(planned, Made):
        return ImageRef(made_now(planned), {KBLD_ID: reference})
    if isinstance(planned, FromSource):
        return None
    annotations = _annotations(reference, planned, request.platform)
    if planned.is_answered:
        return ImageRef(planned.reference, {KBLD_ID: reference})
    if current is None or request.refresh(reference):
        return None
    if current.image.repository != planned.reference.repository:
        # An override, or whatever else led elsewhere, is gone.
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


def _annotations(reference: str, planned: FromSource | Question, platform: Platform | None) -> dict[str, str]:
    """Return the annotations of an entry: they tell which question it answers."""
    annotations = {KBLD_ID: reference}
    if isinstance(planned, Question):
        if planned != Question(Reference.parse(reference), platform=platform):
            annotations[QUESTION_ANNOTATION] = str(planned)
        elif platform:
            annotations[PLATFORM_ANNOTATION] = str(platform)
    return annotations


def _answer(planned: FromSource | Question, resolver: Resolver, build: Callable[[FromSource], Reference]) -> Reference:
    return build(planned) if isinstance(planned, FromSource) else resolver.resolve(planned)
