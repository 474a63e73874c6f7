"""The compressed stream of a layer, turned back into its archive.

Compression is told by the first bytes and not by the media type, as the container engines
do it, since registries hold layers whose media type is wrong. However far a stream
inflates, no more than one block of it is in memory.
"""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import Protocol

from zlib_ng import zlib_ng

from bundlepipe.errors import UnsafeArchive
from bundlepipe.oci.layers.chunks import ChunkFile

# Blocks of many sizes leave gaps in the heap that are never filled again: with blocks of
# up to 512 KiB it grew to 90 MB, with these to 20 MB, and they are no slower.
LARGEST_BLOCK = 64 * 1024

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# Skippable frames (RFC 8878, 3.1.2), with which some compressors begin, have sixteen of them.
_ZSTD_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"
_LONGEST_MAGIC = 4

# What zlib leaves unconsumed at the end of a block is copied every time: small pieces keep that cheap.
_PIECE = 64 * 1024
_GZIP_WINDOW_BITS = 16 + zlib_ng.MAX_WBITS


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


def decompress(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the archive in the chunks of a layer, in blocks of at most LARGEST_BLOCK bytes.

    The layer is gzip (RFC 1952, of one or more members), zstd (RFC 8878) or not compressed.
    Takes no more chunks than the blocks asked for need. Raises UnsafeArchive for a damaged
    stream, for a truncated one (of zstd only where Python's own reader is used; the other
    keeps quiet) and for zstd where there is no reader, and whatever `chunks` raises.
    """
    first, stream = with_start(chunks)
    if first.startswith(_GZIP_MAGIC):
        return _read_gzip(stream)
    if is_zstd(first):
        return _read_zstd(stream)
    return _pieces(stream, LARGEST_BLOCK)


def with_start(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, as many as tell a compression, and all chunks from the beginning."""
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= _LONGEST_MAGIC:
            break
    return first, itertools.chain((first,), chunks)


def is_zstd(first: bytes) -> bool:
    """Tell whether a stream that begins with these bytes is zstd (RFC 8878, 3.1)."""
    return first.startswith(_ZSTD_MAGIC) or (first[1:4] == _ZSTD_SKIPPABLE_MAGIC and first[0] & 0xF0 == 0x50)


def _pieces(chunks: Iterable[bytes], largest: int) -> Iterator[bytes]:
    """Cut chunks into pieces that are neither empty nor larger than `largest`."""
    for chunk in chunks:
        if 0 < len(chunk) <= largest:
            yield chunk
        else:
            for start in range(0, len(chunk), largest):
                yield chunk[start : start + largest]


def _read_gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    member = zlib_ng.decompressobj(_GZIP_WINDOW_BITS)
    for piece in _pieces(chunks, _PIECE):
        data = piece
        while True:
            if member.eof:
                # Tapes and some builders fill up with zeros, which gzip passes over too.
                data = data.lstrip(b"\0")
                if not data:
                    break
                member = zlib_ng.decompressobj(_GZIP_WINDOW_BITS)
            block = _inflate(member, data)
            if block:
                yield block
            data = member.unused_data if member.eof else member.unconsumed_tail
            # A full block may leave content behind in zlib even where it took all input.
            if not data and len(block) < LARGEST_BLOCK:
                break
    if not member.eof:
        raise UnsafeArchive("the gzip stream is truncated")


def _inflate(member: zlib_ng._Decompress, data: bytes) -> bytes:
    try:
        return member.decompress(data, LARGEST_BLOCK)
    except zlib_ng.error as error:  # type: ignore[misc]  # its stub declares an instance
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
    """Return a reader of all zstd frames in `source`, and what it raises for a damaged one."""
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
