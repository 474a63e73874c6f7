"""Request and result of a copy."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.events import BlobDone, Emit, Event, ImageDone
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.location import ArchiveLocation, Location, Place
from bundlepipe.verbs.shared.bundles import Kind, internal_tag
from bundlepipe.verbs.shared.foretold import Foretold

_LONGEST_ORIGIN = 49
_NOT_IN_A_TAG = re.compile(r"[^A-Za-z0-9._-]")
_NOT_FIRST_IN_A_TAG = re.compile(r"^[^A-Za-z0-9_]+")

Excluded = ArchiveLocation | BundleLock | ImagesLock


class CopyRequest(Struct, frozen=True, kw_only=True):
    """What to copy where.

    source: a bundle, image or index; or a lock, whose images are all copied.
    expected: other kinds are refused.
    destination: the Docker Engine takes one image, and of an index the one for its platform.
    tag: the root's tag at the destination instead of the one at the source; `tags` are additional
    ones.
    shallow: a bundle is copied as a plain image, without the images it names.
    include_non_distributable: layers that may not be redistributed are copied too.
    cosign, referrers: artifacts that cosign attached to images, by tags and as referrers, and all
    referrers, are copied too.
    repo_based_tags: internal tags begin with the repository that an image came from.
    resume: layers of an interrupted or earlier tar file are reused.
    exclude: layers of these are left out of a tar file, since its reader has them.
    as_imgpkg: the result is exactly imgpkg's: members of indexes have no tags of their own, of
    cosign's artifacts only signatures are copied, tar files record origins only for the images of a
    bundle, and no annotations of an ImagesLock, and locks have no names.
    foretold: what a plan says of the roots and their tags; anything else is refused.
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
    foretold: Foretold | None = None

    @property
    def location(self) -> Location | None:
        """The location of the source, or the one in a lock; None for a lock that names several images."""
        source = self.source
        if isinstance(source, ImagesLock):
            return source.images[0].image if len(source.images) == 1 else None
        return source.image if isinstance(source, BundleLock) else source

    def tag_of(self, digest: Digest, origin: Reference) -> str:
        """Return the internal tag of a manifest: imgpkg's `--repo-based-tags` puts its origin before the usual one."""
        if not self.repo_based_tags:
            return internal_tag(digest)
        return f"{_origin_prefix(origin.repository.path)}-{internal_tag(digest)}"


def _origin_prefix(path: str) -> str:
    cleaned = _NOT_FIRST_IN_A_TAG.sub("", _NOT_IN_A_TAG.sub("", path.replace("/", "-")))
    return _NOT_FIRST_IN_A_TAG.sub("", cleaned[-_LONGEST_ORIGIN:])


class CopiedRoot(Struct, frozen=True):
    """A copied root; `image` is its new reference, None for a location without a repository.

    In the Docker Engine `digest` is the image ID.
    """

    digest: Digest
    tag: str | None
    is_bundle: bool
    image: Reference | None


class Copied(Struct, frozen=True):
    """The result of a copy.

    `images` counts the manifests and indexes at the destination; `uploaded`, `mounted` and
    `present` count distinct blobs, `size` the bytes transferred. `skipped` has the
    non-distributable layers that were left out, by image, and `has_non_distributable` says whether
    there were any; `lock` is the content of `lockOutput`, None for a location without a repository.
    `changed` says whether the destination lacked anything.
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
    """Counts the results for blobs, and passes the events on."""

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
        """Return the result, with the counts."""
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
