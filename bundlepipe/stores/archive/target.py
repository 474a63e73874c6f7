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
from bundlepipe.stores.protocol import Arrival, Target


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
        self, arrivals: Sequence[Arrival], left_out: Collection[Digest], resume: bool, about_to: Callable[[], object]
    ) -> ArchiveWriter:
        """Return a writer for the archive of these images; errors are those of ArchiveWriter."""
        images = (arrival.manifest for arrival in arrivals if not arrival.manifest.is_index)
        sizes = {layer.digest: layer.size for image in images for layer in image.layers if layer.digest not in left_out}
        try:
            entries = list(_entries(arrivals))
        except RecursionError:
            raise InvalidContent(f"{self._path}: a tar cannot hold indexes that are nested so deep") from None
        return ArchiveWriter(self._path, entries, sizes, resume=resume, about_to=about_to, as_kbld=self._as_kbld)


def _real(path: str) -> str:
    return os.path.realpath(anchored(path))


def _entries(arrivals: Sequence[Arrival]) -> Iterator[ArchivedManifest]:
    """Yield the entries of manifest.json: one for each tag, as an entry can hold only one."""
    by_digest = {arrival.manifest.digest: arrival for arrival in arrivals}
    for arrival in arrivals:
        if arrival.is_listed:
            labels = {ROOT_BUNDLE_LABEL: ""} if arrival.is_root_bundle else {}
            labels |= lock_entries_label(arrival.entries)
            entry = replace(_entry(arrival, arrival, by_digest), origin=arrival.origin, labels=labels or None)
            yield from (replace(entry, tag=tag) for tag in arrival.tags or (None,))


def _entry(arrival: Arrival, listed: Arrival, by_digest: Mapping[Digest, Arrival]) -> ArchivedManifest:
    manifest = arrival.manifest
    children = manifest.children if manifest.is_index else ()
    return ArchivedManifest(
        manifest,
        (arrival.reference if arrival is listed else listed.reference.with_digest(manifest.digest),),
        config=arrival.config,
        children=tuple(_entry(by_digest[child.digest], listed, by_digest) for child in children),
    )
