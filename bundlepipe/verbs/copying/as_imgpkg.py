"""imgpkg's variants of a copy's results: names of images, origins in tar files, locks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.verbs.copying.attached import is_attachment
from bundlepipe.verbs.copying.items import Item


def names(items: Sequence[Item], repository: Repository | None) -> Iterator[tuple[str, Item]]:
    """Yield images and indexes with the names that imgpkg uses when it reports their layers, in its order.

    If the destination is not a repository, the names are where they were found. The members of an
    index follow it.
    """
    by_digest = {item.digest: item for item in items}

    def named(item: Item, place: Reference) -> Iterator[tuple[str, Item]]:
        yield str(repository.at(item.digest) if repository else place.with_digest(item.digest)), item
        for child in item.manifest.children if item.manifest.is_index else ():
            if child.digest in by_digest:
                yield from named(by_digest[child.digest], place)

    for item in sorted(_listed(items), key=lambda item: str(item.reference) if repository else item.digest):
        yield from named(item, item.reference)


def origins_are_told(source: object, items: Sequence[Item]) -> bool:
    """Return whether a tar file records the original names of its images: if a bundle is copied by reference."""
    is_lock = isinstance(source, BundleLock | ImagesLock)
    return not is_lock and any(item.is_root and item.is_bundle and item.source.repository for item in items)


def has_origin(item: Item) -> bool:
    """Return whether an image may have an origin: an artifact that cosign attached to another image has none."""
    return item.is_root or not any(map(is_attachment, item.tags))


def images_lock(items: Sequence[Item], repository: Repository) -> ImagesLock:
    """Return the lock of images that were copied without a lock: signatures are included."""
    listed = sorted(_listed(items), key=lambda item: str(item.reference))
    return ImagesLock(tuple(ImageRef(repository.at(item.digest)) for item in listed for _ in item.tags or (None,)))


def _listed(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.is_listed]
