"""A tar file as the destination of a copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

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
        images = (announced_image.manifest for announced_image in announced if not announced_image.manifest.is_index)
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
    by_digest = {announced_image.manifest.digest: announced_image for announced_image in announced}
    for announced_image in announced:
        if announced_image.is_listed:
            labels = {ROOT_BUNDLE_LABEL: ""} if announced_image.is_root_bundle else {}
            labels |= lock_entries_label(announced_image.entries)
            entry = replace(
                _entry(announced_image, announced_image, by_digest),
                origin=announced_image.origin,
                labels=labels or None,
            )
            yield from (replace(entry, tag=tag) for tag in announced_image.tags or (None,))


def _entry(
    announced_image: AnnouncedImage, listed: AnnouncedImage, by_digest: Mapping[Digest, AnnouncedImage]
) -> ArchivedManifest:
    manifest = announced_image.manifest
    children = manifest.children if manifest.is_index else ()
    return ArchivedManifest(
        manifest,
        (announced_image.reference if announced_image is listed else listed.reference.with_digest(manifest.digest),),
        config=announced_image.config,
        children=tuple(_entry(by_digest[child.digest], listed, by_digest) for child in children),
    )
