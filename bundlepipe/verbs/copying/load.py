"""load: second half of a copy to a location that keeps single images by name, such as the Docker Engine."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.errors import BundlepipeError
from bundlepipe.events import BlobDone, CopyPlanned, Emit, ImageDone
from bundlepipe.limits import LARGEST_CONFIG
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import DOCKER_CONFIG, OCI_CONFIG, Manifest, Platform
from bundlepipe.stores.opening import sole_root
from bundlepipe.stores.protocol import Loader, Root, Source, read_whole
from bundlepipe.verbs.copying.request import Copied, CopiedRoot, CopyRequest, Tally
from bundlepipe.verbs.shared.blobs import receive_blob
from bundlepipe.verbs.shared.bundles import is_bundle


def load(roots: Iterable[Root], request: CopyRequest, loader: Loader, emit: Emit) -> Copied:
    """Make the requested tags name the image of a source.

    For an index it is the image for the loader's platform. An image that exists is tagged and not
    sent again. Raises BundlepipeError for bundles, for several images, and for images of other
    platforms, StoreError, IntegrityError, InvalidContent.
    """
    if isinstance(request.source, ImagesLock) and not request.location:
        raise BundlepipeError(
            f"{request.destination} names one image, and the lock {len(request.source.images)}: copy each by its name"
        )
    assert request.tag, "a place that takes single images gives them a tag"
    tags = [request.tag, *request.tags]
    what = str(request.location)
    tally = Tally(emit)
    root = sole_root(roots, what)
    if root.image_id and loader.has_images_of(root.source):
        image_id, was_sent = root.image_id, False
        tally.take(CopyPlanned(1, 0, 0))
    else:
        image_id, was_sent = _send(root, what, tags, loader, tally.take)
    unnamed = [tag for tag in tags if loader.find(tag) != image_id]
    for tag in unnamed:
        loader.put_tag(image_id, tag)
    changed = was_sent or bool(unnamed)
    tally.take(ImageDone(loader.name_of(request.tag), "copied" if changed else "present"))
    loaded = CopiedRoot(image_id, request.tag, is_bundle=False, image=None)
    return tally.copied(roots=(loaded,), images=1, changed=changed)


def _send(root: Root, what: str, tags: list[str], loader: Loader, emit: Emit) -> tuple[Digest, bool]:
    """Return the image ID of a root, and whether the image had to be sent."""
    source = root.source
    manifest = source.read_manifest(root.identifier)
    if manifest.is_index:
        manifest = source.read_manifest(_choose(what, manifest, loader.platform, loader.kind))
    _check(source, manifest, what, loader.kind)
    layers = list({layer.digest: layer for layer in manifest.layers}.values())
    emit(CopyPlanned(1, len(layers), sum(layer.size for layer in layers)))
    image_id = manifest.config.digest
    if loader.find(image_id):
        for layer in layers:
            emit(BlobDone(layer.digest, layer.size, "present"))
        return image_id, False
    config = read_whole(source, manifest.config, LARGEST_CONFIG)
    contents = [(layer, receive_blob(source, layer, emit)) for layer in manifest.layers]
    return loader.load(config, contents, tags, what), True


def _choose(what: str, index: Manifest, platform: Platform, kind: str) -> Digest:
    """Return the member of an index for a platform: that of its variant, or else the most general one."""
    offered = [(child.platform, child.digest) for child in index.children if child.platform]
    exact = [digest for each, digest in offered if each.matches(platform)]
    if platform.variant and exact:
        return exact[0]
    family = replace(platform, variant=None)
    others = sorted((each.variant or "", digest) for each, digest in offered if each.matches(family))
    if others:
        return others[0][1]
    platforms = ", ".join(sorted({str(each) for each, _ in offered})) or "none"
    raise BundlepipeError(f"{what} has no image for {kind}'s platform {platform}; its platforms: {platforms}")


def _check(source: Source, manifest: Manifest, what: str, kind: str) -> None:
    """Raise BundlepipeError for anything that cannot be kept as a single image."""
    if manifest.config.media_type not in (DOCKER_CONFIG, OCI_CONFIG):
        raise BundlepipeError(
            f"{what}: is not a container image but an artifact of type '{manifest.config.media_type}'"
        )
    if any(layer.is_non_distributable for layer in manifest.layers):
        raise BundlepipeError(
            f"{what}: has layers that may not be redistributed: let {kind} pull it, which downloads "
            "them from their URLs"
        )
    if is_bundle(source, manifest):
        raise BundlepipeError(
            f"{what}: is a bundle, and {kind} keeps single images, by names that a bundle's lock does "
            "not know: copy the bundle to a registry that the cluster reaches, or copy single images"
        )
