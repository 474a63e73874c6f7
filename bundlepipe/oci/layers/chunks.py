"""A readable file over an iterable of bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


class ChunkFile(io.RawIOBase):
    """Reads the bytes that an iterable of chunks yields, and raises what it raises; closing it closes a generator."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__()
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Read as much of the current chunk as fits."""
        target = memoryview(buffer)
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Drop unread bytes and release the source."""
        close: Callable[[], None] | None = getattr(self._chunks, "close", None)
        if close and not self.closed:
            close()
        super().close()
