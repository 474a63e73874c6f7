"""A tar file as the destination of a copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from bundlepipe.errors import InvalidContent
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.oci.digest import Digest
from bundlepipe.stores.archive.manifest import ROOT_BUNDLE_LABEL, ArchivedManifest, lock_entries_label
from bundlepipe.stores.archive.writer import ArchiveWriter
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.protocol import AnnouncedImage, Target


class ArchiveTarget(Target):
    """The archive to write at a location; with `as_kbld` as `kbld package` writes it."""

    may_lack_layers = True

    def __init__(self, location: ArchiveLocation, *, as_kbld: bool = False) -> None:
        super().__init__()
        self._path = location.path
        self._as_kbld = as_kbld

    def is_at(self, location: object) -> bool:
        """Return whether a location is this file."""
        return isinstance(location, ArchiveLocation) and _real(location.path) == _real(self._path)

    def accepting(
        self,
        announced: Sequence[AnnouncedImage],
        left_out: Collection[Digest],
        resume: bool,
        about_to: Callable[[], object],
    ) -> ArchiveWriter:
        """Return a writer for the archive of these images; errors are those of ArchiveWriter."""
        images = (image.manifest for image in announced if not image.manifest.is_index)
        sizes = {layer.digest: layer.size for image in images for layer in image.layers if layer.digest not in left_out}
        try:
            entries = list(_entries(announced))
        except RecursionError:
            raise InvalidContent(f"{self._path}: a tar cannot hold indexes that are nested so deep") from None
        return ArchiveWriter(self._path, entries, sizes, resume=resume, about_to=about_to, as_kbld=self._as_kbld)


def _real(path: str) -> str:
    return os.path.realpath(anchored(path))


def _entries(announced: Sequence[AnnouncedImage]) -> Iterator[ArchivedManifest]:
    """Yield the entries of manifest.json: one for each tag, as an entry can hold only one."""
    by_digest = {image.manifest.digest: image for image in announced}
    for image in announced:
        if image.is_listed:
            labels = {ROOT_BUNDLE_LABEL: ""} if image.is_root_bundle else {}
            labels |= lock_entries_label(image.entries)
            entry = replace(
                _entry(image, image, by_digest),
                origin=image.origin,
                labels=labels or None,
            )
            yield from (replace(entry, tag=tag) for tag in image.tags or (None,))


def _entry(
    image: AnnouncedImage, listed: AnnouncedImage, by_digest: Mapping[Digest, AnnouncedImage]
) -> ArchivedManifest:
    manifest = image.manifest
    children = manifest.children if manifest.is_index else ()
    return ArchivedManifest(
        manifest,
        (image.reference if image is listed else listed.reference.with_digest(manifest.digest),),
        config=image.config,
        children=tuple(_entry(by_digest[child.digest], listed, by_digest) for child in children),
    )
