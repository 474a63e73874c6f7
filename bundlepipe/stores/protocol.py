"""The protocol of stores: read and write one repository, at any kind of location.

Verbs use only this protocol, and do not know whether a repository is in a registry, an OCI image layout or
elsewhere. All content from a store is verified: a manifest against the digest it was requested by, a blob
against digest and size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import IO, NamedTuple, Protocol

from msgspec import Struct

from bundlepipe.errors import AccessDenied, IntegrityError, NotFound
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor, Manifest, Platform, merged_index
from bundlepipe.oci.reference import Reference, Repository

OpenContent = Callable[[], IO[bytes]]


class BlobContent(Struct, frozen=True):
    """How a verb opens the content of a blob, and where it has it from: `own` content, or the `source` of a
    copy, or both if it has read that already.

    Stores only open it; a plan, which reads nothing before it has to, goes by where it is from.
    """

    opened: OpenContent
    own: OpenContent | None = None
    source: Source | None = None

    def __call__(self) -> IO[bytes]:
        """Open the content, whose reading the verb follows."""
        return self.opened()


class Source(Protocol):
    """Reads images. Every method may raise StoreError; methods may be called from several threads."""

    @property
    def name(self) -> str:
        """The source's name in messages: `registry/repository`, `oci:DIR` or `tar:FILE`."""
        ...

    @property
    def repository(self) -> Repository | None:
        """The repository in references to this source's content; None if it has no such name."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether lookups are free of network requests."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether the source has everything that its images name, so that no other source is searched."""
        ...

    def resolve(self, tag: str) -> Digest:
        """Return the digest of the manifest that `tag` names now; NotFound if there is none."""
        ...

    def read_manifest(self, identifier: str) -> Manifest:
        """Return the manifest that a tag or digest names; NotFound if there is none."""
        ...

    def has_manifest(self, digest: Digest) -> bool:
        """Return whether the manifest is in this source."""
        ...

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the content of a blob in chunks; NotFound if this source does not have it.

        Raises IntegrityError, at the latest after the last chunk, unless the content has the digest
        and size of `blob`: a consumer must not publish anything before the iterator ends.
        """
        ...

    def has_blob(self, blob: Descriptor) -> bool:
        """Return whether the blob is in this source."""
        ...

    def list_tags(self) -> Iterator[str]:
        """Yield the tags; NotFound if there is no such repository."""
        ...

    def read_referrers(self, digest: Digest, tags: Collection[str] | None = None) -> Manifest | None:
        """Return the index of the manifests that name `digest` as their subject; None if there are none.

        `tags`, if known, are those of the repository: others need not be requested.
        """
        ...


class Destination(Protocol):
    """Stores images. Every method may raise StoreError; methods may be called from several threads."""

    @property
    def name(self) -> str:
        """The destination's name in messages."""
        ...

    @property
    def repository(self) -> Repository | None:
        """The repository in references to what is stored here; None if it has no such name."""
        ...

    @property
    def keeps_untagged(self) -> bool:
        """Whether a manifest without a tag is kept; registries may garbage-collect it."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether everything that was announced is already stored; False if nothing was announced."""
        ...

    def put_blob(self, blob: Descriptor, open_content: OpenContent) -> bool:
        """Store a blob unless it exists, and return whether it was stored.

        `open_content` may be called again for a retry.
        """
        ...

    def mount_blob(self, blob: Descriptor, source: Source) -> bool:
        """Take a blob from a sibling repository without transferring it; False if that is impossible."""
        ...

    def put_manifest(self, manifest: Manifest, tag: str | None = None) -> None:
        """Store a manifest under its digest and, if given, under `tag`; its blobs are already stored."""
        ...

    def put_referrers(self, index: Manifest, subject: Digest) -> bool:
        """Register the manifests of an index, which are already stored, as referrers of `subject`.

        Returns whether any of them was new.
        """
        ...


class Store(Source, Destination, Protocol):
    """One repository, for reading and writing."""


class LockEntry(NamedTuple):
    """An entry of an ImagesLock: its index there, from 0, and its annotations."""

    place: int
    annotations: Mapping[str, str]


class Root(Struct, frozen=True, kw_only=True):
    """An image or index at a location that a copy starts with.

    identifier: its digest or tag in the source.
    tag: its tag there; `tag_beside` is one that was written in addition to the digest.
    reference: where it came from, if the source has no repository name.
    origin: its name in a lock, and `name` that in the location, if it has one.
    image_id: the digest of its configuration, if the manifest is expensive to get.
    is_root: False if it is there, or may be, because another root names it.
    entries: those of the ImagesLock that was copied to the source; InvalidContent if they are
    invalid.
    manifest: an index of the referrers of `subject`, which is created for the source only.
    perhaps_shallow: a bundle may have been copied as an image alone, without the images it names.
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


class AnnouncedImage(Struct, frozen=True, kw_only=True):
    """A manifest or index that will be stored, as announced to a destination.

    `reference` is where it was found, `origin` how it was first named, if that is to be recorded.
    If not `is_listed`, it is only a member of indexes. `config` are the exact bytes of an image's
    configuration, if they are needed. `entries` are those of the ImagesLock that names it.
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
    """The destination of a copy: by default a repository, or a location that keeps single images.

    tag: the tag that the location itself gives to the copy.
    may_lack_layers: layers can be left out because its reader already has them.
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
        """The store at the location; None if everything is written from scratch, including configurations and tags."""
        return self._open_store()

    @cached_property
    def loader(self) -> Loader | None:
        """The loader of a location that keeps only single images; BundlepipeError if the location has no name."""
        return self._open_loader()

    def is_at(self, location: object) -> bool:
        """Return whether a location that may lack layers is this one."""
        return False

    def accepting(
        self,
        announced: Sequence[AnnouncedImage],
        left_out: Collection[Digest],
        resume: bool,
        about_to: Callable[[], object],
    ) -> AbstractContextManager[Destination]:
        """Return the destination for these images, without the layers that are `left_out`.

        With `resume`, the rest of an interrupted copy is used. `about_to` is called just before
        existing content is replaced as a whole. Raises StoreError, and InvalidContent for images
        that the location cannot hold.
        """
        assert self.store, "single images are loaded"
        return nullcontext(self.store)


class Loader(Protocol):
    """Stores single images, under the tags of one name. Every method may raise StoreError."""

    @property
    def kind(self) -> str:
        """The location's name in messages: `the Docker Engine`."""
        ...

    @property
    def platform(self) -> Platform:
        """The platform of the images that it runs."""
        ...

    def name_of(self, tag: str) -> str:
        """Return the name in messages of the image with a tag."""
        ...

    def has_images_of(self, source: Source) -> bool:
        """Return whether the images of a source are stored here."""
        ...

    def find(self, image: Digest | str) -> Digest | None:
        """Return the ID of the image with an ID or tag; None if there is none."""
        ...

    def load(
        self, config: bytes, layers: Sequence[tuple[Descriptor, Iterator[bytes]]], tags: Sequence[str], what: str
    ) -> Digest:
        """Store an image under tags and return its ID; layers are read one by one. `what` names the image."""
        ...

    def put_tag(self, image_id: Digest, tag: str) -> None:
        """Add a tag to an image."""
        ...


def find_manifest(store: Source, identifier: str) -> Manifest | None:
    """Return the manifest of a tag or digest, None if it is not available: one request.

    A refusal counts as absence, as in imgpkg, since several registries respond with 401 or 403 for
    a repository that does not exist; a caller that goes on to write gets a real refusal then.
    Raises StoreError for everything else.
    """
    try:
        return store.read_manifest(identifier)
    except (NotFound, AccessDenied):
        return None


def read_manifests(source: Source, identifier: str) -> dict[Digest, Manifest]:
    """Return the manifest of a tag or digest and, for an index, all below it: each once, indexes before members."""
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
    """Return a small blob; IntegrityError if it claims more than `limit` bytes."""
    if blob.size > limit:
        raise IntegrityError(
            f"{store.name}: blob {blob.digest} claims {blob.size} bytes, more than the {limit} allowed"
        )
    return b"".join(store.read_blob(blob))


def referrers_tag(digest: Digest) -> str:
    """Return the tag of the index of referrers in a registry without an API for them.

    Source: OCI distribution specification 1.1, "Referrers Tag Schema".
    """
    return f"{digest.algorithm[:32]}-{digest.encoded[:64]}"


def put_tagged_referrers(store: Store, index: Manifest, subject: Digest) -> bool:
    """Add the manifests of an index to the tag for referrers of `subject`; return whether any was new.

    Raises StoreError.
    """
    tag = referrers_tag(subject)
    present = find_manifest(store, tag)
    listed = present if present and present.is_index else None
    if listed and {child.digest for child in index.children} <= {child.digest for child in listed.children}:
        return False
    store.put_manifest(merged_index([listed, index] if listed else [index]), tag)
    return True
