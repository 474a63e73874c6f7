"""Second half of a copy: write blobs, manifests and tags to the destination, in a safe order.

Everything is a step with prerequisites: a manifest comes after its blobs and members, a bundle
after its images, locations images after everything, the tags of the roots last. A tag is only there
if everything else is; an interruption leaves nothing that looks complete.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import IO, cast

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.concurrency.parallel import in_parallel, run_in_order
from bundlepipe.concurrency.single_flight import Once
from bundlepipe.documents.imgpkg.image_locations import ImageLocation, ImageLocations
from bundlepipe.errors import AccessDenied, LayersMissing, StoreError
from bundlepipe.events import BlobDone, CopyPlanned, Emit, ImageDone
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.protocol import Destination, Source, Store, find_manifest
from bundlepipe.verbs.copying.items import Item
from bundlepipe.verbs.copying.present import Present
from bundlepipe.verbs.shared.blobs import Mounts, pass_on_blob, put_tagged, send_blob
from bundlepipe.verbs.shared.bundles import internal_tag, locations_tag
from bundlepipe.verbs.shared.image_locations import make_locations

Step = tuple[str, str]

_ARRIVED: Step = ("arrived", "")


class _Blob(Struct, frozen=True):
    """A blob, its source, a repository to mount it from, and its content if it was already read."""

    descriptor: Descriptor
    source: Source
    lender: Source | None
    open_content: Callable[[], IO[bytes]] | None


class Delivery:
    """The steps to do at the destination.

    `items` is everything that the destination should have, in order. `left_out` are layers not to
    copy, `tag_of` returns the tag that makes a registry keep a manifest. If `tags_members` is
    false, members of indexes get no tags: an index keeps them.
    """

    def __init__(
        self,
        items: Sequence[Item],
        destination: Destination,
        present: Present,
        *,
        left_out: Collection[Digest],
        tag_of: Callable[[Digest, Reference], str],
        tags_members: bool = True,
    ) -> None:
        self._tags_members = tags_members
        self._items = {item.digest: item for item in items}
        self._destination = destination
        self._present = present
        self._left_out = left_out
        self._tag_of = tag_of
        self._there: dict[Digest, Descriptor] = {}
        self._blobs: dict[Digest, _Blob] = {}
        # Whether a tag or an image-locations image was written; blobs and images are reported as
        # events.
        self.has_tagged = False
        self._mounts = Mounts(destination)
        self._put: Once[object] = Once()
        self._find_blobs()

    def run(self, emit: Emit) -> None:
        """Run all steps. Raises StoreError, IntegrityError."""
        self._settle_missing()
        blobs = [*self._there.values(), *(blob.descriptor for blob in self._blobs.values())]
        names = tuple(sorted(str(item.reference) for item in self._items.values() if item.is_listed))
        emit(CopyPlanned(len(self._items), len(blobs), sum(blob.size for blob in blobs), names))
        for descriptor in self._there.values():
            emit(BlobDone(descriptor.digest, descriptor.size, "present"))
        for item in self._items.values():
            if item.is_complete:
                emit(ImageDone(self._name(item), "present"))
        run_in_order(self._steps(), self._do, emit)

    def _find_blobs(self) -> None:
        """Choose a source for each blob: the first that has it, or better the first that can be mounted from."""
        for item in self._items.values():
            for blob in self._blobs_of(item):
                if item.is_complete:
                    if not blob.is_non_distributable:
                        self._there[blob.digest] = blob
                elif blob.digest not in self._blobs or (item.lender and not self._blobs[blob.digest].lender):
                    self._blobs[blob.digest] = _Blob(blob, item.source, item.lender, _content_of(item, blob))
        for digest in self._there:
            self._blobs.pop(digest, None)

    def _blobs_of(self, item: Item) -> Iterator[Descriptor]:
        if item.manifest.is_index:
            return
        # An archive has configurations together with the manifests.
        if self._present.store:
            yield item.manifest.config
        yield from (layer for layer in item.manifest.layers if layer.digest not in self._left_out)

    def _settle_missing(self) -> None:
        """Raise StoreError, before anything is written, for blobs that source, destination and origin all lack.

        The origin is asked only if it is in the destination's registry: a user who carries a tar file across an
        air gap expects no connection back.
        """
        missing = [blob for blob in self._blobs.values() if blob.source.is_local and not _has(blob)]
        store = self._present.store
        are_there = in_parallel(lambda blob: store is not None and store.has_blob(blob.descriptor), missing)
        lacking = [blob for blob, is_there in zip(missing, are_there, strict=True) if not is_there]
        lent = in_parallel(_is_lent, lacking)
        for blob in (blob for blob, is_lent in zip(lacking, lent, strict=True) if is_lent):
            assert blob.lender
            self._blobs[blob.descriptor.digest] = replace(blob, source=blob.lender)
        lacking = [blob for blob, is_lent in zip(lacking, lent, strict=True) if not is_lent]
        if lacking:
            digests = ", ".join(sorted(blob.descriptor.digest for blob in lacking))
            if any(blob.descriptor.is_non_distributable for blob in lacking):
                raise _absence(lacking[0])
            layers, them = ("1 layer", "it") if len(lacking) == 1 else (f"{len(lacking)} layers", "them")
            raise LayersMissing(
                f"{lacking[0].source.name} leaves out {layers}, and {self._destination.name} does not have {them}: "
                f"{digests}: copy the earlier tar or images there first"
            )
        for blob, is_there in zip(missing, are_there, strict=True):
            if is_there:
                self._there[blob.descriptor.digest] = self._blobs.pop(blob.descriptor.digest).descriptor

    def _steps(self) -> dict[Step, list[Step]]:
        """Return every step with the steps it comes after."""
        steps: dict[Step, list[Step]] = {("blob", digest): [] for digest in self._blobs}
        for item in self._items.values():
            if not item.is_complete or self._destination.keeps_untagged:
                steps["manifest", item.digest] = list(self._before(item))
        store = self._present.store
        # A locations image means that all images are there, whichever bundle nests them.
        steps[_ARRIVED] = list(steps)
        for item in self._items.values() if store else ():
            if item.lock is not None and self._needs_locations(item):
                steps["locations", item.digest] = [_ARRIVED]
            if item.tags and item.subject is None and not item.is_root:
                steps["tags", item.digest] = [("manifest", item.digest)]
        everything = list(steps)
        for item in self._items.values() if store else ():
            if item.is_root and item.tags:
                steps["tags", item.digest] = everything
        return {step: [other for other in before if other in steps] for step, before in steps.items()}

    def _before(self, item: Item) -> Iterator[Step]:
        for blob in self._blobs_of(item):
            yield "blob", blob.digest
        for child in item.manifest.children if item.manifest.is_index else ():
            yield "manifest", child.digest
        for image in item.lock.images if item.lock else ():
            yield "manifest", image.digest
        if item.subject:
            yield "manifest", item.subject

    def _do(self, step: Step, emit: Emit) -> None:
        kind, digest = step
        if kind == "blob":
            self._deliver_blob(self._blobs[Digest(digest)], emit)
        if not digest or kind == "blob":
            return
        item = self._items[Digest(digest)]
        if kind == "manifest":
            was_put = self._put_manifest(item)
            if not item.is_complete:
                emit(ImageDone(self._name(item), "copied" if was_put else "present"))
        elif kind == "locations":
            self._put_locations(item)
        else:
            self._put_tags(item)

    def _deliver_blob(self, blob: _Blob, emit: Emit) -> None:
        if blob.lender and self._mounts.take(blob.descriptor, blob.lender, emit):
            return
        if blob.open_content:
            send_blob(self._destination, blob.descriptor, blob.open_content, emit, blob.source)
        else:
            pass_on_blob(blob.source, self._destination, blob.descriptor, emit)

    def _put_manifest(self, item: Item) -> bool:
        if item.subject:
            return self._destination.put_referrers(item.manifest, item.subject)
        is_kept = item.is_listed or self._tags_members
        if self._present.store is None or self._destination.keeps_untagged or not is_kept:
            self._destination.put_manifest(item.manifest)
        else:
            put_tagged(self._present.store, item.manifest, self._tag_of(item.digest, item.origin))
        return True

    def _needs_locations(self, item: Item) -> bool:
        tag = locations_tag(item.digest)
        if self._present.tags:
            return tag not in self._present.tags
        return self._present.named(tag) is None

    def _put_locations(self, item: Item) -> None:
        store = cast(Store, self._present.store)
        assert item.lock is not None
        images = {image.digest: image.image for image in item.lock.images}
        manifest, blobs = make_locations(
            ImageLocations(
                tuple(ImageLocation(image, is_bundle=self._items[digest].is_bundle) for digest, image in images.items())
            )
        )
        for blob in (*manifest.layers, manifest.config):
            # Bundles with the same images have the same one, and other threads may put it at the same time.
            self._put.get(blob.digest, partial(store.put_blob, blob, partial(io.BytesIO, blobs[blob.digest])))
        if not store.keeps_untagged:
            self._put.get(manifest.digest, partial(put_tagged, store, manifest, internal_tag(manifest.digest)))
        self.has_tagged = True
        try:
            store.put_manifest(manifest, locations_tag(item.digest))
        except StoreError:
            # Tags may be immutable there: one that another tool wrote is good enough.
            if find_manifest(store, locations_tag(item.digest)) is None:
                raise

    def _put_tags(self, item: Item) -> None:
        store = cast(Store, self._present.store)
        for tag in item.tags:
            named = self._present.named(tag)
            if named is None or named.digest != item.digest:
                put_tagged(store, item.manifest, tag)
                self.has_tagged = True

    def _name(self, item: Item) -> str:
        repository = self._destination.repository
        return str(repository.at(item.digest) if repository else item.reference)


def _content_of(item: Item, blob: Descriptor) -> Callable[[], IO[bytes]] | None:
    """Return how to open a blob that an earlier step already read."""
    if blob.digest == item.manifest.config.digest and item.config is not None:
        config = item.config
        return lambda: io.BytesIO(config)
    return item.layer


def _has(blob: _Blob) -> bool:
    return blob.open_content is not None or blob.source.has_blob(blob.descriptor)


def _is_lent(blob: _Blob) -> bool:
    """Return whether the repository that a blob came from still has it; a refusal counts as absence."""
    if not blob.lender or not blob.descriptor.is_non_distributable:
        return False
    try:
        return blob.lender.has_blob(blob.descriptor)
    except AccessDenied:
        return False


def _absence(blob: _Blob) -> StoreError:
    """Return the error of a source that lacks a blob."""
    try:
        with closing(blob.source.read_blob(blob.descriptor)) as chunks:
            next(chunks, None)
    except StoreError as error:
        return error
    return StoreError(f"{blob.source.name}: lacks {blob.descriptor.digest}")
