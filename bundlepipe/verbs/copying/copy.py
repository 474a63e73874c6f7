"""copy: a bundle, and everything it names, goes from any home to any home."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.errors import BundlepipeError, InvalidContent, NotFound
from bundlepipe.events import BlobDone, Emit, Event, ImageDone, ignore
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.archive.manifest import ROOT_BUNDLE_LABEL, ArchivedManifest, LockEntry, lock_entries_label
from bundlepipe.stores.archive.reader import ArchiveStore
from bundlepipe.stores.archive.writer import ArchiveWriter
from bundlepipe.stores.homes import Homes
from bundlepipe.stores.location import ArchiveLocation, EngineLocation
from bundlepipe.verbs.copying import as_imgpkg
from bundlepipe.verbs.copying.delivery import Delivery
from bundlepipe.verbs.copying.inventory import Inventory, Item, Present, Scope, is_attachment
from bundlepipe.verbs.copying.request import Copied, CopiedRoot, CopyRequest, Excluded
from bundlepipe.verbs.copying.roots import wanted
from bundlepipe.verbs.shared.bundles import require_kind


def copy(
    request: CopyRequest, homes: Homes, *, about_to: Callable[[], object] = lambda: None, emit: Emit = ignore
) -> Copied:
    """Make the destination have everything that the source stands for; what is there is not sent again.

    `about_to` is called just before a tar takes its place; what that raises leaves the place as
    it is. Raises StoreError and its kin where a home refuses, IntegrityError for content that is
    not what its digest says, InvalidContent and DocumentError for faulty images and
    bundles, BundlepipeError for a request that makes no sense.
    """
    to_archive = isinstance(request.destination, ArchiveLocation)
    if request.exclude and not to_archive:
        raise BundlepipeError(f"{request.destination}: only a tar can leave out layers that the other side has")
    if any(_is_same_file(request.destination, earlier) for earlier in request.exclude):
        raise BundlepipeError(f"{request.destination}: cannot leave out what is in it alone: write another tar")
    if isinstance(request.source, ArchiveLocation) and not os.path.exists(anchored(request.source.path)):
        # Before a destination is asked, which may take its time.
        raise NotFound(
            f"{request.source}: there is no such file",
            drop_in=f"open {request.source.path}: no such file or directory",
        )
    if isinstance(request.destination, EngineLocation):
        return _load(request, request.destination, homes, emit)
    store = None if isinstance(request.destination, ArchiveLocation) else homes.store(request.destination, writes=True)
    present = Present(store)
    scope = Scope(
        cosign=request.cosign,
        referrers=request.referrers,
        configs=to_archive,
        non_distributable=request.include_non_distributable,
        is_closed=isinstance(request.source, ArchiveLocation),
        shallow=request.shallow,
        as_imgpkg=request.as_imgpkg,
    )
    with closing(Inventory(homes, present, scope, request.tag_of)) as inventory:
        inventory.collect(wanted(request, homes, present))
        return _deliver(request, list(inventory.items.values()), present, homes, about_to, emit)


def _is_same_file(destination: object, earlier: Excluded) -> bool:
    if not isinstance(destination, ArchiveLocation) or not isinstance(earlier, ArchiveLocation):
        return False
    return os.path.realpath(anchored(destination.path)) == os.path.realpath(anchored(earlier.path))


def _load(request: CopyRequest, destination: EngineLocation, homes: Homes, emit: Emit) -> Copied:
    from bundlepipe.verbs.copying.engine import load

    if destination.tag is None:
        raise BundlepipeError(f"{destination}: the destination of a copy is a name: give docker-daemon:NAME[:TAG]")
    source = request.source
    if isinstance(source, ImagesLock) and len(source.images) != 1:
        raise BundlepipeError(
            f"{destination} names one image, and the lock {len(source.images)}: copy each by its name"
        )
    if isinstance(source, BundleLock | ImagesLock):
        source = source.image if isinstance(source, BundleLock) else source.images[0].image
    tally = _Tally(emit)
    tag = request.tag or destination.tag
    loaded = load(source, [destination.tagged(each) for each in (tag, *request.tags)], homes, tally.take)
    root = CopiedRoot(loaded.image_id, tag, is_bundle=False, image=None)
    return tally.copied(roots=(root,), images=1, changed=loaded.changed)


def _deliver(
    request: CopyRequest,
    items: list[Item],
    present: Present,
    homes: Homes,
    about_to: Callable[[], object],
    emit: Emit,
) -> Copied:
    roots = _roots(request, items)
    non_distributable = _non_distributable(request, items)
    skipped = {} if request.include_non_distributable else non_distributable
    left_out = {digest for digests in skipped.values() for digest in digests}
    # One image may call a layer what another one does not.
    left_out.difference_update(digest for item in items for digest in _layers(item, non_distributable=False))
    tally = _Tally(emit)
    if isinstance(request.destination, ArchiveLocation):
        left_out |= _excluded(request.exclude, homes)
        path = request.destination.path
        sizes = _sizes(items, left_out)
        try:
            entries = list(_entries(request, items))
        except RecursionError:
            raise InvalidContent(f"{path}: a tar cannot hold indexes that are nested so deep") from None
        with ArchiveWriter(path, entries, sizes, resume=request.resume, about_to=about_to) as archive:
            for item in items:
                item.is_complete |= archive.is_complete
            delivery = Delivery(items, archive, present, left_out=left_out, tag_of=request.tag_of)
            delivery.run(tally.take)
    else:
        assert present.store
        delivery = Delivery(
            items,
            present.store,
            present,
            left_out=left_out,
            tag_of=request.tag_of,
            tags_members=not request.as_imgpkg,
        )
        delivery.run(tally.take)
    repository = request.destination if isinstance(request.destination, Repository) else None
    copied = tuple(_copied(item, repository) for item in roots)
    return tally.copied(
        roots=copied,
        images=_count(items),
        changed=tally.changed or delivery.has_tagged,
        skipped=skipped,
        has_non_distributable=bool(non_distributable),
        lock=_lock(request, items, roots, repository) if repository else None,
    )


def _roots(request: CopyRequest, items: Sequence[Item]) -> list[Item]:
    """Return what was asked for, with its tags; BundlepipeError for bundles in an ImagesLock."""
    roots = [item for item in items if item.is_root]
    bundles = [item for item in roots if item.is_bundle]
    if isinstance(request.source, ImagesLock) and bundles:
        short = "Unable to copy bundles using an Images Lock file (hint: Create a bundle with these images)"
        raise BundlepipeError(f"{short}: {', '.join(str(item.origin) for item in bundles)}", drop_in=short)
    for item in roots:
        require_kind(item.origin, "copying", is_bundle=item.is_bundle, expected=request.expected)
    if not roots:
        roots = _unlabelled_roots(items)
        for item in roots:
            item.is_root = True
            if request.root_tag:
                item.tags = [request.root_tag]
    if len(roots) == 1:
        roots[0].tags.extend(tag for tag in request.tags if tag not in roots[0].tags)
    elif request.root_tag or request.tags:
        raise BundlepipeError(f"one tag cannot name the {len(roots)} images of the source: leave out the tags")
    return roots


def _unlabelled_roots(items: Sequence[Item]) -> list[Item]:
    """Return what an archive without labels (of a plain image, of a lock, or an old one) was made for.

    That is the bundle which no other one names; where there is no bundle, every image that
    is not attached to one.
    """
    named = {image.digest for item in items if item.lock for image in item.lock.images}
    bundles = [item for item in items if item.is_bundle and item.digest not in named]
    return bundles or [item for item in items if item.is_listed and not any(map(is_attachment, item.tags))]


def _copied(item: Item, repository: Repository | None) -> CopiedRoot:
    image = repository.at(item.digest) if repository else None
    return CopiedRoot(item.digest, item.tags[0] if item.tags else None, item.is_bundle, image)


def _count(items: Iterable[Item]) -> int:
    """Return the number of manifests and indexes; the members of an index that is there were not looked at."""
    digests = {item.digest for item in items}
    for item in items:
        if item.manifest.is_index:
            digests.update(child.digest for child in item.manifest.children)
    return len(digests)


def _non_distributable(request: CopyRequest, items: Sequence[Item]) -> dict[str, tuple[Digest, ...]]:
    """Return layers that must not be redistributed, by the names of their images.

    Those are their origins.
    """
    repository = request.destination if isinstance(request.destination, Repository) else None
    own_names = ((str(item.origin), item) for item in items)
    names = as_imgpkg.names(items, repository) if request.as_imgpkg else own_names
    found = {name: tuple(_layers(item, non_distributable=True)) for name, item in names}
    return {image: digests for image, digests in found.items() if digests}


def _layers(item: Item, *, non_distributable: bool) -> Iterator[Digest]:
    for layer in () if item.manifest.is_index else item.manifest.layers:
        if layer.is_non_distributable == non_distributable:
            yield layer.digest


def _excluded(exclude: Sequence[Excluded], homes: Homes) -> set[Digest]:
    """Return the layers that the other side has: everything in earlier tars, and all that locks name."""
    layers: set[Digest] = set()
    for earlier in exclude:
        if isinstance(earlier, ArchiveLocation):
            archive = ArchiveStore(earlier.path)
            there = (each for each in archive.layers if not each.is_non_distributable or archive.has_blob(each))
            layers.update(each.digest for each in there)
            continue
        request = CopyRequest(source=earlier, destination=ArchiveLocation(""))
        present = Present(None)
        with closing(Inventory(homes, present, Scope(), request.tag_of)) as inventory:
            inventory.collect(wanted(request, homes, present))
        images = (item.manifest for item in inventory.items.values() if not item.manifest.is_index)
        # Whether the other side got layers that usually stay behind, a lock does not tell.
        layers.update(each.digest for image in images for each in image.layers if not each.is_non_distributable)
    return layers


def _sizes(items: Iterable[Item], left_out: set[Digest]) -> dict[Digest, int]:
    images = (item.manifest for item in items if not item.manifest.is_index)
    return {layer.digest: layer.size for image in images for layer in image.layers if layer.digest not in left_out}


def _entries(request: CopyRequest, items: Sequence[Item]) -> Iterator[ArchivedManifest]:
    """Yield what manifest.json lists: one entry for each tag, as it has room for one."""
    by_digest = {item.digest: item for item in items}
    are_told = as_imgpkg.origins_are_told(request.source, items)
    for item in items:
        if item.is_listed:
            is_told = not request.as_imgpkg or (are_told and as_imgpkg.has_origin(item))
            labels = {ROOT_BUNDLE_LABEL: ""} if item.is_root and item.is_bundle else {}
            labels |= {} if request.as_imgpkg else lock_entries_label(item.entries)
            origin = str(item.origin) if is_told else None
            entry = replace(_entry(item, item, by_digest), origin=origin, labels=labels or None)
            yield from (replace(entry, tag=tag) for tag in item.tags or (None,))


def _entry(item: Item, listed: Item, by_digest: Mapping[Digest, Item]) -> ArchivedManifest:
    reference = item.reference if item is listed else listed.reference.with_digest(item.digest)
    children = item.manifest.children if item.manifest.is_index else ()
    return ArchivedManifest(
        item.manifest,
        (reference,),
        config=item.config or b"",
        children=tuple(_entry(by_digest[child.digest], listed, by_digest) for child in children),
    )


def _lock(
    request: CopyRequest, items: Sequence[Item], roots: Sequence[Item], repository: Repository
) -> BundleLock | ImagesLock | None:
    """Return the lock of what was copied: imgpkg writes a BundleLock for a bundle, and an ImagesLock for images.

    Entries are those of the lock that was copied, also where a tar was between, or else stand
    for the reference that they were copied by.
    """
    source = request.source
    if isinstance(source, ImagesLock):
        return ImagesLock(tuple(ImageRef(repository.at(each.digest), each.annotations) for each in source.images))
    if len(roots) == 1 and roots[0].is_bundle:
        return BundleLock(repository.at(roots[0].digest), roots[0].tags[0] if roots[0].tags else None)
    if any(item.is_bundle for item in roots):
        return None
    if request.as_imgpkg:
        return as_imgpkg.images_lock(items, repository)
    if kept := _kept_entries(roots):
        return ImagesLock(tuple(ImageRef(repository.at(digest), dict(entry.annotations)) for digest, entry in kept))
    names = [_name_of(source) or str(item.origin) for item in roots]
    images = (ImageRef(repository.at(item.digest), {KBLD_ID: name}) for item, name in zip(roots, names, strict=True))
    return ImagesLock(tuple(images))


def _kept_entries(roots: Sequence[Item]) -> list[tuple[Digest, LockEntry]]:
    """Return what a tar tells of the ImagesLock that it was made of, in that lock's order; nothing unless of all."""
    if not all(item.entries for item in roots):
        return []
    kept = [(item.digest, entry) for item in roots for entry in item.entries]
    return sorted(kept, key=lambda each: each[1].place)


def _name_of(source: object) -> str | None:
    if isinstance(source, EngineLocation):
        return source.name if source.repository else None
    return str(source) if isinstance(source, Reference) else None


class _Tally:
    """Counts what becomes of blobs, on the way to whoever renders the events."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._counting = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.size = 0
        self.changed = False

    def take(self, event: Event) -> None:
        """Count an event and pass it on."""
        if isinstance(event, BlobDone):
            with self._counting:
                self.counts[event.how] += 1
                self.size += event.size if event.how == "transferred" else 0
                self.changed |= event.how != "present"
        elif isinstance(event, ImageDone):
            self.changed |= event.how == "copied"
        self._emit(event)

    def copied(
        self,
        *,
        roots: tuple[CopiedRoot, ...],
        images: int,
        changed: bool,
        skipped: Mapping[str, tuple[Digest, ...]] | None = None,
        has_non_distributable: bool = False,
        lock: BundleLock | ImagesLock | None = None,
    ) -> Copied:
        """Return what was done, with what was counted."""
        return Copied(
            roots=roots,
            images=images,
            uploaded=self.counts["transferred"],
            mounted=self.counts["mounted"],
            present=self.counts["present"],
            size=self.size,
            skipped=skipped or {},
            lock=lock,
            changed=changed,
            has_non_distributable=has_non_distributable,
        )
