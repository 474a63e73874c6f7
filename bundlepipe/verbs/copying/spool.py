"""Contents that are read once and needed twice: they wait in one temporary file, however many there are."""

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
    """A temporary file, made when something is kept and gone when it is closed; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._size = 0

    def keep(self, chunks: Generator[bytes, None, None], size: int) -> tuple[Generator[bytes, None, None], OpenContent]:
        """Return chunks that keep themselves as they are taken, and how to open them once all have been.

        `size` is what they amount to. The chunks raise NoRoom where there is no room.
        """
        with self._lock:
            offset = self._size
            self._size += size
        return self._kept(chunks, offset), lambda: cast(IO[bytes], ChunkFile(self._read(offset, size)))

    def close(self) -> None:
        """Give up what was kept."""
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
