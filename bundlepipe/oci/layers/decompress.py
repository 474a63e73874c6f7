"""Decompress a layer: gzip, zstd or plain.

The first bytes decide the compression, not the media type, as in container engines, since
registries hold layers with a wrong media type. However far a stream inflates, only one block of it
is in memory.
"""

from __future__ import annotations

import io
import itertools
import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from isal import isal_zlib

from bundlepipe.errors import UnsafeArchive
from bundlepipe.oci.layers.chunks import ChunkFile

# With smaller blocks, the threads that decompress and write wait for each other's turn in Python more often: with
# those of 64 KiB, 5,000 files took a fifth longer. With larger ones they wait for each other's blocks.
LARGEST_BLOCK = 256 * 1024

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# Skippable frames (RFC 8878, 3.1.2), with which some compressors begin, have sixteen magic numbers.
_ZSTD_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"
_LONGEST_MAGIC = 4
_GZIP_FLAGS = slice(3, 4)
# No header field but perhaps a name. ISA-L misreads others where the stream is cut within them.
_PLAIN_FLAGS = (b"\x00", b"\x08")

# The unconsumed input is copied at the end of each block: small pieces keep that cheap.
_PIECE = 64 * 1024
_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


def decompress(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the archive in the chunks of a layer, in blocks of at most LARGEST_BLOCK bytes.

    The layer is gzip (RFC 1952, of one or more members), zstd (RFC 8878) or not compressed.
    Consumes only the chunks that the requested blocks need. Raises UnsafeArchive for a damaged
    stream, for a truncated one (for zstd only with Python's own reader; the other does not report
    it) and for zstd if no reader is installed, and whatever `chunks` raises.
    """
    first, stream = with_start(chunks)
    if first.startswith(_GZIP_MAGIC):
        return _read_gzip(stream)
    if is_zstd(first):
        return _read_zstd(stream)
    return _pieces(stream, LARGEST_BLOCK)


def with_start(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return enough first bytes to detect a compression, and all chunks from the beginning."""
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= _LONGEST_MAGIC:
            break
    return first, itertools.chain((first,), chunks)


def is_zstd(first: bytes) -> bool:
    """Return whether a stream that begins with these bytes is zstd (RFC 8878, 3.1)."""
    return first.startswith(_ZSTD_MAGIC) or (first[1:4] == _ZSTD_SKIPPABLE_MAGIC and first[0] & 0xF0 == 0x50)


def _pieces(chunks: Iterable[bytes], largest: int) -> Iterator[bytes]:
    """Cut chunks into non-empty pieces of at most `largest` bytes."""
    for chunk in chunks:
        if 0 < len(chunk) <= largest:
            yield chunk
        else:
            for start in range(0, len(chunk), largest):
                yield chunk[start : start + largest]


def _read_gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    member: _Inflater | None = None
    data = b""
    for piece in _pieces(chunks, _PIECE):
        data += piece
        while True:
            if member is None:
                # Tapes and some builders pad with zeros, which gzip skips too.
                data = data.lstrip(b"\0")
                if not _GZIP_MAGIC.startswith(data[: len(_GZIP_MAGIC)]):
                    raise UnsafeArchive("the gzip stream is damaged: something else follows it")
                if len(data) < _GZIP_FLAGS.stop:
                    break
                member = _inflater(data)
            block = _inflate(member, data)
            if block:
                yield block
            if member.eof:
                data, member = member.unused_data, None
                continue
            data = member.unconsumed_tail
            # After a full block, there may be more output even if all input is consumed.
            if not data and len(block) < LARGEST_BLOCK:
                break
    if member is not None or data:
        raise UnsafeArchive("the gzip stream is truncated")


def _inflater(header: bytes) -> _Inflater:
    if header[_GZIP_FLAGS] in _PLAIN_FLAGS:
        return isal_zlib.decompressobj(_GZIP_WINDOW_BITS)
    return zlib.decompressobj(_GZIP_WINDOW_BITS)


def _inflate(member: _Inflater, data: bytes) -> bytes:
    try:
        return member.decompress(data, LARGEST_BLOCK)
    except (isal_zlib.error, zlib.error) as error:  # type: ignore[misc]  # a stub declares an instance
        raise UnsafeArchive(f"the gzip stream is damaged: {error}") from None


def _read_zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    reader, damage = _open_zstd(io.BufferedReader(ChunkFile(_pieces(chunks, _PIECE)), _PIECE))
    while True:
        try:
            block = reader.read(LARGEST_BLOCK)
        except damage as error:
            raise UnsafeArchive(f"the zstd stream is damaged: {error}") from None
        if not block:
            return
        yield block


def _open_zstd(source: io.BufferedReader) -> tuple[_Reader, tuple[type[Exception], ...]]:
    """Return a reader of all zstd frames in `source`, and the exceptions it raises for a damaged one."""
    try:
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdError, ZstdFile

            return ZstdFile(source), (ZstdError, EOFError)
        import zstandard
    except ImportError:
        raise UnsafeArchive(
            "the layer is compressed with zstd, which this Python cannot read; install bundlepipe[zstd]"
        ) from None
    reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
    return reader, (zstandard.ZstdError,)
