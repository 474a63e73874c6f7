"""What a copy is asked for: a source, in whichever home, becomes the manifests to begin with."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.errors import InvalidReference
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import DEFAULT_TAG, Reference, Repository
from bundlepipe.stores.archive.manifest import LockEntry
from bundlepipe.stores.archive.reader import ArchiveStore
from bundlepipe.stores.homes import Homes
from bundlepipe.stores.layout.store import LayoutStore
from bundlepipe.stores.location import ArchiveLocation, EngineLocation, LayoutLocation
from bundlepipe.stores.protocol import Source
from bundlepipe.stores.settings import LAYOUT_HOST
from bundlepipe.verbs.copying.inventory import Present, Wanted

if TYPE_CHECKING:
    from bundlepipe.verbs.copying.request import CopyRequest

_REFERRERS_TAG = re.compile(r"(sha256)-([0-9a-f]{64})")
_NOT_IN_A_PATH = re.compile(r"[^a-z0-9]+")


def wanted(request: CopyRequest, homes: Homes, present: Present) -> Iterator[Wanted]:
    """Yield what the source of a copy stands for; StoreError and its kin where it cannot be read."""
    source = request.source
    if isinstance(source, ImagesLock):
        for place, entry in enumerate(source.images):
            store = homes.repository(entry.image.repository)
            entries = (LockEntry(place, entry.annotations),)
            # More images than one are refused by whoever knows all of them.
            yield Wanted(
                identifier=entry.digest,
                places=(store,),
                origin=entry.image,
                tag=request.root_tag if len(source.images) == 1 else None,
                is_root=True,
                entries=entries,
            )
    elif isinstance(source, ArchiveLocation):
        yield from _archived(request, ArchiveStore(source.path))
    elif isinstance(source, LayoutLocation):
        layout = LayoutStore(source.directory)
        digest, tag = (layout.read_manifest(source.tag).digest, source.tag) if source.tag else layout.sole_image()
        yield Wanted(
            identifier=digest,
            places=(layout,),
            reference=_local_reference(os.path.basename(os.path.abspath(anchored(source.directory))), digest),
            tag=request.root_tag or (None if ":" in (tag or "") else tag),
            is_root=True,
        )
    elif isinstance(source, EngineLocation):
        yield _in_engine(request, source, present)
    else:
        image, tag = (source.image, source.tag) if isinstance(source, BundleLock) else (source, source.tag)
        if request.as_imgpkg and source is image and image.digest:
            tag = None
        tag = request.root_tag or tag or (None if image.digest else DEFAULT_TAG)
        store = homes.repository(image.repository)
        yield Wanted(identifier=image.identifier, places=(store,), tag=tag, is_root=True)


def _in_engine(request: CopyRequest, source: EngineLocation, present: Present) -> Wanted:
    """Return the image of an Engine; where the destination's tag names that image already, nothing has to be saved."""
    from bundlepipe.stores.engine.store import EngineStore

    engine = EngineStore(source)
    tag = request.root_tag or source.tag
    place: Source = engine
    there = present.named(tag) if tag and not request.include_non_distributable else None
    if present.store and there and not there.is_index and there.config.digest == engine.image_id:
        place, manifest = present.store, there
    else:
        manifest = engine.manifest
    reference = _local_reference(source.repository or "image", manifest.digest)
    return Wanted(identifier=manifest.digest, places=(place,), reference=reference, tag=tag, is_root=True)


def _archived(request: CopyRequest, archive: ArchiveStore) -> Iterator[Wanted]:
    """Yield everything in an archive."""
    # A bundle that was copied with all that it names is labelled.
    has_root = any(entry.is_root for entry in archive.entries)
    for entry in archive.entries:
        reference = entry.references[0]
        match = _REFERRERS_TAG.fullmatch(entry.tag or "") if entry.manifest.is_index else None
        yield Wanted(
            identifier=entry.manifest.digest,
            places=(archive,),
            reference=reference,
            origin=_parsed(entry.origin) or reference,
            tag=(request.root_tag or entry.tag) if entry.is_root else entry.tag,
            is_root=entry.is_root,
            perhaps_shallow=not has_root,
            entries=entry.lock_entries(archive.name),
            manifest=entry.manifest if match else None,
            subject=Digest.parse(f"{match[1]}:{match[2]}") if match else None,
        )


def _parsed(text: str | None) -> Reference | None:
    try:
        return Reference.parse(text) if text else None
    except InvalidReference:
        return None


def _local_reference(name: str, digest: Digest) -> Reference:
    """Return the reference that stands for an image that came from no registry: archives know nothing else."""
    path = _NOT_IN_A_PATH.sub("-", name.lower()).strip("-")
    return Repository(LAYOUT_HOST, path or "layout").at(digest)
