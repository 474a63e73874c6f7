"""Read an archive that arrives in blocks."""

from __future__ import annotations

import os
from collections.abc import Callable

from bundlepipe.errors import UnsafeArchive

# Content, a fault of the stream at this point, or its end.
Block = bytes | UnsafeArchive | None


class Archive:
    """The blocks of an archive, read in portions of any size.

    `next_block` returns the next one. `count_overhead` is called with the size of every header, and may raise.
    """

    def __init__(self, next_block: Callable[[], Block], count_overhead: Callable[[int], None]) -> None:
        self._next_block = next_block
        self._count_overhead = count_overhead
        self._block = b""
        self._position = 0
        self._has_ended = False

    def read(self, size: int) -> bytes:
        """Return `size` bytes of headers, fewer at the end."""
        self._count_overhead(size)
        start = self._position
        end = start + size
        if end <= len(self._block):
            self._position = end
            return self._block[start:end]
        parts: list[bytes] = []
        while size and self._fill():
            part = self._block[self._position : self._position + size]
            self._position += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def copy(self, size: int, descriptor: int, update: Callable[[memoryview], None] | None = None) -> None:
        """Write the next `size` bytes to a file and pass them to `update`; UnsafeArchive if the archive ends before."""
        while size:
            if not self._fill():
                raise UnsafeArchive("the archive ends within its content")
            portion = memoryview(self._block)[self._position : self._position + size]
            # A signal or a full disk may cut a write short; the next one shows which.
            written = os.write(descriptor, portion)
            if update:
                update(portion[:written])
            self._position += written
            size -= written

    def skip(self, size: int) -> None:
        """Skip the next `size` bytes; UnsafeArchive if the archive ends before."""
        while size:
            if not self._fill():
                raise UnsafeArchive("the archive ends within its content")
            skipped = min(size, len(self._block) - self._position)
            self._position += skipped
            size -= skipped

    def drain(self, *, is_counted: bool = False) -> None:
        """Consume all remaining blocks, damaged or not; they may be counted as overhead."""
        while not self._has_ended:
            block = self._next_block()
            self._has_ended = block is None
            if is_counted and isinstance(block, bytes):
                self._count_overhead(len(block))

    def _fill(self) -> bool:
        """Ensure that the block has at least one byte, unless the archive has ended."""
        if self._position < len(self._block):
            return True
        if self._has_ended:
            return False
        block = self._next_block()
        if isinstance(block, UnsafeArchive):
            raise block
        self._has_ended = block is None
        self._block = block or b""
        self._position = 0
        return not self._has_ended
