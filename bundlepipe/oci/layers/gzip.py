"""Reproducible gzip: the bytes depend on the content alone, not on the CPU, the core count or the Python.

The stream is cut into blocks of a fixed size that are compressed in parallel, each with the tail of
its predecessor as dictionary and a sync flush at its end. Together they are one ordinary gzip
member (RFC 1952), as pigz makes it. zlib-ng is pinned because its output is the same on every CPU,
which ISA-L's is not.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from zlib_ng import zlib_ng

# Changing one of these changes the digest of every layer.
LEVEL = 2
BLOCK_SIZE = 512 * 1024

_DICTIONARY_SIZE = 32 * 1024
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, operating system unknown


def compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the gzip stream of the concatenated chunks, however they are cut."""
    yield _HEADER
    checksum = size = 0
    dictionary = b""
    workers = os.cpu_count() or 1
    pending: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="gzip") as pool:
        for block, is_last in _blocks(chunks):
            checksum = zlib_ng.crc32(block, checksum)
            size += len(block)
            pending.append(pool.submit(_deflate, block, dictionary, is_last))
            dictionary = block[-_DICTIONARY_SIZE:]
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    yield struct.pack("<LL", checksum, size & 0xFFFFFFFF)


def _blocks(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield blocks of exactly BLOCK_SIZE, then the rest, each with whether it is the last."""
    rest = b""
    for chunk in chunks:
        start = 0
        while len(rest) + len(chunk) - start > BLOCK_SIZE:
            end = start + BLOCK_SIZE - len(rest)
            yield rest + chunk[start:end], False
            rest, start = b"", end
        rest += chunk[start:]
    yield rest, True


def _deflate(block: bytes, dictionary: bytes, is_last: bool) -> bytes:
    compressor = zlib_ng.compressobj(LEVEL, zlib_ng.DEFLATED, -zlib_ng.MAX_WBITS, zdict=dictionary)
    head: bytes = compressor.compress(block)
    tail: bytes = compressor.flush(zlib_ng.Z_FINISH if is_last else zlib_ng.Z_SYNC_FLUSH)
    return head + tail
