"""resolve: print configuration with every reference resolved to a digest, as kbld does, and write its locks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock, lock_of_entries
from bundlepipe.documents.kbld.config import KbldConfig, Override, config_to_bytes
from bundlepipe.documents.resources import order
from bundlepipe.documents.search.annotations import (
    ORIGINS_ANNOTATION,
    Origin,
    images_text,
    local_origin,
    origins_text,
    platform_origin,
    preresolved_origin,
    resolved_origin,
    tagged_origin,
)
from bundlepipe.documents.search.files import Annotation, FoundImage, SearchedFile
from bundlepipe.documents.search.rules import repository_text
from bundlepipe.documents.yaml.stream import joined
from bundlepipe.errors import BundlepipeError, DocumentError, InputError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.oci.go_names import is_digest_form
from bundlepipe.oci.reference import Reference
from bundlepipe.verbs.images.git_origin import find_git_origin
from bundlepipe.verbs.images.resolver import (
    AnyPlatform,
    FromSource,
    Lookup,
    LookupResult,
    Plan,
    Preresolved,
    Resolver,
    plan,
    resolve_all,
)
from bundlepipe.verbs.images.texts import Configuration, Text, search, search_as_kbld

Build = Callable[[FromSource], Reference]


class ResolveRequest(Struct, frozen=True):
    """What to resolve: configuration, including kbld's own documents.

    `image_map` are overrides that come after those of the configuration. Without `builds`,
    references with a source are resolved as if they had none. `images_annotation` adds an
    annotation to each resource that lists its images, `origins_annotation` adds their origins to
    the lock. `sort` orders documents by namespace, kind and name; the default is the order of the
    texts. `as_kbld` follows kbld exactly: only its errors are errors, images are built even if they
    must not be, platforms are also selected from digests, and documents, each a block, all get the
    annotation and stay in the order of the texts.
    """

    texts: Sequence[Text]
    image_map: tuple[Override, ...] = ()
    platform: AnyPlatform | None = None
    builds: bool = True
    images_annotation: bool = True
    origins_annotation: bool = True
    sort: bool = False
    as_kbld: bool = False


class ResolvedImage(Struct, frozen=True):
    """The result for a reference in configuration, with its origins."""

    reference: str
    image: str
    origins: tuple[Origin, ...]


class Resolved(Struct, frozen=True):
    """The documents, in blocks to print, and the images by their references.

    The ImagesLock has origins `with_origins`, and with `keeps_spelling` images as configuration writes them.
    """

    blocks: tuple[bytes, ...]
    images: tuple[ResolvedImage, ...]
    rules: KbldConfig
    with_origins: bool
    keeps_spelling: bool

    @property
    def documents(self) -> bytes:
        """All documents."""
        return b"".join(self.blocks)

    def images_lock(self) -> ImagesLock:
        """Return the ImagesLock of kbld's `--imgpkg-lock-output`; InputError for an image without digest."""
        return ImagesLock(tuple(map(self._entry, self.images)))

    def imgpkg_lock(self) -> bytes:
        """Return that lock as a file; raises InputError as `images_lock`."""
        if not self.keeps_spelling:
            return self.images_lock().to_bytes()
        for image in self.images:
            if not is_digest_form(image.image):
                raise _without_digest(image)
        lock = self.images_lock()
        return lock_of_entries(
            {"image": image.image, "annotations": entry.annotations}
            for image, entry in zip(self.images, lock.images, strict=True)
        )

    def kbld_lock(self) -> bytes:
        """Return the configuration of kbld's `--lock-output`: it resolves the same references without a network."""
        return config_to_bytes(((image.reference, image.image) for image in self.images), self.rules.search_rules)

    def _entry(self, image: ResolvedImage) -> ImageRef:
        reference = Reference.parse(image.image)
        if reference.digest is None:
            raise _without_digest(image)
        annotations = {KBLD_ID: image.reference}
        if self.with_origins and image.origins:
            annotations[ORIGINS_ANNOTATION] = origins_text(image.origins)
        return ImageRef(reference.with_digest(reference.digest), annotations)


def _without_digest(image: ResolvedImage) -> InputError:
    return InputError(
        f"'{image.reference}' became '{image.image}', which has no digest, as an ImagesLock wants",
        drop_in=f"Validating images lock:\n  Expected ref to be in digest form, got '{image.image}'",
    )


def find(texts: Sequence[Text], *, as_kbld: bool = False) -> list[FoundImage]:
    """Return every reference in the configuration, resolved or not (`--unresolved-inspect`).

    Raises DocumentError with all faults; with `as_kbld`, with the first that is an error in kbld.
    """
    return list(_searched(texts, as_kbld=as_kbld).images)


def resolve(request: ResolveRequest, resolver: Resolver, build: Build) -> Resolved:
    """Return the configuration with every reference resolved, all at once.

    `build` builds the images of sources. Raises DocumentError for faulty configuration and
    ResolutionError for references that cannot be resolved or built, with all of them.
    """
    configuration = _searched(request.texts, as_kbld=request.as_kbld)
    rules = configuration.rules + KbldConfig(overrides=request.image_map)
    if not request.builds and not request.as_kbld:
        rules = KbldConfig(rules.search_rules, rules.overrides)
    wanted: dict[str, FoundImage] = {}
    for found in configuration.images:
        wanted.setdefault(found.value, found)
    images = resolve_all(
        wanted,
        lambda found: _resolved(
            found.value,
            plan(found.value, rules, {}, request.platform, as_kbld=request.as_kbld),
            resolver,
            build if request.builds else _refuse_to_build,
        ),
        lambda reference: wanted[reference].where,
    )

    def annotation(found_images: Sequence[FoundImage]) -> str:
        """Return the text of kbld's annotation of images."""
        listed = sorted((images[found.value] for found in found_images), key=lambda image: image.image)
        # kbld's annotation lists only images with origins; its inspection also finds the others.
        return images_text((each.image, each.origins) for each in listed if each.origins or not request.as_kbld)

    replacements = {reference: image.image for reference, image in images.items()}
    annotate = annotation if request.images_annotation else None
    ordered = tuple(images[reference] for reference in sorted(images))
    blocks = tuple(_blocks(configuration.files, request, replacements, annotate))
    return Resolved(blocks, ordered, rules, request.origins_annotation, request.as_kbld)


def _blocks(
    files: Iterable[SearchedFile],
    request: ResolveRequest,
    replacements: Mapping[str, str],
    annotate: Annotation | None,
) -> Iterator[bytes]:
    if request.as_kbld:
        for file in files:
            yield from file.printed(replacements, annotate)
        return
    if request.sort:
        documents = joined(_sorted(files, replacements, annotate))
    else:
        documents = joined(file.rendered(replacements, annotate) for file in files)
    if documents:
        yield documents


def _sorted(
    files: Iterable[SearchedFile], replacements: Mapping[str, str], annotate: Annotation | None
) -> Iterator[bytes]:
    documents = [document for file in files for document in file.rendered_documents(replacements, annotate)]
    return (document.content for document in sorted(documents, key=lambda document: order(document.root)))


def _searched(texts: Sequence[Text], *, as_kbld: bool) -> Configuration:
    if as_kbld:
        return search_as_kbld(texts)
    configuration = search(texts, KbldConfig())
    if configuration.problems:
        raise DocumentError(configuration.problems)
    return configuration


def _resolved(reference: str, planned: Plan, resolver: Resolver, build: Build) -> ResolvedImage:
    if isinstance(planned, Preresolved):
        origin = preresolved_origin(planned.image)
        known = planned.override.origins
        return ResolvedImage(reference, planned.image, known if origin in known else (*known, origin))
    if isinstance(planned, FromSource):
        return ResolvedImage(reference, str(build(planned)), tuple(_origins_of_build(planned)))
    assert isinstance(planned, Lookup)
    result = resolver.look_up(planned)
    return ResolvedImage(reference, str(result.image), tuple(_origins_of_result(planned, result, resolver)))


def _refuse_to_build(planned: FromSource) -> Reference:
    raise BundlepipeError(
        f"Building of images is disallowed (tried to build '{planned.name}' because a source was configured for it)"
    )


def _origins_of_build(built: FromSource) -> Iterator[Origin]:
    path = os.path.abspath(anchored(built.source.path))
    yield local_origin(path)
    git = find_git_origin(path)
    if git:
        yield git
    if built.destination and built.destination.tags:
        yield tagged_origin(built.destination.tags)


def _origins_of_result(lookup: Lookup, result: LookupResult, resolver: Resolver) -> Iterator[Origin]:
    reference = resolver.tagged(lookup)
    if reference.digest is None:
        url = f"{repository_text(lookup.image)}:{reference.tag}" if lookup.tags else lookup.image
        yield resolved_origin(url, reference.identifier)
    if result.index and lookup.platform:
        platform = lookup.platform
        yield platform_origin(str(result.index), platform.os, platform.architecture, platform.variant)
