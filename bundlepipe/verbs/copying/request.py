"""What is asked of a copy, and what it did."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.events import BlobDone, Emit, Event, ImageDone
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.location import ArchiveLocation, Location, Place
from bundlepipe.verbs.shared.bundles import Kind, internal_tag

_LONGEST_ORIGIN = 49
_NOT_IN_A_TAG = re.compile(r"[^A-Za-z0-9._-]")
_NOT_FIRST_IN_A_TAG = re.compile(r"^[^A-Za-z0-9_]+")

Excluded = ArchiveLocation | BundleLock | ImagesLock


@dataclass(frozen=True, kw_only=True)
class CopyRequest:
    """What to copy where.

    source: a bundle, image or index; or a lock, of which everything is copied.
    expected: what is not of this kind is refused.
    destination: the Docker Engine takes one image, and of an index the one for its platform.
    tag: the root's tag at the destination instead of the one it has at the source; `tags`
        are further ones.
    shallow: a bundle is copied as the image that it is, without anything that it names.
    include_non_distributable: layers that may not be redistributed are taken along.
    cosign, referrers: what cosign attached to images, by tags and as referrers, and all that
        refers to them, is taken along.
    repo_based_tags: internal tags begin with the repository that an image came from.
    resume: layers of an interrupted or earlier tar are used again.
    exclude: layers of these are left out of a tar, since the other side has them.
    as_imgpkg: what imgpkg would do comes of it, and nothing beyond: members of indexes have no
        tags of their own, of cosign's artifacts signatures alone are taken along, tars tell the
        origin only of what a bundle stands for, and no annotations of an ImagesLock, and locks no
        names.
    """

    source: Location | BundleLock | ImagesLock
    destination: Place
    expected: Kind | None = None
    tag: str | None = None
    tags: Sequence[str] = ()
    shallow: bool = False
    include_non_distributable: bool = False
    cosign: bool = False
    referrers: bool = False
    repo_based_tags: bool = False
    resume: bool = True
    exclude: Sequence[Excluded] = ()
    as_imgpkg: bool = False

    @property
    def location(self) -> Location | None:
        """What the source is or, as a lock, names; None for a lock that names several images."""
        source = self.source
        if isinstance(source, ImagesLock):
            return source.images[0].image if len(source.images) == 1 else None
        return source.image if isinstance(source, BundleLock) else source

    def tag_of(self, digest: Digest, origin: Reference) -> str:
        """Return the internal tag of a manifest: `--repo-based-tags` of imgpkg puts its origin before the usual one."""
        if not self.repo_based_tags:
            return internal_tag(digest)
        return f"{_origin_prefix(origin.repository.path)}-{internal_tag(digest)}"


def _origin_prefix(path: str) -> str:
    cleaned = _NOT_FIRST_IN_A_TAG.sub("", _NOT_IN_A_TAG.sub("", path.replace("/", "-")))
    return _NOT_FIRST_IN_A_TAG.sub("", cleaned[-_LONGEST_ORIGIN:])


@dataclass(frozen=True)
class CopiedRoot:
    """What was asked for; `image` is where it is now, None for a home that is not registry-shaped.

    In the Docker Engine `digest` is the image ID.
    """

    digest: Digest
    tag: str | None
    is_bundle: bool
    image: Reference | None


@dataclass(frozen=True)
class Copied:
    """What a copy did.

    `images` counts the manifests and indexes at the destination; `uploaded`, `mounted` and
    `present` are distinct blobs, `size` the bytes transferred. `skipped` has the
    non-distributable layers that were left out, by image, and `has_non_distributable` tells
    whether there were any; `lock` is what `lockOutput` writes, None for a home that is not
    registry-shaped. `changed` tells whether the destination
    lacked anything.
    """

    roots: tuple[CopiedRoot, ...]
    images: int
    uploaded: int
    mounted: int
    present: int
    size: int
    skipped: Mapping[str, tuple[Digest, ...]]
    lock: BundleLock | ImagesLock | None
    changed: bool
    has_non_distributable: bool = False


class Tally:
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
