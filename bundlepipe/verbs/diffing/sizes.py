"""What a site lacks of the new bundle if it has the old one with all its images: blobs and manifests, by digest."""

from __future__ import annotations

from collections.abc import Iterable

from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.verbs.diffing.difference import Transfer
from bundlepipe.verbs.diffing.packages import Package, Packages


def transfer(old: Package, new: Package, packages: Packages) -> Transfer:
    """Return what the new bundle adds to the old one; images are read only if it names others.

    Images that cannot be read are not counted. Errors are those of `Packages.find`.
    """
    has, needs = _Content(packages), _Content(packages)
    if {entry.digest for entry in new.lock} <= {entry.digest for entry in old.lock}:
        has.add(old.manifest)
        needs.add(new.manifest)
    else:
        # An image that one side lacks may be found by the other, so nothing is counted before both were searched.
        _find_all(old, new, packages)
        has.add_all(old)
        needs.add_all(new)
    blobs = {digest: size for digest, size in needs.blobs.items() if digest not in has.blobs}
    manifests = {digest: size for digest, size in needs.manifests.items() if digest not in has.manifests}
    return Transfer(sum(blobs.values()) + sum(manifests.values()), len(blobs), len(manifests))


def _find_all(old: Package, new: Package, packages: Packages) -> None:
    """Find all images of both bundles, level by level.

    What both name they need from the same places, so that it is a bundle rarely changes what a site lacks.
    """
    levels, named = [[old], [new]], [set[Digest](), set[Digest]()]
    while any(levels):
        entries = [
            [(bundle, entry) for bundle in level for entry in bundle.lock if entry.digest not in known]
            for level, known in zip(levels, named, strict=True)
        ]
        digests = [dict.fromkeys(entry.digest for _, entry in side) for side in entries]
        for known, found in zip(named, digests, strict=True):
            known.update(found)
        packages.find([*entries[0], *entries[1]], shared=named[0] & named[1])
        levels = [[nested for digest in found if (nested := packages.bundle(digest))] for found in digests]


class _Content:
    """The sizes of the blobs and manifests of a bundle and its images, by digest."""

    def __init__(self, packages: Packages) -> None:
        self._packages = packages
        self.blobs: dict[Digest, int] = {}
        self.manifests: dict[Digest, int] = {}

    def add(self, manifest: Manifest) -> None:
        """Count an image or index, without the members of an index."""
        self.manifests[manifest.digest] = len(manifest.raw)
        if not manifest.is_index:
            self.blobs.update((blob.digest, blob.size) for blob in (*manifest.layers, manifest.config))

    def add_all(self, bundle: Package) -> None:
        """Count a bundle with all its images that were found, those of its nested bundles, and members of indexes."""
        self.add(bundle.manifest)
        level = [bundle]
        while level:
            named = dict.fromkeys(entry.digest for each in level for entry in each.lock)
            digests = [digest for digest in named if digest not in self.manifests]
            self._add_images(digests)
            level = [nested for digest in digests if (nested := self._packages.bundle(digest))]

    def _add_images(self, digests: Iterable[Digest]) -> None:
        images = [image for digest in digests if (image := self._packages.image(digest))]
        indexes = [image for image in images if image.manifest.is_index]
        for image in (*images, *self._packages.members(indexes)):
            self.add(image.manifest)
