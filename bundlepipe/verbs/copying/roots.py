"""The roots of a copy: from its source, a location or a lock, to the manifests to start with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from msgspec.structs import replace

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import LockEntry, Root, Source
from bundlepipe.verbs.copying.items import Wanted
from bundlepipe.verbs.copying.present import Present
from bundlepipe.verbs.copying.request import CopyRequest


def roots_of(request: CopyRequest, stores: Stores) -> Iterable[Root]:
    """Return the roots of a copy's source, read when iterated; NotFound immediately for a missing file."""
    source = request.source
    if isinstance(source, ImagesLock):
        return _of_images(source, stores)
    if isinstance(source, BundleLock):
        return _of_bundle(source, stores)
    return stores.roots(source)


def _of_images(lock: ImagesLock, stores: Stores) -> Iterator[Root]:
    for place, entry in enumerate(lock.images):
        yield Root(
            source=stores.repository(entry.image.repository),
            identifier=entry.digest,
            origin=entry.image,
            entries=partial(tuple, (LockEntry(place, entry.annotations),)),
        )


def _of_bundle(lock: BundleLock, stores: Stores) -> Iterator[Root]:
    for root in stores.roots(lock.image):
        yield replace(root, tag=lock.tag or root.tag, tag_beside=None, name=None)


def wanted(roots: Iterable[Root], request: CopyRequest, present: Present) -> Iterator[Wanted]:
    """Yield the manifests to find; StoreError and its subclasses if the source cannot be read."""
    for root in roots:
        tag = root.tag or (None if request.as_imgpkg else root.tag_beside)
        # A lock with more than one image is refused by the caller, which knows all of them.
        if root.is_root and request.tag and request.location:
            tag = request.tag
        place, identifier = _place(root, tag, request, present)
        yield Wanted(
            identifier=identifier,
            places=(place,),
            origin=root.origin,
            reference=root.reference,
            name=root.name,
            tag=tag,
            is_root=root.is_root,
            perhaps_shallow=root.perhaps_shallow,
            entries=root.entries(),
            manifest=root.manifest,
            subject=root.subject,
        )


def _place(root: Root, tag: str | None, request: CopyRequest, present: Present) -> tuple[Source, str]:
    """Return the source of a root, and its digest or tag there.

    It is the destination if its tag already names the same image, and the source would have to create a manifest.
    """
    there = present.named(tag) if root.image_id and tag and not request.include_non_distributable else None
    if present.store and there and not there.is_index and there.config.digest == root.image_id:
        return present.store, there.digest
    return root.source, root.identifier
