"""First half of a copy: find every image that the roots reach.

Images are found level by level, each level in parallel: bundles name images, indexes have members,
images have signatures. A manifest is read only once, from the destination if it is there: then the
image is complete, since blobs and members are written before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.concurrency.single_flight import Once
from bundlepipe.documents.imgpkg.any_lock import parse_of_bundle
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.documents.imgpkg.paths import IMAGES_LOCK
from bundlepipe.errors import AccessDenied, InvalidContent, NotFound, StoreError, Unreachable
from bundlepipe.limits import LARGEST_CONFIG
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.labels import BUNDLE_LABEL, labels_of
from bundlepipe.oci.layers.files import read_files
from bundlepipe.oci.manifest import DOCKER_CONFIG, INDEX_TYPES, OCI_CONFIG, Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Source, find_manifest, read_whole
from bundlepipe.verbs.copying.attached import Attachments, is_attachment
from bundlepipe.verbs.copying.items import Item, Scope, Wanted
from bundlepipe.verbs.copying.present import Present
from bundlepipe.verbs.copying.spool import Spool
from bundlepipe.verbs.shared.bundles import locations_tag


class Inventory:
    """Collects `items`, by digest, in an order that does not depend on response times.

    `tag_of` returns the tag under which the destination keeps a manifest permanently, given its
    digest and origin.
    """

    def __init__(
        self, stores: Stores, present: Present, scope: Scope, tag_of: Callable[[Digest, Reference], str]
    ) -> None:
        self.items: dict[str, Item] = {}
        self._stores = stores
        self._present = present
        self._scope = scope
        self._tag_of = tag_of
        self._attachments = Attachments(scope)
        self._has_locations: Once[bool] = Once()
        self._relocated: set[str] = set()
        self._unreachable: set[str] = set()
        self._spool = Spool()

    def close(self) -> None:
        """Release cached layers."""
        self._spool.close()

    def collect(self, wanted: Iterable[Wanted]) -> None:
        """Find the wanted images, and everything that belongs to them.

        Raises NotFound, AccessDenied or Unreachable for unavailable images, naming the sources that
        were tried, InvalidContent and DocumentError for faulty ones.
        """
        level = list(wanted)
        while level:
            unknown = _distinct(each for each in level if each.key not in self.items)
            found = dict(zip(unknown, in_parallel(self._find, unknown.values()), strict=True))
            further: list[Wanted] = []
            for each in level:
                item = self.items.get(each.key) or found[each.key]
                if item.digest not in self.items:
                    self.items[item.digest] = item
                    further += [*self._members(item), *self._images(item)]
                    further += () if self._scope.as_imgpkg else item.attached
                self.items[item.digest].merge(each)
                if self._scope.as_imgpkg and each.is_listed and not is_attachment(each.identifier):
                    further += item.attached
            level = further

    def _find(self, wanted: Wanted) -> Item:
        """Read a manifest, and a bundle's lock; the bundle or index it belongs to is not read here."""
        if ":" in wanted.identifier and Digest(wanted.identifier).algorithm != "sha256":
            raise InvalidContent(f"{wanted.origin or wanted.identifier}: only manifests named by sha256 can be copied")
        source, manifest, is_complete = self._read(wanted)
        reference = _reference(source, wanted, manifest)
        item = Item(
            manifest=manifest,
            source=source,
            places=wanted.places if is_complete else (source,),
            reference=reference,
            origin=wanted.origin or reference,
            is_complete=is_complete,
            named_by=wanted.named_by,
            lender=self._lender(reference.repository),
        )
        if not manifest.is_index:
            self._read_config(item, f"{source.name}@{manifest.digest}")
            if wanted.perhaps_shallow and item.lock and not _has_all(source, item.lock):
                item.is_bundle, item.lock = False, None
        if wanted.subject is None:
            item.attached = tuple(self._attachments.of(item))
        return item

    def _lender(self, came_from: Repository) -> Source | None:
        """Return the repository an image was found in, or archived from, if the destination can mount blobs from it."""
        here = self._present.store and self._present.store.repository
        if here and here.registry == came_from.registry and here != came_from:
            return self._stores.repository(came_from)
        return None

    def _read(self, wanted: Wanted) -> tuple[Source, Manifest, bool]:
        """Return the source of a manifest, the manifest, and whether the destination has it with all its blobs."""
        if wanted.manifest:
            return wanted.places[0], wanted.manifest, False
        store = self._present.store
        by_digest = ":" in wanted.identifier
        takes_attached = self._scope.cosign or self._scope.referrers
        if store and by_digest and wanted.origin and not takes_attached:
            digest = Digest(wanted.identifier)
            manifest = self._find_present(wanted, self._tag_of(digest, wanted.origin), digest)
            if manifest and not self._lacks_blobs(manifest):
                return store, manifest, True
        source, manifest = self._look(wanted)
        return source, manifest, self._is_complete(wanted, source, manifest)

    def _is_complete(self, wanted: Wanted, source: Source, manifest: Manifest) -> bool:
        if self._present.store is None or self._lacks_blobs(manifest):
            return False
        tag = self._tag_of(manifest.digest, wanted.origin or _reference(source, wanted, manifest))
        if wanted.is_root and wanted.tag and tag in (self._present.tags or ()):
            # One request for both: whether the manifest is there, and whether its own tag names it.
            tag = wanted.tag
        return self._find_present(wanted, tag, manifest.digest) is not None

    def _find_present(self, wanted: Wanted, tag: str, digest: Digest) -> Manifest | None:
        if self._present.store and self._scope.as_imgpkg and not wanted.is_listed:
            return find_manifest(self._present.store, digest)
        return self._present.find(tag, digest)

    def _lacks_blobs(self, manifest: Manifest) -> bool:
        """Return whether the destination may have the manifest without all blobs of this copy."""
        return (
            self._scope.non_distributable
            and not manifest.is_index
            and any(layer.is_non_distributable for layer in manifest.layers)
        )

    def _look(self, wanted: Wanted) -> tuple[Source, Manifest]:
        """Look for a manifest in its sources; a refusal counts as absence, as in imgpkg."""
        failures: dict[str, StoreError] = {}
        for place in self._ordered(wanted):
            try:
                return place, place.read_manifest(wanted.identifier)
            except (NotFound, AccessDenied, Unreachable) as error:
                if isinstance(error, Unreachable):
                    self._unreachable.add(place.name)
                failures[place.name] = error
        # The source named by the lock matters more than other possible ones.
        failure = failures[wanted.places[-1].name]
        if wanted.named_by is None:
            raise failure
        reasons = "; ".join(map(str, failures.values()))
        text = f"{wanted.origin} cannot be fetched: {reasons}" if len(failures) > 1 else reasons
        by = "".join(f"Retrieving images for bundle '{name}': " for name in self._nested_around(wanted.named_by))
        drop_in = f"Reading Images from Bundle: {by}Checking image existence: {failure.drop_in or failure}"
        raise type(failure)(text, drop_in=drop_in)

    def _nested_around(self, bundle: Digest | None) -> list[Reference]:
        """Return the names of a bundle and those around it, the outermost first, without the root."""
        names: list[Reference] = []
        while bundle and not (item := self.items[bundle]).is_root:
            names.insert(0, item.origin)
            bundle = item.named_by
        return names

    def _ordered(self, wanted: Wanted) -> list[Source]:
        """Return the sources in the order to try.

        A relocated bundle has its images in its own repository, and their origins must not be
        contacted; a bundle that was never copied has none of them there. If several bundles name an
        image, relocated ones come first.
        """
        orders = sorted(map(self._order, (wanted, *wanted.also)), key=lambda order: order[0])
        places = {place.name: place for _, order in orders for place in order}
        return sorted(places.values(), key=lambda place: place.name in self._unreachable)

    def _order(self, wanted: Wanted) -> tuple[bool, tuple[Source, ...]]:
        """Return whether the first source is unlikely to have it, and the resulting order of sources."""
        own, *others = wanted.places
        is_unlikely = bool(others) and not own.is_local and not self._is_relocated(own, wanted.named_by)
        return is_unlikely, (*others, own) if is_unlikely else wanted.places

    def _is_relocated(self, store: Source, bundle: Digest | None) -> bool:
        def ask() -> bool:
            assert bundle
            try:
                store.resolve(locations_tag(bundle))
            except (NotFound, AccessDenied):
                return False
            return True

        # A copy puts everything into one repository, including nested bundles.
        if store.name not in self._relocated and bundle and self._has_locations.get((store.name, bundle), ask):
            self._relocated.add(store.name)
        return store.name in self._relocated

    def _read_config(self, item: Item, what: str) -> None:
        """Find out whether an image is a bundle, which has exactly one layer, and which images it names."""
        manifest = item.manifest
        has_one_layer = len(manifest.layers) == 1 and not self._scope.shallow
        may_be_bundle = has_one_layer and manifest.config.media_type in (DOCKER_CONFIG, OCI_CONFIG)
        is_bundle = False
        # An image with image locations is a bundle.
        if item.is_complete and may_be_bundle and self._present.tags:
            is_bundle = locations_tag(item.digest) in self._present.tags
        if self._scope.configs or (may_be_bundle and not is_bundle):
            item.config = read_whole(item.source, manifest.config, LARGEST_CONFIG)
            is_bundle = may_be_bundle and BUNDLE_LABEL in labels_of(item.config, what)
        item.is_bundle = is_bundle
        if is_bundle:
            item.lock = self._read_lock(item, what)

    def _read_lock(self, item: Item, what: str) -> ImagesLock | None:
        source, layer = item.source, item.manifest.layers[0]
        if _is_closed(item) and source.is_local and not source.has_blob(layer):
            # A tar file lists all its images, so those that the bundle names are known. Whether the
            # destination has the layer is found out with all others.
            if self._present.store is None or not self._present.store.has_blob(layer):
                return None
            source = self._present.store
        chunks = source.read_blob(layer)
        if not item.is_complete and not item.source.is_local:
            chunks, item.layer = self._spool.keep(chunks, layer.size)
        content = read_files(chunks, (IMAGES_LOCK,), what).get(IMAGES_LOCK)
        if content is None:
            raise InvalidContent(f"{what}: has the label of a bundle, but no {IMAGES_LOCK}")
        return parse_of_bundle(content, f"{what}: {IMAGES_LOCK}")

    def _members(self, item: Item) -> Iterator[Wanted]:
        """Yield the members of an index; for a complete one, only those that may still have content to copy."""
        scope = self._scope
        everything = not item.is_complete or scope.cosign or scope.referrers or scope.non_distributable
        for child in item.manifest.children if item.manifest.is_index else ():
            if everything or child.media_type in INDEX_TYPES:
                origin = item.origin.with_digest(child.digest)
                yield Wanted(identifier=child.digest, places=item.places, origin=origin, is_listed=False)

    def _images(self, item: Item) -> Iterator[Wanted]:
        for image in item.lock.images if item.lock else ():
            places, origin = item.places, self._stores.repository(image.image.repository)
            if not _is_closed(item) and origin.name not in [place.name for place in places]:
                places = (*places, origin)
            yield Wanted(identifier=image.digest, places=places, origin=image.image, named_by=item.digest)


def _is_closed(item: Item) -> bool:
    return any(place.is_closed for place in item.places)


def _has_all(source: Source, lock: ImagesLock) -> bool:
    return all(source.has_manifest(image.digest) for image in lock.images)


def _distinct(level: Iterable[Wanted]) -> dict[str, Wanted]:
    """Return the wanted images by key, each with all sources that any of them has."""
    named: dict[str, list[Wanted]] = {}
    for each in level:
        named.setdefault(each.key, []).append(each)
    return {key: replace(first, also=tuple(also)) for key, (first, *also) in named.items()}


def _reference(source: Source, wanted: Wanted, manifest: Manifest) -> Reference:
    if source.repository:
        return source.repository.at(manifest.digest)
    came_from = wanted.reference or wanted.origin
    assert came_from, "what is in no registry comes with a reference"
    return came_from.with_digest(manifest.digest)
