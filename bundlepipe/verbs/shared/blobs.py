"""Transfer blobs between stores, emitting events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import IO, cast

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.errors import StoreError, Unreachable
from bundlepipe.events import BlobAdvanced, BlobDone, BlobStarted, Emit
from bundlepipe.oci.layers.chunks import ChunkFile
from bundlepipe.oci.manifest import Descriptor, Manifest
from bundlepipe.stores.protocol import BlobContent, Destination, OpenContent, Source, Store, find_manifest
from bundlepipe.verbs.shared.bundles import internal_tag

_CHUNK = 256 * 1024
_MOST_REFUSALS = 3


def send_blob(
    destination: Destination, blob: Descriptor, open_content: OpenContent, emit: Emit, source: Source | None = None
) -> bool:
    """Store a blob from files or memory; return whether it was transferred. Raises StoreError.

    If the content was read from a `source`, that still has it when the files are gone.
    """
    content = BlobContent(lambda: _told(_chunks(open_content()), blob, emit), own=open_content, source=source)
    sent = destination.put_blob(blob, content)
    emit(BlobDone(blob.digest, blob.size, "transferred" if sent else "present"))
    return sent


def receive_blob(source: Source, blob: Descriptor, emit: Emit) -> Generator[bytes, None, None]:
    """Yield the verified content of a blob; errors are those of `Store.read_blob`."""
    emit(BlobStarted(blob.digest, blob.size))
    with closing(source.read_blob(blob)) as chunks:
        for chunk in chunks:
            emit(BlobAdvanced(blob.digest, len(chunk)))
            yield chunk
    emit(BlobDone(blob.digest, blob.size, "transferred"))


def pass_on_blob(source: Source, destination: Destination, blob: Descriptor, emit: Emit) -> None:
    """Stream a blob from the source to the destination, without storing it in between. Raises StoreError."""
    content = BlobContent(lambda: _told(source.read_blob(blob), blob, emit), source=source)
    sent = destination.put_blob(blob, content)
    emit(BlobDone(blob.digest, blob.size, "transferred" if sent else "present"))


class Mounts:
    """Mounts blobs from repositories of the destination's registry, if that works.

    Some registries never mount and some not from every repository. After a few refusals in a row a
    repository is not tried again.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._refusals: Counter[str] = Counter()

    def take(self, blob: Descriptor, lender: Source, emit: Emit) -> bool:
        """Mount a blob; False if it has to be transferred. Raises StoreError."""
        if self._refusals[lender.name] >= _MOST_REFUSALS:
            return False
        if not self._destination.mount_blob(blob, lender):
            self._refusals[lender.name] += 1
            return False
        self._refusals[lender.name] = 0
        emit(BlobDone(blob.digest, blob.size, "mounted"))
        return True


def put_tagged(store: Store, manifest: Manifest, tag: str) -> None:
    """Store a manifest under a tag; StoreError if the tag names another one and the registry does not let it move.

    A registry with immutable tags may refuse a tag although it already names the manifest.
    """
    try:
        store.put_manifest(manifest, tag)
    except Unreachable:
        raise
    except StoreError as error:
        named = find_manifest(store, tag)
        if named is None:
            raise
        if named.digest != manifest.digest:
            raise type(error)(
                f"{store.name}:{tag} names {named.digest} and was not moved to {manifest.digest}: {error}: "
                "where tags cannot be moved, choose another one, or remove this one first"
            ) from error


def put_further_tags(store: Store, manifest: Manifest, tags: Sequence[str]) -> None:
    """Make tags name a manifest that exists; a tag that already does costs one request. Raises StoreError."""
    for tag in tags:
        present = find_manifest(store, tag)
        if present is None or present.digest != manifest.digest:
            put_tagged(store, manifest, tag)


def put_tags(store: Store, manifest: Manifest, tags: Sequence[str]) -> None:
    """Store a manifest, whose blobs exist, under tags in order, protected by imgpkg's tag if needed.

    If the last of the tags exists, everything else does too. Raises StoreError.
    """
    protection = () if store.keeps_untagged else (internal_tag(manifest.digest),)
    for tag in (*protection, *tags):
        put_tagged(store, manifest, tag)


def put_image(source: Source, manifest: Manifest, store: Store, tags: Sequence[str], emit: Emit) -> None:
    """Store an image or index of a source, with everything it names, under tags as `put_tags`. Raises StoreError."""
    images = [source.read_manifest(child.digest) for child in manifest.children] if manifest.is_index else [manifest]
    blobs = dict.fromkeys(blob for image in images for blob in (*image.layers, image.config))
    in_parallel(lambda blob: pass_on_blob(source, store, blob, emit), blobs)
    if manifest.is_index:
        for image in images:
            store.put_manifest(image)
    put_tags(store, manifest, tags)


def _told(chunks: Generator[bytes, None, None], blob: Descriptor, emit: Emit) -> IO[bytes]:
    """Return a file object over chunks that reports each chunk read from it."""

    def tell() -> Generator[bytes, None, None]:
        emit(BlobStarted(blob.digest, blob.size))
        with closing(chunks):
            for chunk in chunks:
                yield chunk
                emit(BlobAdvanced(blob.digest, len(chunk)))

    return cast(IO[bytes], ChunkFile(tell()))


def _chunks(content: IO[bytes]) -> Generator[bytes, None, None]:
    with content:
        while chunk := content.read(_CHUNK):
            yield chunk
