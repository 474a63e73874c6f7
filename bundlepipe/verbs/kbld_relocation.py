"""kbld's package, unpackage and relocate: copy images that configuration names to a tar file or one repository.

Each is copied only as an image or index: bundles count as plain images, and attached artifacts are not copied.
At the destination it has the tag `kbld-sha256-DIGEST`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from msgspec import Struct

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.concurrency.single_flight import SingleFlight
from bundlepipe.documents.kbld.config import KbldConfig, overrides_to_bytes
from bundlepipe.documents.search.rules import ImageMatcher
from bundlepipe.errors import BundlepipeError, InvalidContent, InvalidReference, StoreError
from bundlepipe.events import CopyPlanned, Emit
from bundlepipe.limits import LARGEST_CONFIG
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.go_names import is_digest_form, unspelled_problem
from bundlepipe.oci.labels import diff_ids_of
from bundlepipe.oci.manifest import Descriptor, Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import AnnouncedImage, Root, Source, Store, find_manifest, read_manifests, read_whole
from bundlepipe.verbs.copying.delivery import Delivery
from bundlepipe.verbs.copying.items import Item
from bundlepipe.verbs.copying.present import Present
from bundlepipe.verbs.images.texts import Configuration
from bundlepipe.verbs.shared.blobs import pass_on_blob

# go-containerregistry's code for a manifest that a registry does not have.
_UNKNOWN = "MANIFEST_UNKNOWN"
_OLD_FORMAT = (
    "Encountered an error most likely because this image is in Docker Registry v1 format; "
    "only v2 or OCI image format is supported (underlying error: {})"
)


# No real index is nested so deeply, or lists so many: one that lists another twice, and so on, grows without
# limit.
_DEEPEST_INDEX = 32
_MOST_MANIFESTS = 100_000


class RelocatedImage(Struct, frozen=True):
    """An image or index, the source of its layers, and where it was found.

    `manifests` are its own and all below it, `configs` the configurations that had to be read.
    """

    source: Source
    reference: Reference
    manifests: Mapping[Digest, Manifest]
    configs: Mapping[Digest, bytes]

    @property
    def digest(self) -> Digest:
        """The digest of the image or index."""
        return next(iter(self.manifests))

    @property
    def image(self) -> Reference:
        """Where it was found, with its digest."""
        return self.reference.repository.at(self.digest)


def named_images(configuration: Configuration) -> list[str]:
    """Return the images in resources and in locks among the configuration, in the order of their texts.

    Raises InvalidReference for the first without a digest.
    """
    found = {image.value for image in configuration.images}
    found |= {image for _, image in _locked(configuration.rules)}
    for image in sorted(found):
        if not is_digest_form(image):
            raise InvalidReference(f"Expected image '{image}' to be in digest form (i.e. image@digest)")
    return sorted(found)


def spelled(image: str) -> Reference:
    """Return the complete reference in a text, as of a resolved image; else InvalidReference."""
    problem = unspelled_problem(image)
    if problem:
        raise InvalidReference(f"{image}: {problem}", drop_in=problem)
    return Reference.parse(image)


def read_images(references: Sequence[Reference], stores: Stores) -> list[RelocatedImage]:
    """Return the images with these digests from registries; StoreError, InvalidContent."""
    reading = _Reading(stores)

    def read(reference: Reference) -> RelocatedImage:
        found = reading.read(reference)
        return RelocatedImage(stores.repository(reference.repository), found.reference, found.manifests, found.configs)

    with _told("Collecting packaging metadata: {}"):
        return in_parallel(read, references)


class _Read(Struct, frozen=True):
    """An image or index that was read; `count` includes repeated manifests, as they are written."""

    reference: Reference
    manifests: Mapping[Digest, Manifest]
    configs: Mapping[Digest, bytes]
    count: int


class _Reading:
    """Reads images and the members of indexes, each once, even if several indexes list it."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._flights: SingleFlight[_Read] = SingleFlight()
        self._known: dict[Reference, _Read] = {}

    def read(self, reference: Reference, depth: int = 0) -> _Read:
        """Return the image or index with a digest, `depth` indexes below a root."""
        if reference not in self._known:
            self._known[reference], _ = self._flights.do(reference, lambda: self._read(reference, depth))
        return self._known[reference]

    def _read(self, reference: Reference, depth: int) -> _Read:
        assert reference.digest
        store, by_digest = self._stores.repository(reference.repository), reference.repository.at(reference.digest)
        if depth > _DEEPEST_INDEX:
            raise InvalidContent(f"{by_digest}: lies below more than {_DEEPEST_INDEX} indexes: that is not followed")
        with _told(f"Working with {by_digest}: {{}}", unknown=_OLD_FORMAT):
            manifest = store.read_manifest(reference.digest)
        if not manifest.is_index:
            config = read_whole(store, manifest.config, LARGEST_CONFIG)
            _check_is_image(manifest, config, by_digest)
            return _Read(reference, {manifest.digest: manifest}, {manifest.digest: config}, 1)
        members = [reference.repository.at(child.digest) for child in manifest.children]
        found = in_parallel(lambda member: self.read(member, depth + 1), members)
        count = 1 + sum(each.count for each in found)
        if count > _MOST_MANIFESTS:
            raise InvalidContent(f"{by_digest}: lists more than {_MOST_MANIFESTS} manifests, itself or by others")
        manifests: dict[Digest, Manifest] = {manifest.digest: manifest}
        configs: dict[Digest, bytes] = {}
        for each in found:
            manifests |= each.manifests
            configs |= each.configs
        return _Read(by_digest, manifests, configs, count)


def _check_is_image(manifest: Manifest, config: bytes, reference: Reference) -> None:
    """Raise InvalidContent unless a configuration has a DiffID for each layer: kbld copies no other artifacts."""
    layers, known = len(manifest.layers), len(diff_ids_of(config, str(reference)))
    if layers and known != layers:
        raise InvalidContent(
            f"{reference}: the image configuration has the DiffIDs of {known} layers, and the manifest has {layers}: "
            "it is not an image: use copy",
            drop_in=f"Collecting packaging metadata: mismatched fs layers ({layers}) and diff ids ({known})",
        )


@contextmanager
def _told(words: str, unknown: str = "{}") -> Iterator[None]:
    """Add kbld's words to errors of a registry in this block; `unknown` are further ones for a missing manifest."""
    try:
        yield
    except StoreError as error:
        drop_in = error.drop_in or str(error)
        error.drop_in = words.format(unknown.format(drop_in) if _UNKNOWN in drop_in else drop_in)
        raise


def read_archive(path: str, stores: Stores) -> list[RelocatedImage]:
    """Return the images in a tar file of kbld or imgpkg; NotFound, StoreError, InvalidContent."""
    try:
        return [_archived(root) for root in stores.roots(ArchiveLocation(path))]
    except InvalidContent as error:
        # imgpkg's hint names an option that kbld lacks.
        error.drop_in = error.drop_in and error.drop_in.partition(" (hint: ")[0]
        raise


def _archived(root: Root) -> RelocatedImage:
    assert root.reference, "whatever is in a tar comes with a reference"
    return RelocatedImage(root.source, root.reference, read_manifests(root.source, root.identifier), {})


def write_archive(carried: Sequence[RelocatedImage], path: str, stores: Stores, emit: Emit) -> None:
    """Write the tar file of images, once all content is available; StoreError, IntegrityError, InvalidContent."""
    layers = _layers(carried)
    announced = [image for each in carried for image in _announced(each)]
    target = stores.destination(ArchiveLocation(path), as_kbld=True)
    with target.accepting(announced, _left_out(carried), resume=False, about_to=lambda: None) as archive:
        names = tuple(str(each.image) for each in carried)
        emit(CopyPlanned(len(carried), len(layers), sum(layer.size for _, layer in layers.values()), names))
        in_parallel(lambda layer: pass_on_blob(layer[0], archive, layer[1], emit), layers.values())


def _announced(carried: RelocatedImage) -> Iterator[AnnouncedImage]:
    for digest, manifest in carried.manifests.items():
        yield AnnouncedImage(
            manifest=manifest,
            reference=carried.reference,
            config=carried.configs.get(digest, b""),
            is_listed=digest == carried.digest,
        )


def _layers(carried: Sequence[RelocatedImage]) -> dict[Digest, tuple[Source, Descriptor]]:
    """Return the layers that may be redistributed, each with its source."""
    found: dict[Digest, tuple[Source, Descriptor]] = {}
    for each in carried:
        for manifest in each.manifests.values():
            for layer in () if manifest.is_index else manifest.layers:
                if not layer.is_non_distributable:
                    found.setdefault(layer.digest, (each.source, layer))
    return found


def _left_out(carried: Sequence[RelocatedImage]) -> set[Digest]:
    """Return the layers that may not be redistributed, unless one of the images lists them as distributable."""
    images = (manifest for each in carried for manifest in each.manifests.values() if not manifest.is_index)
    return {layer.digest for image in images for layer in image.layers} - _layers(carried).keys()


def put_images(carried: Sequence[RelocatedImage], repository: Repository, stores: Stores, emit: Emit) -> dict[str, str]:
    """Copy images to a repository; return their new references by their old ones. StoreError, IntegrityError.

    Content that is already there is not sent again.
    """
    store = stores.repository(repository, writes=True)
    present = Present(store)
    lend = partial(_lender, stores=stores, store=store)
    items: dict[Digest, Item] = {}
    for each in carried:
        for digest, manifest in each.manifests.items():
            if digest not in items:
                items[digest] = _item(each, manifest, lend(each.image.repository))
        items[each.digest].is_listed = True
    _find_complete(list(items.values()), present, store)
    Delivery(
        list(items.values()),
        store,
        present,
        left_out=_left_out(carried),
        tag_of=lambda digest, _: _tag(digest),
        tags_members=False,
    ).run(emit)
    return {str(each.image): str(repository.at(each.digest)) for each in carried}


def _item(carried: RelocatedImage, manifest: Manifest, lender: Source | None) -> Item:
    image = carried.image.with_digest(manifest.digest)
    return Item(
        manifest=manifest,
        source=carried.source,
        places=(carried.source,),
        reference=image,
        origin=image,
        is_complete=False,
        lender=lender,
        config=carried.configs.get(manifest.digest),
    )


def _find_complete(items: Sequence[Item], present: Present, store: Store) -> None:
    """Find out what the destination already has: a member of an index has no tag."""

    def is_there(item: Item) -> bool:
        if item.is_listed:
            return present.find(_tag(item.digest), item.digest) is not None
        return find_manifest(store, item.digest) is not None

    for item, is_complete in zip(items, in_parallel(is_there, items), strict=True):
        item.is_complete = is_complete


def _lender(came_from: Repository, stores: Stores, store: Store) -> Source | None:
    """Return the repository of an image if the destination can mount blobs from it."""
    here = store.repository
    is_sibling = here and here.registry == came_from.registry and here != came_from
    return stores.repository(came_from) if is_sibling else None


def _tag(digest: Digest) -> str:
    return f"kbld-{digest.algorithm}-{digest.encoded}"


def _locked(rules: KbldConfig) -> Iterator[tuple[ImageMatcher, str]]:
    """Yield the resolved references in locks among the configuration, with their results."""
    for override in rules.overrides:
        if override.preresolved:
            yield override.matcher, override.new_image or ""


def lock_of(rules: KbldConfig, moved: Mapping[str, str]) -> bytes:
    """Return the configuration of `--lock-output`, for images and their new references; BundlepipeError.

    The locks among the rules come first, with the new references of their images.
    """
    overrides = []
    for matcher, image in _locked(rules):
        if image not in moved:
            raise BundlepipeError(f"Expected to find imported image for '{image}'")
        overrides.append((matcher, moved[image]))
    overrides += [(ImageMatcher(image), moved[image]) for image in sorted(moved)]
    return overrides_to_bytes(overrides, rules.search_rules)


def moved_documents(configuration: Configuration, moved: Mapping[str, str]) -> list[bytes]:
    """Return the documents with new references of images; BundlepipeError with all that have none."""
    missing = [f"\n- Expected to find image for '{it.value}'" for it in configuration.images if it.value not in moved]
    if missing:
        raise BundlepipeError("".join(missing))
    return [block for file in configuration.files for block in file.printed(moved)]
