"""A store that exists in tests only: manifests and blobs in memory. No verb has heard of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from bundlepipe.errors import NotFound
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor, Manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.location import Location, Place
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import (
    AnnouncedImage,
    Destination,
    OpenContent,
    Root,
    Source,
    Target,
    find_manifest,
    put_tagged_referrers,
    referrers_tag,
)
from bundlepipe.stores.settings import local_reference
from bundlepipe.stores.verification import verified


@dataclass(eq=False)
class Memory:
    """A store in memory. One that `is_closed` is as a tar: it is written as a whole, and has all that it names."""

    label: str
    is_closed: bool = False
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    listed: tuple[AnnouncedImage, ...] = ()
    repository: Repository | None = None
    is_local: bool = True
    keeps_untagged: bool = True
    is_complete: bool = False

    @property
    def name(self) -> str:
        return f"memory:{self.label}"

    def resolve(self, tag: str) -> Digest:
        if tag not in self.tags:
            raise NotFound(f"{self.name}: there is no {tag}")
        return self.tags[tag]

    def read_manifest(self, identifier: str) -> Manifest:
        digest = Digest(identifier) if ":" in identifier else self.resolve(identifier)
        if digest not in self.manifests:
            raise NotFound(f"{self.name}: there is no {identifier}")
        return self.manifests[digest]

    def has_manifest(self, digest: Digest) -> bool:
        return digest in self.manifests

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        if blob.digest not in self.blobs:
            raise NotFound(f"{self.name}: there is no blob {blob.digest}")
        yield from verified([self.blobs[blob.digest]], blob, self.name)

    def has_blob(self, blob: Descriptor) -> bool:
        return blob.digest in self.blobs

    def list_tags(self) -> Iterator[str]:
        return iter(list(self.tags))

    def read_referrers(self, digest: Digest, tags: Collection[str] | None = None) -> Manifest | None:
        return find_manifest(self, referrers_tag(digest))

    def put_blob(self, blob: Descriptor, open_content: OpenContent) -> bool:
        if blob.digest in self.blobs:
            return False
        with open_content() as content:
            self.blobs[blob.digest] = b"".join(verified([content.read()], blob, self.name))
        return True

    def mount_blob(self, blob: Descriptor, source: Source) -> bool:
        return False

    def put_manifest(self, manifest: Manifest, tag: str | None = None) -> None:
        self.manifests[manifest.digest] = manifest
        if tag:
            self.tags[tag] = manifest.digest

    def put_referrers(self, index: Manifest, subject: Digest) -> bool:
        return put_tagged_referrers(self, index, subject)


@dataclass(frozen=True)
class MemoryLocation:
    """Where a memory is, as a user would write it."""

    memory: Memory
    tag: str | None = None

    def __str__(self) -> str:
        return f"{self.memory.name}" + (f":{self.tag}" if self.tag else "")

    def roots(self) -> Iterator[Root]:
        """Yield what was announced to a closed memory; of another one, what the tag names."""
        memory = self.memory
        if not memory.is_closed:
            digest = memory.resolve(self.tag or "latest")
            reference = local_reference(memory.label, digest)
            yield Root(source=memory, identifier=digest, tag=self.tag, reference=reference)
        for image in memory.listed:
            yield Root(
                source=memory,
                identifier=image.manifest.digest,
                tag=image.tags[0] if image.tags else None,
                reference=image.reference,
                is_root=image.is_root_bundle,
            )


class _Crate(Target):
    """A closed memory, which gets everything at once."""

    def __init__(self, location: MemoryLocation) -> None:
        super().__init__(location.tag)
        self._memory = location.memory

    @contextmanager
    def accepting(
        self,
        announced: Sequence[AnnouncedImage],
        left_out: Collection[Digest],
        resume: bool,
        about_to: Callable[[], object],
    ) -> Iterator[Destination]:
        memory = self._memory
        memory.blobs.update((each.manifest.config.digest, each.config) for each in announced if each.config)
        memory.listed = tuple(each for each in announced if each.is_listed)
        yield memory
        about_to()


class HomesWithMemory(Stores):
    """Stores among which are memories: all that there is to adding a home."""

    def roots(self, location: Location) -> Iterable[Root]:
        """Return what is in a memory, or elsewhere."""
        return location.roots() if isinstance(location, MemoryLocation) else super().roots(location)

    def destination(self, place: Place, *, as_kbld: bool = False) -> Target:
        """Return a memory as a place that a copy goes to, or another place."""
        if not isinstance(place, MemoryLocation):
            return super().destination(place, as_kbld=as_kbld)
        return _Crate(place) if place.memory.is_closed else Target(place.tag, open_store=lambda: place.memory)


def location_of(memory: Memory, tag: str | None = None) -> Location:
    """Return a location that a verb takes for one of those it may get."""
    return cast(Location, MemoryLocation(memory, tag))


def place_of(memory: Memory, tag: str | None = None) -> Place:
    """Return a destination that a verb takes for one of those it may get."""
    return cast(Place, MemoryLocation(memory, tag))
