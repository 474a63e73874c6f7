"""Collect the contents of a bundle from its sources, level by level.

All bundles of a level are read at once, then all their images are found at once, and nested bundles
form the next level. So each request is sent once, and results need no locks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct, field

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.documents.imgpkg.any_lock import parse_of_bundle
from bundlepipe.documents.imgpkg.image_locations import FILE_NAME, ImageLocations
from bundlepipe.documents.imgpkg.images_lock import ImageRef
from bundlepipe.documents.imgpkg.paths import BUNDLE_METADATA, IMAGES_LOCK
from bundlepipe.errors import AccessDenied, DocumentError, InvalidContent, NotFound, StoreError
from bundlepipe.events import Emit
from bundlepipe.limits import LARGEST_DOCUMENT, LARGEST_LOCATIONS
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers.files import read_files
from bundlepipe.oci.manifest import Manifest, Platform
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Source, find_manifest
from bundlepipe.verbs.copying.present import tags_of
from bundlepipe.verbs.shared.blobs import receive_blob
from bundlepipe.verbs.shared.bundles import is_bundle, locations_tag

_USUAL_PLATFORM = Platform("linux", "amd64")


class Found(Struct, frozen=True):
    """A manifest and the store that it was found in."""

    store: Source
    manifest: Manifest

    @property
    def key(self) -> tuple[str, Digest]:
        """The key for equal ones."""
        return self.store.name, self.manifest.digest

    @property
    def image(self) -> str:
        """Its name in messages."""
        return f"{self.store.name}@{self.manifest.digest}"


class Image(Struct, frozen=True):
    """An image of a bundle: its entry in images.yml, its location, and whether it is a bundle itself."""

    entry: ImageRef
    found: Found
    is_bundle: bool


class Bundle(Struct):
    """A bundle that was read: the images in its images.yml by digest, its metadata, and its image-locations image."""

    found: Found
    entries: Mapping[Digest, ImageRef]
    metadata: Mapping[str, str]
    locations_image: Found | None
    bundles_known: Mapping[Digest, bool]
    images: list[Image] = field(default_factory=list)


class Survey:
    """All requests so far, with their results."""

    def __init__(self, stores: Stores, emit: Emit, suffixes: Collection[str]) -> None:
        self._suffixes = suffixes
        self._stores = stores
        self._emit = emit
        self._answers: dict[tuple[str, str], Manifest | StoreError] = {}
        self._have_label: dict[Digest, bool] = {}
        self._tags: dict[str, frozenset[str] | None] = {}
        self.bundles: dict[tuple[str, Digest], Bundle] = {}
        # The names of nested bundles, and of those around them, the outermost first.
        self._names: dict[tuple[str, Digest], tuple[str, ...]] = {}

    def find_all(self, root: Found) -> None:
        """Read a bundle and all its nested bundles, and find their images."""
        level = {root.key: root}
        while level:
            bundles = in_parallel(self._read_bundle, level.values())
            self.bundles.update(zip(level, bundles, strict=True))
            self._find_images(bundles)
            nested = (image.found for bundle in bundles for image in bundle.images if image.is_bundle)
            level = {found.key: found for found in nested if found.key not in self.bundles}

    def find_artifacts(self, root: Found) -> None:
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
            found = (Found(store, answer) for store, answer in answers if isinstance(answer, Manifest))
            indexes = [each for each in found if each.manifest.is_index]

    def image_of(self, found: Found) -> Manifest | None:
        """Return an image, or that of an index for linux/amd64, if it was looked for; None if there is none."""
        manifest = found.manifest
        while manifest.is_index:
            digest = _usual_member(manifest)
            answer = self._answer(found.store, digest) if digest else None
            if not isinstance(answer, Manifest):
                return None
            manifest = answer
        return manifest

    def artifacts(self, subject: Found) -> dict[str, Found]:
        """Return by tag the cosign artifacts of an image or bundle, if they were looked for."""
        answers = {tag: self._answer(subject.store, tag) for tag in self._possible_artifacts(subject)}
        return {tag: Found(subject.store, answer) for tag, answer in answers.items() if isinstance(answer, Manifest)}

    def _possible_artifacts(self, subject: Found) -> list[str]:
        digest = subject.manifest.digest
        tags = (f"{digest.algorithm}-{digest.encoded}{suffix}" for suffix in self._suffixes)
        known = self._tags.get(subject.store.name, frozenset())
        return [tag for tag in tags if known is None or tag in known]

    def _read_bundle(self, found: Found) -> Bundle:
        files = self._read_files(found, (IMAGES_LOCK, BUNDLE_METADATA))
        lock = parse_of_bundle(_required(files, IMAGES_LOCK, found), f"{found.image}: {IMAGES_LOCK}")
        metadata = _metadata(files.get(BUNDLE_METADATA), found.image)
        tag = locations_tag(found.manifest.digest)
        manifest = find_manifest(found.store, tag)
        if manifest is None:
            return Bundle(found, _by_digest(lock.images), metadata, None, {})
        image = Found(found.store, manifest)
        content = _required(self._read_files(image, (FILE_NAME,), LARGEST_LOCATIONS), FILE_NAME, image)
        locations = ImageLocations.parse(content, f"{found.store.name}:{tag}: {FILE_NAME}").locations
        known = {location.image.digest: location.is_bundle for location in locations if location.image.digest}
        return Bundle(found, _by_digest(lock.images), metadata, image, known)

    def _read_files(self, found: Found, names: Collection[str], largest: int = LARGEST_DOCUMENT) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for layer in found.manifest.layers:
            files.update(read_files(receive_blob(found.store, layer, self._emit), names, found.image, largest))
        return files

    def _find_images(self, bundles: Iterable[Bundle]) -> None:
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
            bundle.images.append(Image(entry, image, is_nested))

    def _place(self, bundle: Bundle, digest: Digest, entry: ImageRef) -> Found:
        """Return the location of an image, after all requests; NotFound or AccessDenied if it is nowhere."""
        own, origin = bundle.found.store, self._origin(entry)
        for store in (own, origin):
            answer = self._answer(store, digest)
            if isinstance(answer, Manifest):
                return Found(store, answer)
        assert isinstance(answer, StoreError)
        names = self._names.get(bundle.found.key, ())
        around = "".join(f"Retrieving images for bundle '{name}': " for name in names)
        raise type(answer)(
            f"{bundle.found.image}: its image {entry.image} is neither in {own.name} nor at its "
            f"location in {IMAGES_LOCK}: {answer}",
            drop_in=f"Retrieving Images from bundle: {around}Checking image existence: {answer.drop_in or answer}",
        )

    def _look_for_labels(self, images: Iterable[Found]) -> None:
        """Find out which images are bundles; only images with one layer can be, so only those are checked."""
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
        return self._stores.repository(entry.image.repository)

    def _ask(self, lookups: Iterable[tuple[Source, str]]) -> None:
        """Read the manifests of tags or digests that were not yet requested, all at once."""
        new = {(store.name, wanted): (store, wanted) for store, wanted in lookups}
        new = {key: lookup for key, lookup in new.items() if key not in self._answers}
        self._answers.update(zip(new, in_parallel(_read_manifest, new.values()), strict=True))

    def _answer(self, store: Source, wanted: str) -> Manifest | StoreError | None:
        return self._answers.get((store.name, wanted))


def _usual_member(index: Manifest) -> Digest | None:
    """Return the first member of an index that is for linux/amd64, or names no platform."""
    for child in index.children:
        if child.platform is None or child.platform.matches(_USUAL_PLATFORM):
            return child.digest
    return None


def _by_digest(entries: Iterable[ImageRef]) -> dict[Digest, ImageRef]:
    return {entry.digest: entry for entry in entries}


def _read_manifest(lookup: tuple[Source, str]) -> Manifest | StoreError:
    """Return a manifest, or the error if it is not available; other faults are raised."""
    store, wanted = lookup
    try:
        return store.read_manifest(wanted)
    except (NotFound, AccessDenied) as error:
        return error


def _required(files: Mapping[str, bytes], name: str, found: Found) -> bytes:
    if name not in files:
        raise InvalidContent(f"{found.image}: {name} is missing: it is not what its label or tag says")
    return files[name]


def _metadata(content: bytes | None, image: str) -> dict[str, str]:
    """Return the texts in the metadata of a bundle.yml; empty if it is absent or invalid.

    imgpkg copies that file without reading it, so its content is no reason to fail.
    """
    if not content:
        return {}
    from bundlepipe.documents.yaml.reader import load_one

    try:
        data = load_one(content, f"{image}: {BUNDLE_METADATA}").data
    except DocumentError:
        return {}
    metadata = data.get("metadata") if isinstance(data, dict) else None
    if not isinstance(metadata, dict):
        return {}
    return {key: value for key, value in metadata.items() if isinstance(value, str)}
