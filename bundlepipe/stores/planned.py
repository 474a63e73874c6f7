"""Stores for a plan: they read as others do, and only remember what is written to them."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Generator, Iterator, Mapping
from functools import partial

from bundlepipe.errors import AccessDenied, NotFound
from bundlepipe.filesystem.overlay import Unforeseen, active_overlay
from bundlepipe.filesystem.temporary import reopened
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor, Manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.location import ArchiveLocation, EngineLocation, LayoutLocation, Place
from bundlepipe.stores.protocol import BlobContent, OpenContent, Source, Store, Target, find_manifest
from bundlepipe.stores.resolved import Resolved, ResolvedStores
from bundlepipe.stores.settings import RegistrySettings

# How a sentence ends about what is open in a plan that asks no registry.
ONLY_REGISTRY_KNOWS = "is not known without asking the registry"
# As stores yield it: a caller that ends after the first chunk has received no more.
_CHUNK = 256 * 1024
# What a plan itself receives of one blob at most.
_LARGEST_READ = 64 * 1000**2


class Transfers:
    """Counts what will be sent and received, in bytes of blobs of repositories; by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent = self._received = 0
        self._is_exact = True

    def send(self, size: int) -> None:
        """Count what is sent."""
        with self._lock:
            self._sent += size

    def receive(self, size: int, *, is_all: bool = True) -> None:
        """Count what is received; unless it is all of a blob, the network decides how much more arrives."""
        with self._lock:
            self._received += size
            self._is_exact = self._is_exact and is_all

    def take(self) -> tuple[int, int | None]:
        """Return the bytes sent and received since the last call; None if it is not known how many."""
        with self._lock:
            taken = self._sent, self._received if self._is_exact else None
            self._sent, self._received, self._is_exact = 0, 0, True
        return taken


class PlannedStores(ResolvedStores):
    """Stores whose repositories remember what is written.

    What would be written to a tar file, an OCI image layout or the Docker Engine is not foreseen. `transfers`
    counts what would be sent and received. With `offline` no registry is asked: reading from one is
    Unforeseen, and what is written counts as new there. `resolved` gets what tags are resolved to, for a plan that
    is to be carried out.
    """

    def __init__(
        self,
        registries: Mapping[str, RegistrySettings],
        transfers: Transfers,
        *,
        offline: bool = False,
        resolved: Resolved | None = None,
    ) -> None:
        super().__init__(registries, resolved)
        self._offline = offline
        self._counts = transfers
        self._planned: dict[Repository, PlannedStore] = {}
        self._opening = threading.Lock()

    @property
    def destinations(self) -> dict[str, str | None]:
        """The digests that the tags of destinations name; None for nothing. Empty unless tags are noted."""
        return {
            str(repository.tagged(tag)): str(digest) if digest else None
            for repository, store in self._planned.items()
            for tag, digest in store.named_before.items()
        }

    def repository(self, repository: Repository, *, writes: bool = False) -> Store:
        """Return the store of a repository, with what was written to it so far."""
        with self._opening:
            if repository in self._planned:
                return self._planned[repository]
            real = super().repository(repository, writes=writes)
            is_asked = real.is_local or not self._offline
            seen = real if is_asked else _NotAsked(real, is_new=writes)
            store = PlannedStore(seen, self._counts, notes_tags=is_asked and writes and self._resolved is not None)
            if writes:
                self._planned[repository] = store
            return store

    def written(self, repository: Repository, digest: Digest) -> Store | None:
        """Return the store of a repository if a manifest of this digest was written to it."""
        with self._opening:
            store = self._planned.get(repository)
        return store if store and store.will_have(digest) else None

    def destination(self, place: Place, *, as_kbld: bool = False) -> Target:
        """Return the destination of a copy to a repository; Unforeseen for any other place."""
        if isinstance(place, ArchiveLocation | EngineLocation | LayoutLocation):
            raise Unforeseen(f"what is written to {place} is known when it is done")
        return Target(open_store=lambda: self.repository(place, writes=True))


class PlannedStore:
    """A repository that reads from `real` and keeps what is written to itself."""

    def __init__(self, real: Store | _NotAsked, transfers: Transfers, *, notes_tags: bool = False) -> None:
        self._real = real
        self._notes_tags = notes_tags
        # The digests that tags name in the real one, None for nothing; only if tags are noted.
        self.named_before: dict[str, Digest | None] = {}
        self._transfers = transfers
        self._manifests: dict[str, Manifest] = {}
        self._tags: dict[str, Digest] = {}
        self._referrers: dict[Digest, Manifest] = {}
        # How to read what was written: again, or from another repository.
        self._blobs: dict[Digest, OpenContent | Source] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The name of the real one."""
        return self._real.name

    @property
    def repository(self) -> Repository | None:
        """The repository of the real one."""
        return self._real.repository

    @property
    def is_local(self) -> bool:
        """As the real one."""
        return self._real.is_local

    @property
    def is_closed(self) -> bool:
        """As the real one."""
        return self._real.is_closed

    @property
    def is_complete(self) -> bool:
        """As the real one."""
        return self._real.is_complete

    @property
    def keeps_untagged(self) -> bool:
        """As the real one."""
        return self._real.keeps_untagged

    def resolve(self, tag: str) -> Digest:
        """Return the digest that `tag` will name."""
        return self._tags[tag] if tag in self._tags else self._real.resolve(tag)

    def read_manifest(self, identifier: str) -> Manifest:
        """Return the manifest that a tag or digest will name."""
        written = self._manifests.get(self._tags.get(identifier, identifier))
        if written:
            return written
        try:
            found = self._real.read_manifest(identifier)
        except (NotFound, AccessDenied):
            self._note(identifier, None)
            raise
        self._note(identifier, found.digest)
        return found

    def _note(self, identifier: str, digest: Digest | None) -> None:
        """Note what a tag named before, except tags that name an image by its digest."""
        if self._notes_tags and ":" not in identifier and not identifier.startswith("sha256-"):
            with self._lock:
                self.named_before.setdefault(identifier, digest)

    def has_manifest(self, digest: Digest) -> bool:
        """Return whether the manifest is there, or will be."""
        return digest in self._manifests or self._real.has_manifest(digest)

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the content of a blob, which counts as received."""
        counted = 0
        try:
            for chunk in self._content(blob):
                counted += len(chunk)
                yield chunk
        finally:
            self._transfers.receive(counted, is_all=counted == blob.size)

    def _content(self, blob: Descriptor) -> Generator[bytes, None, None]:
        kept = self._blobs.get(blob.digest, self._real)
        if isinstance(kept, PlannedStore):
            yield from kept._content(blob)
        elif callable(kept):
            with kept() as content:
                while chunk := content.read(_CHUNK):
                    yield chunk
        elif blob.size > _LARGEST_READ and not kept.is_local:
            raise Unforeseen(f"{kept.name} has {blob.digest}, of {blob.size} bytes, which only a run reads")
        else:
            yield from kept.read_blob(blob)

    def has_blob(self, blob: Descriptor) -> bool:
        """Return whether the blob is there, or will be."""
        return blob.digest in self._blobs or self._real.has_blob(blob)

    def list_tags(self) -> Iterator[str]:
        """Yield the tags that there will be; NotFound if there will be no such repository."""
        try:
            found = list(self._real.list_tags())
        except NotFound:
            if not self._tags:
                raise
            found = []
        yield from dict.fromkeys([*found, *self._tags])

    def read_referrers(self, digest: Digest, tags: Collection[str] | None = None) -> Manifest | None:
        """Return the index of the referrers that there will be."""
        return self._referrers.get(digest) or self._real.read_referrers(digest, tags)

    def put_blob(self, blob: Descriptor, open_content: OpenContent) -> bool:
        """Count the blob as sent unless it exists."""
        if self.has_blob(blob):
            return False
        kept = self._kept(blob, open_content)
        with self._lock:
            self._blobs[blob.digest] = kept
        self._transfers.send(blob.size)
        return True

    def _kept(self, blob: Descriptor, open_content: OpenContent) -> OpenContent | Source:
        """Return how to read a blob later, when a temporary file may have been removed."""
        if not isinstance(open_content, BlobContent):
            return open_content
        if open_content.source:
            if open_content.own is None and isinstance(open_content.source, PlannedStore):
                self._transfers.receive(blob.size)
            return open_content.source
        return _still_open(open_content.own or open_content)

    def mount_blob(self, blob: Descriptor, source: Source) -> bool:
        """Return whether the blob will be taken from a sibling repository: a registry that refuses is not foreseen."""
        own, other = self._real.repository, source.repository
        if not own or not other or own.registry != other.registry:
            return False
        if own == other:
            return self.has_blob(blob)
        with self._lock:
            self._blobs.setdefault(blob.digest, source)
        return True

    def will_have(self, digest: Digest) -> bool:
        """Return whether a manifest was written here."""
        return digest in self._manifests

    def put_manifest(self, manifest: Manifest, tag: str | None = None) -> None:
        """Remember the manifest and the tag."""
        if self._notes_tags and tag is not None and tag not in self._tags and tag not in self.named_before:
            find_manifest(self, tag)
        with self._lock:
            self._manifests[manifest.digest] = manifest
            if tag is not None:
                self._tags[tag] = manifest.digest

    def put_referrers(self, index: Manifest, subject: Digest) -> bool:
        """Remember the referrers; return whether any of them is new."""
        known = self.read_referrers(subject)
        old = {child.digest for child in known.children} if known else set()
        with self._lock:
            self._referrers[subject] = index
        return any(child.digest not in old for child in index.children)


class _NotAsked:
    """A registry's repository in a plan that asks no registry. If it `is_new`, nothing is there yet."""

    is_local = False
    is_closed = False
    is_complete = False

    def __init__(self, store: Store, *, is_new: bool) -> None:
        self.name, self.repository, self.keeps_untagged = store.name, store.repository, store.keeps_untagged
        self._is_new = is_new

    def resolve(self, tag: str) -> Digest:
        overlay = active_overlay()
        if overlay and overlay.stands_in and not self._is_new:
            overlay.stood_in += 1
            return Digest.of(f"{self.name}:{tag}".encode())
        raise self._unknown(f"what {self.name}:{tag} names")

    def read_manifest(self, identifier: str) -> Manifest:
        raise self._unknown(f"what {self.name} holds")

    def has_manifest(self, digest: Digest) -> bool:
        return self._absent(f"whether {self.name} has {digest}")

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        raise self._unknown(f"what {self.name} holds")

    def has_blob(self, blob: Descriptor) -> bool:
        return self._absent(f"whether {self.name} has {blob.digest}")

    def list_tags(self) -> Iterator[str]:
        raise self._unknown(f"the tags of {self.name}")

    def read_referrers(self, digest: Digest, tags: Collection[str] | None = None) -> Manifest | None:
        raise self._unknown(f"what {self.name} holds")

    def _absent(self, what: str) -> bool:
        if self._is_new:
            return False
        raise self._unknown(what)

    def _unknown(self, what: str) -> NotFound | Unforeseen:
        if self._is_new:
            return NotFound(f"{self.name}: nothing is there yet")
        return Unforeseen(f"{what} {ONLY_REGISTRY_KNOWS}")


def _still_open(open_content: OpenContent) -> OpenContent:
    """Return how to read a file later that may have no name by then."""
    with open_content() as content:
        try:
            descriptor = os.dup(content.fileno())
        except OSError:
            # It is in memory.
            return open_content
    return partial(reopened, descriptor)
