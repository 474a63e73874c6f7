"""What a copy is asked for: its source, a place or a lock, becomes the manifests to begin with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.stores.homes import Homes
from bundlepipe.stores.protocol import LockEntry, Root, Source
from bundlepipe.verbs.copying.items import Wanted
from bundlepipe.verbs.copying.present import Present
from bundlepipe.verbs.copying.request import CopyRequest


def roots_of(request: CopyRequest, homes: Homes) -> Iterable[Root]:
    """Return what the source of a copy stands for, read when it is taken; NotFound at once for a missing file."""
    source = request.source
    if isinstance(source, ImagesLock):
        return _of_images(source, homes)
    if isinstance(source, BundleLock):
        return _of_bundle(source, homes)
    return homes.roots(source)


def _of_images(lock: ImagesLock, homes: Homes) -> Iterator[Root]:
    for place, entry in enumerate(lock.images):
        yield Root(
            source=homes.repository(entry.image.repository),
            identifier=entry.digest,
            origin=entry.image,
            entries=partial(tuple, (LockEntry(place, entry.annotations),)),
        )


def _of_bundle(lock: BundleLock, homes: Homes) -> Iterator[Root]:
    for root in homes.roots(lock.image):
        yield replace(root, tag=lock.tag or root.tag, tag_beside=None, name=None)


def wanted(roots: Iterable[Root], request: CopyRequest, present: Present) -> Iterator[Wanted]:
    """Yield what is to be found; StoreError and its kin where the source cannot be read."""
    for root in roots:
        tag = root.tag or (None if request.as_imgpkg else root.tag_beside)
        # More images of a lock than one are refused by whoever knows all of them.
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
    """Return who has a root, and by which digest or tag.

    That is the destination where its tag names the very image already, and the source would have to make a manifest.
    """
    there = present.named(tag) if root.image_id and tag and not request.include_non_distributable else None
    if present.store and there and not there.is_index and there.config.digest == root.image_id:
        return present.store, there.digest
    return root.source, root.identifier
