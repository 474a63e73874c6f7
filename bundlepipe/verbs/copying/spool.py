"""Keep content that is read once and needed twice in one temporary file."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import IO, cast

from bundlepipe.filesystem.files import read_at, write_at
from bundlepipe.filesystem.temporary import temporary_file, temporary_room
from bundlepipe.oci.layers.chunks import ChunkFile
from bundlepipe.stores.protocol import OpenContent


class Spool:
    """A temporary file, created when content is kept and removed when it is closed; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._size = 0

    def keep(self, chunks: Generator[bytes, None, None], size: int) -> tuple[Generator[bytes, None, None], OpenContent]:
        """Return chunks that are stored while they are read, and a function that opens them afterwards.

        `size` is their total. The chunks raise NoRoom if there is no room.
        """
        with self._lock:
            offset = self._size
            self._size += size
        return self._kept(chunks, offset), lambda: cast(IO[bytes], ChunkFile(self._read(offset, size)))

    def close(self) -> None:
        """Remove the file."""
        if self._file:
            self._file.close()

    def _kept(self, chunks: Generator[bytes, None, None], offset: int) -> Generator[bytes, None, None]:
        with closing(chunks):
            for chunk in chunks:
                self._write(chunk, offset)
                offset += len(chunk)
                yield chunk

    def _write(self, chunk: bytes, offset: int) -> None:
        with temporary_room("layers of bundles", self._size):
            with self._lock:
                self._file = self._file or temporary_file("layers of bundles", self._size)
            write_at(self._file.fileno(), chunk, offset)

    def _read(self, offset: int, size: int) -> Iterator[bytes]:
        if self._file:
            yield from read_at(self._file.fileno(), offset, size)
