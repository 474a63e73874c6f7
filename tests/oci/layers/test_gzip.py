from __future__ import annotations

import gzip as python_gzip
import hashlib
import os
import random
import subprocess
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlepipe.oci.layers.gzip import BLOCK_SIZE, compress

# Another digest here is another digest for every layer that users have pushed: a breaking change.
GOLDEN = "41aa8cc4189e7d2d7b498474e84f724a1146105cb3fdf68d4a12665d4bfa5524"
# Text of which a compressor makes something, other in every block.
LINES = b"".join(b"line %d of the content that is compressed, %d\n" % (n, n * n) for n in range(40_000))


def compressed(data: bytes) -> bytes:
    return b"".join(compress([data]))


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
    yield data[start:]


@pytest.mark.parametrize("size", [0, 1, 31, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 2 * BLOCK_SIZE, len(LINES)])
def test_python_decompresses_it_whatever_the_size(size: int) -> None:
    assert python_gzip.decompress(compressed(LINES[:size])) == LINES[:size]


def test_nothing_at_all_is_an_empty_member() -> None:
    assert python_gzip.decompress(b"".join(compress([]))) == b""
    assert b"".join(compress([])) == compressed(b"") == b"".join(compress([b"", b""]))


def test_the_gzip_program_decompresses_it() -> None:
    ran = subprocess.run(["gzip", "-dc"], input=compressed(LINES), capture_output=True, check=True)
    assert ran.stdout == LINES
    assert ran.stderr == b""


def test_each_block_is_a_member_without_name_or_time() -> None:
    stream, members = compressed(LINES), []
    while stream:
        assert stream[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
        decompressor = zlib.decompressobj(wbits=31)
        members.append(decompressor.decompress(stream))
        assert decompressor.eof
        stream = decompressor.unused_data
    assert b"".join(members) == LINES
    assert [len(member) for member in members[:-1]] == [BLOCK_SIZE] * (len(LINES) // BLOCK_SIZE)


def test_it_compresses() -> None:
    assert len(compressed(LINES)) < len(LINES) / 4
    incompressible = random.Random(1).randbytes(2 * BLOCK_SIZE)
    assert len(compressed(incompressible)) < len(incompressible) + 1024


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, BLOCK_SIZE + 10), max_size=6))
def test_the_bytes_do_not_depend_on_how_the_content_is_cut(sizes: list[int]) -> None:
    assert b"".join(compress(cut(LINES, sizes))) == compressed(LINES)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 7))
def test_small_content_comes_back_however_it_is_cut(data: bytes, size: int) -> None:
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    stream = b"".join(compress(chunks))
    assert python_gzip.decompress(stream) == data
    assert stream == compressed(data)


@pytest.mark.parametrize("cores", [None, 1, 2, 64])
def test_the_bytes_do_not_depend_on_the_number_of_cores(monkeypatch: pytest.MonkeyPatch, cores: int | None) -> None:
    expected = compressed(LINES)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert compressed(LINES) == expected


def test_the_bytes_are_those_of_every_release() -> None:
    assert hashlib.sha256(compressed(LINES)).hexdigest() == GOLDEN


def test_an_error_of_the_source_is_passed_on() -> None:
    def chunks() -> Iterator[bytes]:
        yield LINES
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(compress(chunks()))


def test_the_source_is_read_as_far_as_the_consumer_needs_and_no_further() -> None:
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(10_000):
            read.append(number)
            yield bytes(BLOCK_SIZE)

    stream = compress(chunks())
    assert read == []
    next(stream)
    assert len(read) <= 2 * (os.cpu_count() or 1) + 3
    assert isinstance(stream, Iterator)
    stream.close()  # type: ignore[attr-defined]
