"""lock: the images that configuration names become the images.yml of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bundlepipe.documents.image_search import FoundImage, find_images
from bundlepipe.documents.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.documents.searched_files import searched_files
from bundlepipe.errors import BundlepipeError, DocumentError, InputError, InvalidReference, ResolutionError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Platform
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.homes import Homes
from bundlepipe.stores.single_flight import Once
from bundlepipe.verbs.parallel import in_parallel

# Tells a digest that was chosen for a platform from one that stands for all of them, so
# that images.yml alone says whether an entry still answers the question.
PLATFORM_ANNOTATION = "dev.bundlepipe.platform"
_KBLD_ORIGINS = "kbld.carvel.dev/origins"


@dataclass(frozen=True)
class LockRequest:
    """What to lock.

    `files` are searched for references, less what `exclude` names relative to them.
    `include` holds further references, each with where it is declared, as something that
    becomes text when a message needs it. `made` gives the
    current `repository@digest` of images and bundles by the name that configuration calls
    them, None where it is not known yet. `refresh` tells which references are resolved
    again although the current lock has them.
    """

    files: Sequence[str]
    exclude: Collection[str] = ()
    include: Mapping[str, object] = field(default_factory=dict)
    made: Mapping[str, Reference | None] = field(default_factory=dict)
    platform: Platform | None = None
    refresh: Callable[[str], bool] = lambda reference: False


class Resolver:
    """Resolves references to digests, each distinct one once, however many locks name it."""

    def __init__(self, homes: Homes) -> None:
        self._homes = homes
        self._resolved: Once[Reference] = Once()

    def resolve(self, reference: Reference, platform: Platform | None) -> Reference:
        """Return the reference with the digest it stands for now.

        With a platform, an index is replaced by its child for that platform. Raises
        StoreError, or BundlepipeError where not exactly one child matches.
        """
        return self._resolved.get(
            (str(reference), platform), lambda: reference.with_digest(self._ask(reference, platform))
        )

    def _ask(self, reference: Reference, platform: Platform | None) -> Digest:
        store = self._homes.repository(reference.repository)
        if platform is None:
            return store.resolve(reference.identifier)
        manifest = store.read_manifest(reference.identifier)
        if not manifest.is_index:
            return manifest.digest
        return _choose(reference, platform, [(child.platform, child.digest) for child in manifest.children])


def _choose(reference: Reference, platform: Platform, children: Sequence[tuple[Platform | None, Digest]]) -> Digest:
    matching = [digest for offered, digest in children if offered and offered.matches(platform)]
    if len(matching) == 1:
        return matching[0]
    offers = ", ".join(sorted({str(offered) for offered, _ in children if offered})) or "none"
    count = "no image" if not matching else f"{len(matching)} images"
    raise BundlepipeError(f"{reference} has {count} for platform {platform}; its platforms: {offers}")


def lock(request: LockRequest, current: ImagesLock, resolver: Resolver) -> ImagesLock:
    """Return the lock of everything that the files and includes name, sorted by reference.

    A reference that `current` has keeps its digest, so nothing moves unasked; new ones are
    resolved, all at once; vanished ones go. Raises DocumentError for faulty configuration
    and ResolutionError for references that cannot be resolved, with all of them.
    """
    problems: list[str] = []
    wanted = _wanted(request, problems)
    locked = {entry.annotations.get(KBLD_ID): entry for entry in current.images}
    entries: dict[str, ImageRef] = {}
    to_resolve: dict[str, Reference] = {}
    for reference, where in wanted.items():
        try:
            entry = _known_entry(reference, request, locked.get(reference))
            if entry:
                entries[reference] = entry
            else:
                to_resolve[reference] = Reference.parse(reference)
        except (InvalidReference, InputError) as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise DocumentError(problems)
    entries.update(_resolve_all(to_resolve, wanted, request.platform, resolver))
    return ImagesLock(tuple(entries[reference] for reference in sorted(entries)))


def _wanted(request: LockRequest, problems: list[str]) -> dict[str, object]:
    """Return every distinct reference with the place that first names it; faults of files go to `problems`."""
    wanted: dict[str, object] = {}
    for path in searched_files(request.files, request.exclude):
        try:
            for found in search_file(path):
                wanted.setdefault(found.value, found.where)
        except DocumentError as error:
            problems.extend(error.problems)
    for reference, where in request.include.items():
        wanted.setdefault(reference, where)
    return wanted


def search_file(path: str) -> list[FoundImage]:
    """Return the references in one file; InputError if it cannot be read, DocumentError if it is faulty."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return find_images(content, path)


def _known_entry(reference: str, request: LockRequest, current: ImageRef | None) -> ImageRef | None:
    """Return the entry of a reference that needs no registry: made here, a digest, or locked already."""
    if reference in request.made:
        made = request.made[reference]
        if made is None:
            raise InputError(
                f"'{reference}' is made by this pipeline, but not before this lock: it needs this bundle itself, "
                "or was named while the task ran: break the circle, or run again"
            )
        return _entry(made, reference, None)
    parsed = Reference.parse(reference)
    if parsed.digest:
        return _entry(parsed.with_digest(parsed.digest), reference, None)
    if current is None or request.refresh(reference):
        return None
    platform = str(request.platform) if request.platform else None
    if current.annotations.get(PLATFORM_ANNOTATION) != platform:
        return None
    annotations = {key: value for key, value in current.annotations.items() if key != _KBLD_ORIGINS}
    return ImageRef(current.image, annotations)


def _entry(image: Reference, reference: str, platform: Platform | None) -> ImageRef:
    annotations = {KBLD_ID: reference}
    if platform:
        annotations[PLATFORM_ANNOTATION] = str(platform)
    return ImageRef(image, annotations)


def _resolve_all(
    references: Mapping[str, Reference], wanted: Mapping[str, object], platform: Platform | None, resolver: Resolver
) -> dict[str, ImageRef]:
    def resolve(item: tuple[str, Reference]) -> ImageRef | str:
        text, reference = item
        try:
            return _entry(resolver.resolve(reference, platform), text, platform)
        except BundlepipeError as error:
            return f"{wanted[text]}: cannot resolve '{text}': {error}"

    outcomes = dict(zip(references, in_parallel(resolve, references.items()), strict=True))
    problems = [outcome for outcome in outcomes.values() if isinstance(outcome, str)]
    if problems:
        raise ResolutionError(problems)
    return {text: outcome for text, outcome in outcomes.items() if isinstance(outcome, ImageRef)}
