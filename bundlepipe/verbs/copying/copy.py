"""copy: copy a bundle, and everything it names, between any two locations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from msgspec.structs import replace

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.errors import BundlepipeError
from bundlepipe.events import Emit, ignore
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import AnnouncedImage, LockEntry, Target
from bundlepipe.verbs.copying import as_imgpkg
from bundlepipe.verbs.copying.attached import is_attachment
from bundlepipe.verbs.copying.delivery import Delivery
from bundlepipe.verbs.copying.inventory import Inventory
from bundlepipe.verbs.copying.items import Item, Scope
from bundlepipe.verbs.copying.left_out import excluded_layers, layers_of, non_distributable_layers
from bundlepipe.verbs.copying.load import load
from bundlepipe.verbs.copying.present import Present
from bundlepipe.verbs.copying.request import Copied, CopiedRoot, CopyRequest, Tally
from bundlepipe.verbs.copying.roots import roots_of, wanted
from bundlepipe.verbs.shared.bundles import require_kind
from bundlepipe.verbs.shared.foretold import Foretold


def copy(
    request: CopyRequest, stores: Stores, *, about_to: Callable[[], object] = lambda: None, emit: Emit = ignore
) -> Copied:
    """Copy everything that the source stands for to the destination; content that is already there is not sent again.

    `about_to` is called just before a tar file is put in place; if it raises, the existing file stays.
    Raises StoreError and its subclasses if a store refuses, IntegrityError for content that does not
    match its digest, InvalidContent and DocumentError for faulty images and bundles, BundlepipeError
    for an invalid request.
    """
    target = stores.destination(request.destination)
    if request.exclude and not target.may_lack_layers:
        raise BundlepipeError(f"{request.destination}: only a tar can leave out layers that the other side has")
    if any(map(target.is_at, request.exclude)):
        raise BundlepipeError(f"{request.destination}: is excluded too, so it would lose layers: write another tar")
    request = replace(request, tag=request.tag or target.tag)
    # A missing source is reported before the destination is contacted, which may take time.
    roots = roots_of(request, stores)
    if target.loader:
        return load(roots, request, target.loader, emit)
    present = Present(target.store)
    scope = Scope(
        cosign=request.cosign,
        referrers=request.referrers,
        configs=target.store is None,
        non_distributable=request.include_non_distributable,
        shallow=request.shallow,
        as_imgpkg=request.as_imgpkg,
    )
    with closing(Inventory(stores, present, scope, request.tag_of)) as inventory:
        inventory.collect(wanted(roots, request, present))
        return _deliver(request, list(inventory.items.values()), target, present, stores, about_to, emit)


def _deliver(
    request: CopyRequest,
    items: list[Item],
    target: Target,
    present: Present,
    stores: Stores,
    about_to: Callable[[], object],
    emit: Emit,
) -> Copied:
    roots = _roots(request, items)
    repository = present.store.repository if present.store else None
    if request.foretold:
        _check(request.foretold, str(request.destination), roots, present)
    non_distributable = non_distributable_layers(request, items, repository)
    skipped = {} if request.include_non_distributable else non_distributable
    left_out = {digest for digests in skipped.values() for digest in digests}
    # One image may list a layer as non-distributable that another does not.
    left_out.difference_update(digest for item in items for digest in layers_of(item.manifest, non_distributable=False))
    left_out |= excluded_layers(request, stores)
    tally = Tally(emit)
    announced = _announced(request, items)
    with target.accepting(announced, left_out, resume=request.resume, about_to=about_to) as destination:
        for item in items:
            item.is_complete |= destination.is_complete
        delivery = Delivery(
            items,
            destination,
            present,
            left_out=left_out,
            tag_of=request.tag_of,
            tags_members=not request.as_imgpkg,
        )
        delivery.run(tally.take)
    return tally.copied(
        roots=tuple(_copied(item, repository) for item in roots),
        images=_count(items),
        changed=tally.changed or delivery.has_tagged,
        skipped=skipped,
        has_non_distributable=bool(non_distributable),
        lock=_lock(request, items, roots, repository) if repository else None,
    )


def _check(foretold: Foretold, destination: str, roots: Sequence[Item], present: Present) -> None:
    foretold.check_result(destination, [item.digest for item in roots])
    repository = present.store.repository if present.store else None
    for tag in roots[0].tags if repository and len(roots) == 1 else ():
        named = present.named(tag)
        assert repository
        foretold.check_destination(repository.tagged(tag), named.digest if named else None)


def _announced(request: CopyRequest, items: Sequence[Item]) -> list[AnnouncedImage]:
    are_told = as_imgpkg.origins_are_told(request.source, items)
    return [
        AnnouncedImage(
            manifest=item.manifest,
            reference=item.reference,
            origin=str(item.origin) if not request.as_imgpkg or (are_told and as_imgpkg.has_origin(item)) else None,
            tags=item.tags,
            config=item.config or b"",
            is_listed=item.is_listed,
            is_root_bundle=item.is_root and item.is_bundle,
            entries=() if request.as_imgpkg else item.entries,
        )
        for item in items
    ]


def _roots(request: CopyRequest, items: Sequence[Item]) -> list[Item]:
    """Return the requested roots, with their tags; BundlepipeError for bundles in an ImagesLock."""
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
            if request.tag:
                item.tags = [request.tag]
    if len(roots) == 1:
        roots[0].tags.extend(tag for tag in request.tags if tag not in roots[0].tags)
    elif request.tag or request.tags:
        raise BundlepipeError(f"one tag cannot name the {len(roots)} images of the source: leave out the tags")
    return roots


def _unlabelled_roots(items: Sequence[Item]) -> list[Item]:
    """Return the roots of an archive without labels (of a plain image, of a lock, or an old one).

    That is the bundle which no other one names; without a bundle, every image that is not attached to
    one.
    """
    named = {image.digest for item in items if item.lock for image in item.lock.images}
    bundles = [item for item in items if item.is_bundle and item.digest not in named]
    return bundles or [item for item in items if item.is_listed and not any(map(is_attachment, item.tags))]


def _copied(item: Item, repository: Repository | None) -> CopiedRoot:
    image = repository.at(item.digest) if repository else None
    return CopiedRoot(item.digest, item.tags[0] if item.tags else None, item.is_bundle, image)


def _count(items: Iterable[Item]) -> int:
    """Return the number of manifests and indexes, with the members of indexes that exist and are no items."""
    digests = {item.digest for item in items}
    for item in items:
        if item.manifest.is_index:
            digests.update(child.digest for child in item.manifest.children)
    return len(digests)


def _lock(
    request: CopyRequest, items: Sequence[Item], roots: Sequence[Item], repository: Repository
) -> BundleLock | ImagesLock | None:
    """Return the lock of the copied images: as in imgpkg, a BundleLock for a bundle, and an ImagesLock for images.

    Entries are those of the copied lock, even if it went through a tar file; otherwise they are named by the
    copied reference.
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
    names = [item.name or str(item.origin) for item in roots]
    images = (ImageRef(repository.at(item.digest), {KBLD_ID: name}) for item, name in zip(roots, names, strict=True))
    return ImagesLock(tuple(images))


def _kept_entries(roots: Sequence[Item]) -> list[tuple[Digest, LockEntry]]:
    """Return the ImagesLock entries that a tar file was made from, in the lock's order; empty unless complete."""
    if not all(item.entries for item in roots):
        return []
    kept = [(item.digest, entry) for item in roots for entry in item.entries]
    return sorted(kept, key=lambda each: each[1].place)
