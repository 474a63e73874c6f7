"""Layers that a copy leaves out: non-distributable ones, and those the reader already has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.location import Location
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import read_manifests
from bundlepipe.verbs.copying import as_imgpkg
from bundlepipe.verbs.copying.inventory import Inventory
from bundlepipe.verbs.copying.items import Item, Scope
from bundlepipe.verbs.copying.present import Present
from bundlepipe.verbs.copying.request import CopyRequest
from bundlepipe.verbs.copying.roots import roots_of, wanted


def non_distributable_layers(
    request: CopyRequest, items: Sequence[Item], repository: Repository | None
) -> dict[str, tuple[Digest, ...]]:
    """Return layers that must not be redistributed, by the names of their images.

    The names are their origins.
    """
    own_names = ((str(item.origin), item) for item in items)
    names = as_imgpkg.names(items, repository) if request.as_imgpkg else own_names
    found = {name: tuple(layers_of(item.manifest, non_distributable=True)) for name, item in names}
    return {image: digests for image, digests in found.items() if digests}


def layers_of(manifest: Manifest, *, non_distributable: bool) -> Iterator[Digest]:
    """Yield the layers of an image that may not be redistributed, or those that may."""
    for layer in () if manifest.is_index else manifest.layers:
        if layer.is_non_distributable == non_distributable:
            yield layer.digest


def excluded_layers(request: CopyRequest, stores: Stores) -> set[Digest]:
    """Return the layers that the reader already has: those in earlier tar files, and all that locks name."""
    layers: set[Digest] = set()
    for earlier in request.exclude:
        if isinstance(earlier, BundleLock | ImagesLock):
            layers.update(_named(earlier, request, stores))
        else:
            layers.update(_held(earlier, stores))
    return layers


def _named(earlier: BundleLock | ImagesLock, request: CopyRequest, stores: Stores) -> Iterator[Digest]:
    asked = CopyRequest(source=earlier, destination=request.destination)
    present = Present(None)
    with closing(Inventory(stores, present, Scope(), asked.tag_of)) as inventory:
        inventory.collect(wanted(roots_of(asked, stores), asked, present))
    for item in inventory.items.values():
        # A lock does not say whether the reader got layers that are usually left out.
        yield from layers_of(item.manifest, non_distributable=False)


def _held(earlier: Location, stores: Stores) -> Iterator[Digest]:
    for root in stores.roots(earlier):
        for manifest in read_manifests(root.source, root.identifier).values():
            for layer in () if manifest.is_index else manifest.layers:
                if not layer.is_non_distributable or root.source.has_blob(layer):
                    yield layer.digest
