"""What imgpkg makes of a copy where ours would tell more: names of images, origins in tars, locks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.verbs.copying.attached import is_attachment
from bundlepipe.verbs.copying.items import Item


def names(items: Sequence[Item], repository: Repository | None) -> Iterator[tuple[str, Item]]:
    """Yield images and indexes by what imgpkg calls them when it tells of their layers, in its order.

    Without a repository of the destination they are called by where they were found. The
    members of an index follow it.
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
    """Tell whether a tar says how its images were first named: where a bundle is copied by its reference."""
    is_lock = isinstance(source, BundleLock | ImagesLock)
    return not is_lock and any(item.is_root and item.is_bundle and item.source.repository for item in items)


def has_origin(item: Item) -> bool:
    """Tell whether an image may have such a name: what cosign attached to others has none."""
    return item.is_root or not any(map(is_attachment, item.tags))


def images_lock(items: Sequence[Item], repository: Repository) -> ImagesLock:
    """Return the lock of images that were copied by other means than a lock: signatures are among them."""
    listed = sorted(_listed(items), key=lambda item: str(item.reference))
    return ImagesLock(tuple(ImageRef(repository.at(item.digest)) for item in listed for _ in item.tags or (None,)))


def _listed(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.is_listed]
