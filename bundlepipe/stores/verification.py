"""Verify content against its digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bundlepipe.errors import IntegrityError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor


def verified(chunks: Iterable[bytes], blob: Descriptor, what: str) -> Iterator[bytes]:
    """Pass on the chunks of a blob; raise IntegrityError, naming `what`, unless they are exactly that blob."""
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


def verify_manifest(raw: bytes, digest: Digest, what: str) -> None:
    """Raise IntegrityError, naming `what`, unless `raw` has the digest it was requested by."""
    found = digest.of_same_algorithm(raw)
    if found != digest:
        raise IntegrityError(f"{what}: manifest {digest} arrived with other content: {found}")
