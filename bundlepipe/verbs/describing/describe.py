"""describe: what a bundle consists of, wherever its images are now.

A bundle is surveyed level by level: all bundles of a level are read at once, then all
their images are found at once, and those that are bundles make the next level. So each
question is asked once, and answers need no locks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.documents.imgpkg.any_lock import parse_of_bundle
from bundlepipe.documents.imgpkg.image_locations import FILE_NAME, ImageLocations
from bundlepipe.documents.imgpkg.images_lock import ImageRef
from bundlepipe.documents.imgpkg.paths import BUNDLE_METADATA, IMAGES_LOCK
from bundlepipe.errors import (
    AccessDenied,
    BundlepipeError,
    DocumentError,
    InvalidContent,
    NotFound,
    StoreError,
)
from bundlepipe.events import Emit, ignore
from bundlepipe.limits import LARGEST_DOCUMENT, LARGEST_LOCATIONS
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers.files import read_files
from bundlepipe.oci.manifest import Manifest, Platform
from bundlepipe.stores.homes import Homes
from bundlepipe.stores.location import Location
from bundlepipe.stores.protocol import Source, find_manifest
from bundlepipe.verbs.copying.present import tags_of
from bundlepipe.verbs.describing.description import BundleDescription, ImageDescription, ImageType
from bundlepipe.verbs.shared.blobs import receive_blob
from bundlepipe.verbs.shared.bundles import COSIGN_SUFFIXES, SIGNATURE_SUFFIX, is_bundle, locations_tag, require_kind

_USUAL_PLATFORM = Platform("linux", "amd64")
# Nobody nests so deep, and what is deeper could not be written down by recursion.
_DEEPEST = 100


def describe(
    source: Location,
    homes: Homes,
    *,
    layers: bool = True,
    cosign_artifacts: bool = True,
    as_imgpkg: bool = False,
    emit: Emit = ignore,
) -> BundleDescription:
    """Return what a bundle, its nested bundles included, consists of.

    An image is looked for in the repository of the bundle that names it, then where
    images.yml says, so a relocated bundle takes requests to its own repository only.
    `layers` puts the digests of layers in; `cosign_artifacts` lists the signatures,
    attestations and SBOMs that lie beside the images and the bundle itself, each as an
    image with its tag for an annotation.

    The image-locations image of a nested bundle counts among that bundle's images. That of
    the root does not, nor do artifacts of a nested bundle.

    `as_imgpkg` describes what imgpkg would: each bundle has its own image-locations image and
    signature among its images, of cosign's artifacts only signatures are listed, and an index has
    the layers of its image for linux/amd64, if there is one.

    Raises BundlepipeError for what is no bundle, NotFound or AccessDenied for an image that
    is in neither place, other StoreErrors, InvalidContent, DocumentError.
    """
    store, manifest = homes.locate(source)
    drop_in = f"Only bundles can be described, and {source} is not a bundle"
    if manifest.is_index:
        raise BundlepipeError(
            f"{source}: Unable to pull non-images, such as image indexes. "
            "(hint: provide a specific digest to the image instead)",
            drop_in=drop_in,
        )
    require_kind(source, "describing", is_bundle=is_bundle(store, manifest), expected="bundle", drop_in=drop_in)
    root = _Found(store, manifest)
    survey = _Survey(homes, emit, (SIGNATURE_SUFFIX,) if as_imgpkg else COSIGN_SUFFIXES)
    survey.find_all(root)
    if cosign_artifacts:
        survey.find_artifacts(root)
    if layers and as_imgpkg:
        survey.find_members()
    return _Assembly(survey, layers, as_imgpkg).root(root)


@dataclass(frozen=True)
class _Found:
    """A manifest and the home that it was found in."""

    store: Source
    manifest: Manifest

    @property
    def key(self) -> tuple[str, Digest]:
        return self.store.name, self.manifest.digest

    @property
    def image(self) -> str:
        return f"{self.store.name}@{self.manifest.digest}"


@dataclass(frozen=True)
class _Image:
    """An image of a bundle: what images.yml says about it, where it is, and whether it is a bundle itself."""

    entry: ImageRef
    found: _Found
    is_bundle: bool


@dataclass
class _Bundle:
    """A bundle that was read: by digest what its images.yml names, its metadata, and its image-locations image."""

    found: _Found
    entries: Mapping[Digest, ImageRef]
    metadata: Mapping[str, str]
    locations_image: _Found | None
    bundles_known: Mapping[Digest, bool]
    images: list[_Image] = field(default_factory=list)


class _Survey:
    """Everything that has been asked so far, and what the answers were."""

    def __init__(self, homes: Homes, emit: Emit, suffixes: Collection[str]) -> None:
        self._suffixes = suffixes
        self._homes = homes
        self._emit = emit
        self._answers: dict[tuple[str, str], Manifest | StoreError] = {}
        self._have_label: dict[Digest, bool] = {}
        self._tags: dict[str, frozenset[str] | None] = {}
        self.bundles: dict[tuple[str, Digest], _Bundle] = {}
        # What nested bundles, and those around them, are called, the outermost first.
        self._names: dict[tuple[str, Digest], tuple[str, ...]] = {}

    def find_all(self, root: _Found) -> None:
        """Read a bundle and all that it nests, and find their images."""
        level = {root.key: root}
        while level:
            bundles = in_parallel(self._read_bundle, level.values())
            self.bundles.update(zip(level, bundles, strict=True))
            self._find_images(bundles)
            nested = (image.found for bundle in bundles for image in bundle.images if image.is_bundle)
            level = {found.key: found for found in nested if found.key not in self.bundles}

    def find_artifacts(self, root: _Found) -> None:
        """Find the cosign artifacts of a bundle and of all images that were found."""
        subjects = [root, *(image.found for bundle in self.bundles.values() for image in bundle.images)]
        stores = {subject.store.name: subject.store for subject in subjects}
        self._tags.update(zip(stores, in_parallel(tags_of, stores.values()), strict=True))
        self._ask((subject.store, tag) for subject in subjects for tag in self._possible_artifacts(subject))

    def find_members(self) -> None:
        """Find the images for linux/amd64 of all indexes that were found."""
        images = (image.found for bundle in self.bundles.values() for image in bundle.images)
        indexes = [found for found in images if found.manifest.is_index]
        while indexes:
            chosen = [(found.store, digest) for found in indexes if (digest := _usual_member(found.manifest))]
            self._ask(chosen)
            answers = ((store, self._answer(store, digest)) for store, digest in chosen)
            found = (_Found(store, answer) for store, answer in answers if isinstance(answer, Manifest))
            indexes = [each for each in found if each.manifest.is_index]

    def image_of(self, found: _Found) -> Manifest | None:
        """Return an image, or that of an index for linux/amd64, as far as it was looked for; None if there is none."""
        manifest = found.manifest
        while manifest.is_index:
            digest = _usual_member(manifest)
            answer = self._answer(found.store, digest) if digest else None
            if not isinstance(answer, Manifest):
                return None
            manifest = answer
        return manifest

    def artifacts(self, subject: _Found) -> dict[str, _Found]:
        """Return by tag the cosign artifacts of an image or bundle, as far as they were looked for."""
        answers = {tag: self._answer(subject.store, tag) for tag in self._possible_artifacts(subject)}
        return {tag: _Found(subject.store, answer) for tag, answer in answers.items() if isinstance(answer, Manifest)}

    def _possible_artifacts(self, subject: _Found) -> list[str]:
        digest = subject.manifest.digest
        tags = (f"{digest.algorithm}-{digest.encoded}{suffix}" for suffix in self._suffixes)
        known = self._tags.get(subject.store.name, frozenset())
        return [tag for tag in tags if known is None or tag in known]

    def _read_bundle(self, found: _Found) -> _Bundle:
        files = self._read_files(found, (IMAGES_LOCK, BUNDLE_METADATA))
        lock = parse_of_bundle(_required(files, IMAGES_LOCK, found), f"{found.image}: {IMAGES_LOCK}")
        metadata = _metadata(files.get(BUNDLE_METADATA), found.image)
        tag = locations_tag(found.manifest.digest)
        manifest = find_manifest(found.store, tag)
        if manifest is None:
            return _Bundle(found, _by_digest(lock.images), metadata, None, {})
        image = _Found(found.store, manifest)
        content = _required(self._read_files(image, (FILE_NAME,), LARGEST_LOCATIONS), FILE_NAME, image)
        locations = ImageLocations.parse(content, f"{found.store.name}:{tag}: {FILE_NAME}").locations
        known = {location.image.digest: location.is_bundle for location in locations if location.image.digest}
        return _Bundle(found, _by_digest(lock.images), metadata, image, known)

    def _read_files(self, found: _Found, names: Collection[str], largest: int = LARGEST_DOCUMENT) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for layer in found.manifest.layers:
            files.update(read_files(receive_blob(found.store, layer, self._emit), names, found.image, largest))
        return files

    def _find_images(self, bundles: Iterable[_Bundle]) -> None:
        named = [(bundle, digest, entry) for bundle in bundles for digest, entry in bundle.entries.items()]
        self._ask((bundle.found.store, digest) for bundle, digest, _ in named)
        self._ask(
            (self._origin(entry), digest)
            for bundle, digest, entry in named
            if not isinstance(self._answer(bundle.found.store, digest), Manifest)
        )
        found = [self._place(bundle, digest, entry) for bundle, digest, entry in named]
        self._look_for_labels(
            image for image, (bundle, digest, _) in zip(found, named, strict=True) if digest not in bundle.bundles_known
        )
        for image, (bundle, digest, entry) in zip(found, named, strict=True):
            is_nested = bundle.bundles_known.get(digest, self._have_label.get(digest, False))
            if is_nested:
                around = self._names.get(bundle.found.key, ())
                self._names.setdefault(image.key, (*around, str(entry.image)))
            bundle.images.append(_Image(entry, image, is_nested))

    def _place(self, bundle: _Bundle, digest: Digest, entry: ImageRef) -> _Found:
        """Return where an image is, everything having been asked; NotFound or AccessDenied if it is nowhere."""
        own, origin = bundle.found.store, self._origin(entry)
        for store in (own, origin):
            answer = self._answer(store, digest)
            if isinstance(answer, Manifest):
                return _Found(store, answer)
        assert isinstance(answer, StoreError)
        names = self._names.get(bundle.found.key, ())
        around = "".join(f"Retrieving images for bundle '{name}': " for name in names)
        raise type(answer)(
            f"{bundle.found.image}: its image {entry.image} can be had neither from {own.name} nor from where "
            f"{IMAGES_LOCK} says: {answer}",
            drop_in=f"Retrieving Images from bundle: {around}Checking image existence: {answer.drop_in or answer}",
        )

    def _look_for_labels(self, images: Iterable[_Found]) -> None:
        """Find out which images are bundles; only what has one layer can be one, so only that is asked about."""
        unknown = {
            image.manifest.digest: image
            for image in images
            if not image.manifest.is_index
            and len(image.manifest.layers) == 1
            and image.manifest.digest not in self._have_label
        }
        answers = in_parallel(lambda image: is_bundle(image.store, image.manifest), unknown.values())
        self._have_label.update(zip(unknown, answers, strict=True))

    def _origin(self, entry: ImageRef) -> Source:
        return self._homes.repository(entry.image.repository)

    def _ask(self, questions: Iterable[tuple[Source, str]]) -> None:
        """Read the manifests of tags or digests that nobody has asked for yet, all at once."""
        new = {(store.name, wanted): (store, wanted) for store, wanted in questions}
        new = {key: question for key, question in new.items() if key not in self._answers}
        self._answers.update(zip(new, in_parallel(_read_manifest, new.values()), strict=True))

    def _answer(self, store: Source, wanted: str) -> Manifest | StoreError | None:
        return self._answers.get((store.name, wanted))


class _Assembly:
    """Puts together what a survey has found; a bundle that several others nest is described once."""

    def __init__(self, survey: _Survey, layers: bool, as_imgpkg: bool) -> None:
        self._survey = survey
        self._as_imgpkg = as_imgpkg
        self._with_layers = layers
        # With each bundle, how many levels of bundles it has.
        self._made: dict[tuple[str, Digest], tuple[BundleDescription, int]] = {}

    def root(self, found: _Found) -> BundleDescription:
        """Return the description of the bundle that was asked for."""
        description, _ = self._bundle(found, 0)
        if self._as_imgpkg:
            return description
        return replace(description, images=_by_order([*description.images, *self._artifacts(found)]))

    def _bundle(self, found: _Found, above: int) -> tuple[BundleDescription, int]:
        """Return a bundle as it is by itself, and how many levels it has."""
        made = self._made.get(found.key)
        if above + (made[1] if made else 1) > _DEEPEST:
            raise InvalidContent(f"{found.image}: bundles are nested more than {_DEEPEST} deep, which nobody reads")
        if made is None:
            made = self._made[found.key] = self._make(self._survey.bundles[found.key], above)
        return made

    def _make(self, bundle: _Bundle, above: int) -> tuple[BundleDescription, int]:
        levels = 0
        bundles: list[BundleDescription] = []
        images: list[ImageDescription] = []
        for image in bundle.images:
            origin, annotations = str(image.entry.image), image.entry.annotations
            if image.is_bundle:
                description, below = self._bundle(image.found, above + 1)
                levels = max(levels, below)
                internal = [] if self._as_imgpkg else self._internal(self._survey.bundles[image.found.key])
                images_below = _by_order([*description.images, *internal])
                bundles.append(replace(description, origin=origin, annotations=annotations, images=images_below))
            else:
                images.append(self._image(image.found, ImageType.IMAGE, origin, annotations))
            images += self._artifacts(image.found)
        found = bundle.found
        if self._as_imgpkg:
            images += [*self._artifacts(found), *self._internal(bundle)]
        description = BundleDescription(
            found.manifest.digest,
            found.image,
            found.image,
            self._layers(found),
            bundle.metadata,
            bundles=_by_order(bundles),
            images=_by_order(images),
        )
        return description, levels + 1

    def _image(
        self, found: _Found, kind: ImageType, origin: str, annotations: Mapping[str, str] | None = None
    ) -> ImageDescription:
        return ImageDescription(
            found.manifest.digest, found.image, kind, origin, self._layers(found), annotations or {}
        )

    def _internal(self, bundle: _Bundle) -> list[ImageDescription]:
        found = bundle.locations_image
        return [self._image(found, ImageType.INTERNAL, found.image)] if found else []

    def _artifacts(self, subject: _Found) -> list[ImageDescription]:
        artifacts = self._survey.artifacts(subject)
        return [self._image(found, ImageType.SIGNATURE, found.image, {"tag": tag}) for tag, found in artifacts.items()]

    def _layers(self, found: _Found) -> tuple[Digest, ...]:
        manifest = self._survey.image_of(found)
        if not self._with_layers or manifest is None:
            return ()
        return tuple(layer.digest for layer in manifest.layers)


_Described = TypeVar("_Described", BundleDescription, ImageDescription)


def _by_order(described: Iterable[_Described]) -> tuple[_Described, ...]:
    """Return descriptions sorted by digest, one for each; that of a later entry counts, as in imgpkg's maps."""
    distinct = {each.digest: each for each in described}
    return tuple(distinct[digest] for digest in sorted(distinct))


def _usual_member(index: Manifest) -> Digest | None:
    """Return the first member of an index that is for linux/amd64, or does not say what it is for."""
    for child in index.children:
        if child.platform is None or child.platform.matches(_USUAL_PLATFORM):
            return child.digest
    return None


def _by_digest(entries: Iterable[ImageRef]) -> dict[Digest, ImageRef]:
    return {entry.digest: entry for entry in entries}


def _read_manifest(question: tuple[Source, str]) -> Manifest | StoreError:
    """Return a manifest, or why it is not to be had; other faults are raised."""
    store, wanted = question
    try:
        return store.read_manifest(wanted)
    except (NotFound, AccessDenied) as error:
        return error


def _required(files: Mapping[str, bytes], name: str, found: _Found) -> bytes:
    if name not in files:
        raise InvalidContent(f"{found.image}: {name} is missing: it is not what its label or tag says")
    return files[name]


def _metadata(content: bytes | None, image: str) -> dict[str, str]:
    """Return the texts in the metadata of a bundle.yml; none for one that is absent or not in order.

    imgpkg carries that file along unread, so whatever others put there is no reason to fail.
    """
    from bundlepipe.documents.yaml.reader import load_one

    try:
        data = load_one(content or b"{}", f"{image}: {BUNDLE_METADATA}").data
    except DocumentError:
        return {}
    metadata = data.get("metadata") if isinstance(data, dict) else None
    if not isinstance(metadata, dict):
        return {}
    return {key: value for key, value in metadata.items() if isinstance(value, str)}
