"""load: the second half of a copy into the Docker Engine, which keeps single images under names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bundlepipe.errors import BundlepipeError
from bundlepipe.events import BlobDone, CopyPlanned, Emit, ImageDone
from bundlepipe.limits import LARGEST_CONFIG
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import DOCKER_CONFIG, OCI_CONFIG, Manifest, Platform
from bundlepipe.stores.engine.archive import diff_ids_of, load_stream
from bundlepipe.stores.engine.store import EngineStore, engine_platform, find_image, load_image, tag_image
from bundlepipe.stores.homes import Homes
from bundlepipe.stores.location import EngineLocation, Location
from bundlepipe.stores.protocol import Source, read_whole
from bundlepipe.verbs.shared.blobs import receive_blob
from bundlepipe.verbs.shared.bundles import is_bundle


@dataclass(frozen=True)
class Loaded:
    """What the Engine calls the image, and whether it lacked the image or a name."""

    image_id: Digest
    changed: bool


def load(source: Location, names: Sequence[EngineLocation], homes: Homes, emit: Emit) -> Loaded:
    """Make the first, and then all, of the names stand for the image of a source in the Engine.

    An index stands for its image for the Engine's platform. An image that the Engine has
    is named and not sent again. Raises BundlepipeError for bundles, and for what is no image
    of the platform, StoreError, IntegrityError, InvalidContent.
    """
    if isinstance(source, EngineLocation):
        image_id, was_sent = EngineStore(source).image_id, False
        emit(CopyPlanned(1, 0, 0))
    else:
        image_id, was_sent = _send(source, names, homes, emit)
    unnamed = [name for name in names if find_image(name) != image_id]
    for name in unnamed:
        tag_image(image_id, name)
    changed = was_sent or bool(unnamed)
    emit(ImageDone(str(names[0]), "copied" if changed else "present"))
    return Loaded(image_id, changed)


def _send(source: Location, names: Sequence[EngineLocation], homes: Homes, emit: Emit) -> tuple[Digest, bool]:
    """Return the ID of the image that a source stands for, and whether it had to be sent to the Engine."""
    store, manifest = homes.locate(source)
    what = str(source)
    if manifest.is_index:
        manifest = store.read_manifest(_choose(what, manifest, engine_platform()))
    _check(store, manifest, what)
    layers = list({layer.digest: layer for layer in manifest.layers}.values())
    emit(CopyPlanned(1, len(layers), sum(layer.size for layer in layers)))
    image_id = manifest.config.digest
    if find_image(EngineLocation(image_id)):
        for layer in layers:
            emit(BlobDone(layer.digest, layer.size, "present"))
        return image_id, False
    config = read_whole(store, manifest.config, LARGEST_CONFIG)
    diff_ids_of(config, what)
    contents = [(layer, receive_blob(store, layer, emit)) for layer in manifest.layers]
    load_image(load_stream(config, contents, [name.name for name in names]), f"{what} to {names[0]}")
    return EngineStore(names[0]).image_id, True


def _choose(what: str, index: Manifest, platform: Platform) -> Digest:
    """Return the member of an index that the Engine can run: of its very variant, or else the plainest one."""
    offered = [(child.platform, child.digest) for child in index.children if child.platform]
    exact = [digest for each, digest in offered if each.matches(platform)]
    if platform.variant and exact:
        return exact[0]
    family = replace(platform, variant=None)
    others = sorted((each.variant or "", digest) for each, digest in offered if each.matches(family))
    if others:
        return others[0][1]
    platforms = ", ".join(sorted({str(each) for each, _ in offered})) or "none"
    raise BundlepipeError(
        f"{what} has no image for the Docker Engine's platform {platform}; its platforms: {platforms}"
    )


def _check(store: Source, manifest: Manifest, what: str) -> None:
    """Raise BundlepipeError for what an Engine cannot keep."""
    if manifest.config.media_type not in (DOCKER_CONFIG, OCI_CONFIG):
        raise BundlepipeError(
            f"{what}: is not a container image but an artifact of type '{manifest.config.media_type}'"
        )
    if any(layer.is_non_distributable for layer in manifest.layers):
        raise BundlepipeError(
            f"{what}: has layers that may not be redistributed: let the Docker Engine pull it, which gets them "
            "from where they may be had"
        )
    if is_bundle(store, manifest):
        raise BundlepipeError(
            f"{what}: is a bundle, and the Docker Engine keeps single images, by names that a bundle's lock does "
            "not know: copy the bundle to a registry that the cluster reaches, or copy single images"
        )
