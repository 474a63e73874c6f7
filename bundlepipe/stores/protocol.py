"""The store protocol: one repository, wherever it lives, and the places that images are copied from and to.

A verb is written against this protocol and never knows whether a repository is kept by a
registry, an OCI image layout or anything else. Whatever comes out of a store is verified:
a manifest against the digest it was asked for, a blob against digest and size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import IO, NamedTuple, Protocol

from bundlepipe.errors import AccessDenied, IntegrityError, NotFound
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor, Manifest, Platform, merged_index
from bundlepipe.oci.reference import Reference, Repository

OpenContent = Callable[[], IO[bytes]]


class Source(Protocol):
    """Where images can be read. Every method may raise StoreError; methods may be called from several threads."""

    @property
    def name(self) -> str:
        """What messages call this source: `registry/repository`, `oci:DIR` or `tar:FILE`."""
        ...

    @property
    def repository(self) -> Repository | None:
        """The repository in references to this source's content; None where it is not registry-shaped."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether a question costs no request."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether all that its images name is in it too: nothing is looked for elsewhere then."""
        ...

    def resolve(self, tag: str) -> Digest:
        """Return the digest of the manifest that `tag` names now; NotFound if there is none."""
        ...

    def read_manifest(self, identifier: str) -> Manifest:
        """Return the manifest that a tag or digest names; NotFound if there is none."""
        ...

    def has_manifest(self, digest: Digest) -> bool:
        """Tell whether the manifest is here."""
        ...

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the content of a blob in chunks; NotFound if it is not here.

        Raises IntegrityError, at the latest after the last chunk, unless the content has
        the digest and size of `blob`: a consumer publishes nothing before the iterator is
        exhausted.
        """
        ...

    def has_blob(self, blob: Descriptor) -> bool:
        """Tell whether the blob is here."""
        ...

    def list_tags(self) -> Iterator[str]:
        """Yield the tags; NotFound if there is no such repository."""
        ...

    def read_referrers(self, digest: Digest, tags: Collection[str] | None = None) -> Manifest | None:
        """Return the index of the manifests that name `digest` as their subject; None if there are none.

        `tags`, where they are known, are those of the repository: what is not among them need not be asked for.
        """
        ...


class Destination(Protocol):
    """Where images can be put. Every method may raise StoreError; methods may be called from several threads."""

    @property
    def name(self) -> str:
        """What messages call this destination."""
        ...

    @property
    def repository(self) -> Repository | None:
        """The repository in references to what is put here; None where it is not registry-shaped."""
        ...

    @property
    def keeps_untagged(self) -> bool:
        """Whether a manifest stays although no tag names it; registries collect such garbage."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether everything that was announced is known to be here; False where nothing was announced."""
        ...

    def put_blob(self, blob: Descriptor, open_content: OpenContent) -> bool:
        """Store a blob unless it is here, and tell whether it had to be.

        `open_content` may be called again for another attempt.
        """
        ...

    def mount_blob(self, blob: Descriptor, source: Source) -> bool:
        """Take a blob over from a sibling repository without transferring it; False if that cannot be done."""
        ...

    def put_manifest(self, manifest: Manifest, tag: str | None = None) -> None:
        """Store a manifest under its digest and, if given, under `tag`; its blobs are here already."""
        ...

    def put_referrers(self, index: Manifest, subject: Digest) -> bool:
        """Make the manifests of an index, which are here already, be listed as referrers of `subject`.

        Tells whether any of them was not.
        """
        ...


class Store(Source, Destination, Protocol):
    """One repository, to read from and to write to."""


class LockEntry(NamedTuple):
    """An entry of an ImagesLock: its place there, from 0, and its annotations."""

    place: int
    annotations: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Root:
    """An image or index that a location stands for, and that a copy of it begins with.

    identifier: what the source knows it by: a digest or tag.
    tag: its tag there; `tag_beside` is one that was written beside the digest which names it.
    reference: where it came from, if the source is not registry-shaped.
    origin: how a lock names it, and `name` how the location does, where that is a name of its own.
    image_id: the digest of its configuration, where the manifest takes longer to be had.
    is_root: False for what is there because another root names it, or may be.
    entries: those of the ImagesLock that was copied to the source; InvalidContent if they are none.
    manifest: an index of what refers to `subject`, which is made for the source alone.
    perhaps_shallow: a bundle may have been copied as an image alone, without what it names.
    """

    source: Source
    identifier: str
    tag: str | None = None
    tag_beside: str | None = None
    reference: Reference | None = None
    origin: Reference | None = None
    name: str | None = None
    image_id: Digest | None = None
    is_root: bool = True
    entries: Callable[[], tuple[LockEntry, ...]] = tuple
    manifest: Manifest | None = None
    subject: Digest | None = None
    perhaps_shallow: bool = False


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A manifest or index that is to come, as a destination is told beforehand.

    `reference` is where it was found, `origin` how it was first named, if that is to be told.
    What is not `is_listed` is only a member of indexes. `config` are the exact bytes of an image's
    configuration, where they were needed. `entries` are those of the ImagesLock that names it.
    """

    manifest: Manifest
    reference: Reference
    config: bytes
    is_listed: bool
    is_root_bundle: bool = False
    origin: str | None = None
    tags: Sequence[str] = ()
    entries: Sequence[LockEntry] = ()


class Target:
    """A place that images are copied to: as it is, a repository, or a home of single images.

    tag: the tag that the place itself gives to what is copied.
    may_lack_layers: layers can be left out because whoever gets the place has them.
    """

    may_lack_layers = False

    def __init__(
        self,
        tag: str | None = None,
        *,
        open_store: Callable[[], Store | None] = lambda: None,
        open_loader: Callable[[], Loader | None] = lambda: None,
    ) -> None:
        self.tag = tag
        self._open_store = open_store
        self._open_loader = open_loader

    @cached_property
    def store(self) -> Store | None:
        """What knows what is there; None where all is written anew, together with configurations and tags."""
        return self._open_store()

    @cached_property
    def loader(self) -> Loader | None:
        """What takes images one by one, where the place keeps nothing else; BundlepipeError if it names none."""
        return self._open_loader()

    def is_at(self, location: object) -> bool:
        """Tell whether a location that may lack layers is this very place."""
        return False

    def accepting(
        self, arrivals: Sequence[Arrival], left_out: Collection[Digest], resume: bool, about_to: Callable[[], object]
    ) -> AbstractContextManager[Destination]:
        """Give the destination for what is to come, without the layers that are `left_out`.

        With `resume`, what an interrupted copy left is used. `about_to` is called just before
        what was there is replaced as a whole. Raises StoreError, and InvalidContent for what
        the place cannot hold.
        """
        assert self.store, "single images are loaded"
        return nullcontext(self.store)


class Loader(Protocol):
    """A home that keeps single images, under the tags of one name. Every method may raise StoreError."""

    @property
    def kind(self) -> str:
        """What messages call it: `the Docker Engine`."""
        ...

    @property
    def platform(self) -> Platform:
        """The platform whose images it runs."""
        ...

    def name_of(self, tag: str) -> str:
        """Return what messages call the image with a tag."""
        ...

    def has_images_of(self, source: Source) -> bool:
        """Tell whether the images of a source are here."""
        ...

    def find(self, image: Digest | str) -> Digest | None:
        """Return the ID of the image with an ID or tag; None if there is none."""
        ...

    def load(
        self, config: bytes, layers: Sequence[tuple[Descriptor, Iterator[bytes]]], tags: Sequence[str], what: str
    ) -> Digest:
        """Store an image under tags and return its ID; each layer is read when its turn comes. `what` names it."""
        ...

    def put_tag(self, image_id: Digest, tag: str) -> None:
        """Give an image one more tag."""
        ...


def find_manifest(store: Source, identifier: str) -> Manifest | None:
    """Return the manifest that a tag or digest names, None if there is none to be had: one request.

    A refusal counts as absence, as imgpkg counts it, since several registries answer 401 or
    403 for a repository that does not exist; who goes on to write meets a real one again.
    Raises StoreError for everything else.
    """
    try:
        return store.read_manifest(identifier)
    except (NotFound, AccessDenied):
        return None


def read_manifests(source: Source, identifier: str) -> dict[Digest, Manifest]:
    """Return what a tag or digest names and, of an index, all below it: each once, and before what it names."""
    found: dict[Digest, Manifest] = {}
    waiting = [identifier]
    while waiting:
        identifier = waiting.pop()
        if identifier not in found:
            manifest = source.read_manifest(identifier)
            found[manifest.digest] = manifest
            waiting += [child.digest for child in reversed(manifest.children)] if manifest.is_index else []
    return found


def read_whole(store: Source, blob: Descriptor, limit: int) -> bytes:
    """Return a small blob as a whole; IntegrityError if it claims more than `limit` bytes."""
    if blob.size > limit:
        raise IntegrityError(
            f"{store.name}: blob {blob.digest} claims {blob.size} bytes, more than the {limit} allowed"
        )
    return b"".join(store.read_blob(blob))


def referrers_tag(digest: Digest) -> str:
    """Return the tag of the index of referrers where a registry has no API for them.

    Source: OCI distribution specification 1.1, "Referrers Tag Schema".
    """
    return f"{digest.algorithm[:32]}-{digest.encoded[:64]}"


def put_tagged_referrers(store: Store, index: Manifest, subject: Digest) -> bool:
    """Add the manifests of an index to those that the tag for referrers of `subject` lists; tell if any was new.

    Raises StoreError.
    """
    tag = referrers_tag(subject)
    present = find_manifest(store, tag)
    listed = present if present and present.is_index else None
    if listed and {child.digest for child in index.children} <= {child.digest for child in listed.children}:
        return False
    store.put_manifest(merged_index([listed, index] if listed else [index]), tag)
    return True
