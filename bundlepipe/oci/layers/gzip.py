"""Reproducible gzip: the bytes depend on the content alone, not on the CPU, the core count or the Python.

The stream is cut into blocks of a fixed size that are compressed in parallel, each as a gzip member
of its own; RFC 1952, 2.2 allows several, and every reader of layers takes them. libdeflate is
pinned because its output is the same on every CPU, which ISA-L's is not.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from deflate import gzip_compress

if TYPE_CHECKING:
    from concurrent.futures import Future

# Changing one of these changes the digest of every layer.
LEVEL = 1
BLOCK_SIZE = 512 * 1024


def compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the gzip stream of the concatenated chunks, however they are cut."""
    blocks = _blocks(chunks)
    first = next(blocks, b"")
    if len(first) < BLOCK_SIZE:
        yield _member(first)
        return
    from concurrent.futures import ThreadPoolExecutor

    workers = os.cpu_count() or 1
    pending: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="gzip") as pool:
        for block in chain((first,), blocks):
            pending.append(pool.submit(_member, block))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _member(block: bytes) -> bytes:
    return bytes(gzip_compress(block, LEVEL))


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks of exactly BLOCK_SIZE, then the rest, if there is any."""
    rest = b""
    for chunk in chunks:
        start = 0
        while len(rest) + len(chunk) - start >= BLOCK_SIZE:
            end = start + BLOCK_SIZE - len(rest)
            yield rest + chunk[start:end]
            rest, start = b"", end
        rest += chunk[start:]
    if rest:
        yield rest
