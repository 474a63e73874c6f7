"""Blobs on their way: each transfer is told as events, whichever homes it goes between."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import closing
from typing import IO, cast

from bundlepipe.events import BlobAdvanced, BlobDone, BlobStarted, Emit
from bundlepipe.oci.manifest import Descriptor
from bundlepipe.stores.store import OpenContent, Store

_CHUNK = 256 * 1024


def send_blob(destination: Store, blob: Descriptor, open_content: OpenContent, emit: Emit) -> bool:
    """Store a blob that comes from files or memory; tell whether it had to be transferred. Raises StoreError."""
    sent = destination.put_blob(blob, lambda: _told(_chunks(open_content()), blob, emit))
    emit(BlobDone(blob.digest, blob.size, "transferred" if sent else "present"))
    return sent


def receive_blob(source: Store, blob: Descriptor, emit: Emit) -> Generator[bytes, None, None]:
    """Yield the verified content of a blob; errors are those of `Store.read_blob`."""
    emit(BlobStarted(blob.digest, blob.size))
    with closing(source.read_blob(blob)) as chunks:
        for chunk in chunks:
            emit(BlobAdvanced(blob.digest, len(chunk)))
            yield chunk
    emit(BlobDone(blob.digest, blob.size, "transferred"))


def pass_on_blob(source: Store, destination: Store, blob: Descriptor, emit: Emit) -> str:
    """Make the destination have a blob of the source; return how, as `BlobDone` says it.

    It is mounted where that can be done, else streamed through: nothing is kept. Raises
    StoreError, IntegrityError.
    """
    if destination.mount_blob(blob, source):
        how = "mounted"
    else:
        sent = destination.put_blob(blob, lambda: _told(source.read_blob(blob), blob, emit))
        how = "transferred" if sent else "present"
    emit(BlobDone(blob.digest, blob.size, how))
    return how


class _ToldContent(io.RawIOBase):
    """A file object on chunks, which tells of every one that is taken from it."""

    def __init__(self, chunks: Generator[bytes, None, None], blob: Descriptor, emit: Emit) -> None:
        super().__init__()
        self._chunks = chunks
        self._blob = blob
        self._emit = emit
        self._rest = memoryview(b"")
        emit(BlobStarted(blob.digest, blob.size))

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size` and at most a chunk; nothing at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
            if self._rest:
                self._emit(BlobAdvanced(self._blob.digest, len(self._rest)))
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return bytes(taken)

    def close(self) -> None:
        """Give up what was not read, and what the source holds for it."""
        self._chunks.close()
        super().close()


def _told(chunks: Generator[bytes, None, None], blob: Descriptor, emit: Emit) -> IO[bytes]:
    return cast(IO[bytes], _ToldContent(chunks, blob, emit))


def _chunks(content: IO[bytes]) -> Generator[bytes, None, None]:
    with content:
        while chunk := content.read(_CHUNK):
            yield chunk
