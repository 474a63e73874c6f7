"""The store protocol: one repository, wherever it lives.

A verb is written against this protocol and never knows whether a repository is kept by a
registry, an OCI image layout or anything else. Whatever comes out of a store is verified:
a manifest against the digest it was asked for, a blob against digest and size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from typing import IO, Protocol

from bundlepipe.errors import AccessDenied, IntegrityError, NotFound
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor, Manifest, merged_index
from bundlepipe.oci.reference import Repository

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


def verified(chunks: Iterable[bytes], blob: Descriptor, what: str) -> Iterator[bytes]:
    """Pass the chunks of a blob on; raise IntegrityError, naming `what`, unless they are exactly that blob."""
    hasher = blob.digest.hasher()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > blob.size:
            raise IntegrityError(f"{what}: blob {blob.digest} is larger than the {blob.size} bytes expected of it")
        hasher.update(chunk)
        yield chunk
    if size != blob.size:
        raise IntegrityError(f"{what}: blob {blob.digest} ended after {size} of {blob.size} bytes")
    if Digest.from_hasher(hasher) != blob.digest:
        raise IntegrityError(f"{what}: blob {blob.digest} arrived with other content: {Digest.from_hasher(hasher)}")


def read_whole(store: Source, blob: Descriptor, limit: int) -> bytes:
    """Return a small blob as a whole; IntegrityError if it claims more than `limit` bytes."""
    if blob.size > limit:
        raise IntegrityError(
            f"{store.name}: blob {blob.digest} claims {blob.size} bytes, more than the {limit} allowed"
        )
    return b"".join(store.read_blob(blob))


def verify_manifest(raw: bytes, digest: Digest, what: str) -> None:
    """Raise IntegrityError, naming `what`, unless `raw` has the digest it was asked for by."""
    hasher = digest.hasher()
    hasher.update(raw)
    if Digest.from_hasher(hasher) != digest:
        raise IntegrityError(f"{what}: manifest {digest} arrived with other content: {Digest.from_hasher(hasher)}")


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
