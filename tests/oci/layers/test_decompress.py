from __future__ import annotations

import gzip
import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator

import pytest

from bundlepipe.errors import UnsafeArchive
from bundlepipe.oci.layers.decompress import LARGEST_BLOCK, decompress
from tests.support.archives import gzipped, in_chunks, zstd

TEXT = b"".join(b"%d bottles of beer\n" % number for number in range(100_000))
# RFC 8878, 3.1.2: magic, size, content.
SKIPPABLE_FRAME = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"
COMPRESSIONS = pytest.mark.parametrize("compress", [bytes, gzipped, zstd], ids=["plain", "gzip", "zstd"])


def decompressed(data: bytes, chunk_size: int = 1000) -> bytes:
    return b"".join(decompress(in_chunks(data, chunk_size)))


@COMPRESSIONS
@pytest.mark.parametrize("chunk_size", [1, 7, 65536, 10_000_000])
def test_content_comes_back_whole(compress: Callable[[bytes], bytes], chunk_size: int) -> None:
    data = compress(TEXT if chunk_size > 1 else TEXT[:20_000])
    assert decompressed(data, chunk_size) == (TEXT if chunk_size > 1 else TEXT[:20_000])


@COMPRESSIONS
def test_no_block_is_larger_than_the_largest(compress: Callable[[bytes], bytes]) -> None:
    blocks = [len(block) for block in decompress(iter([compress(bytes(9_000_000))]))]
    assert sum(blocks) == 9_000_000
    assert max(blocks) <= LARGEST_BLOCK
    assert min(blocks) > 0


@COMPRESSIONS
def test_chunks_are_taken_only_as_far_as_blocks_need_them(compress: Callable[[bytes], bytes]) -> None:
    data = compress(random.Random(0).randbytes(10 * LARGEST_BLOCK))
    taken: list[int] = []

    def chunks() -> Iterator[bytes]:
        for chunk in in_chunks(data, 1000):
            taken.append(len(chunk))
            yield chunk

    assert next(decompress(chunks()))
    # A block, and what may be read ahead of it.
    assert sum(taken) <= 3 * LARGEST_BLOCK


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5])
def test_what_is_too_short_to_tell_is_plain(length: int) -> None:
    assert decompressed(b"abcdef"[:length]) == b"abcdef"[:length]


def test_gzip_of_any_level_and_header_is_read() -> None:
    for level in range(10):
        assert decompressed(gzip.compress(TEXT[:100_000], level)) == TEXT[:100_000]
    # RFC 1952, 2.3: an extra field, a name, a comment.
    body = zlib.compressobj(wbits=-15)
    deflated = body.compress(b"content") + body.flush()
    data = b"\x1f\x8b\x08\x1c" + bytes(6) + b"\x02\0ab" + b"name\0" + b"comment\0" + deflated
    trailer = zlib.crc32(b"content").to_bytes(4, "little") + (7).to_bytes(4, "little")
    assert decompressed(data + trailer) == b"content"


@pytest.mark.parametrize("filler", [b"", b"\0", bytes(1000)])
@pytest.mark.parametrize("chunk_size", [1, 100, 65536])
def test_members_of_gzip_are_joined_and_zeros_between_them_ignored(filler: bytes, chunk_size: int) -> None:
    members = gzipped(b"one,") + filler + gzipped(b"") + gzipped(b"two,") + filler + gzipped(b"three") + filler
    assert decompressed(members, chunk_size) == b"one,two,three"


@pytest.mark.parametrize("chunk_size", [1, 100, 65536])
def test_frames_of_zstd_are_joined_and_skippable_ones_ignored(chunk_size: int) -> None:
    frames = SKIPPABLE_FRAME + zstd(b"one,") + SKIPPABLE_FRAME + zstd(b"two") + SKIPPABLE_FRAME
    assert decompressed(frames, chunk_size) == b"one,two"


_EXTRA, _NAME, _COMMENT, _HEADER_CHECKSUM = struct.pack("<H", 4) + b"BC\2\0", b"layer.tar\0", b"it\0", 2


@pytest.mark.parametrize("has_checksum", [False, True])
@pytest.mark.parametrize("fields", [{}, {8: _NAME}, {4: _EXTRA}, {16: _COMMENT}, {4: _EXTRA, 8: _NAME, 16: _COMMENT}])
@pytest.mark.parametrize("before", [b"", gzip.compress(b"first", mtime=0)], ids=["first", "second"])
def test_a_gzip_header_may_be_cut_anywhere(fields: dict[int, bytes], has_checksum: bool, before: bytes) -> None:
    flags = sum(fields) + (_HEADER_CHECKSUM if has_checksum else 0)
    header = bytes([31, 139, 8, flags, 1, 2, 3, 4, 0, 3]) + b"".join(fields.values())
    if has_checksum:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    stream = before + header + gzip.compress(b"content", mtime=0)[10:]
    for cut in range(4, len(stream)):
        assert b"".join(decompress(iter([stream[:cut], stream[cut:]]))) == gzip.decompress(before) + b"content"


def test_reserved_flags_of_gzip_are_an_error() -> None:
    with pytest.raises(UnsafeArchive, match="the gzip stream is damaged"):
        list(decompress(iter([b"\x1f\x8b\x08\x20" + gzip.compress(b"content")[4:]])))


def test_garbage_after_gzip_is_damage() -> None:
    with pytest.raises(UnsafeArchive, match="the gzip stream is damaged: "):
        decompressed(gzipped(b"content") + b"garbage")


@pytest.mark.parametrize("length", [2, 9, 10, 50, 1000, -9, -8, -4, -1])
def test_truncated_gzip_is_an_error(length: int) -> None:
    with pytest.raises(UnsafeArchive, match="the gzip stream is truncated"):
        decompressed(gzipped(TEXT)[:length])


@pytest.mark.parametrize("position", [2, 3, 500, 5000, -8, -4])
def test_gzip_that_is_altered_in_header_content_or_checksum_is_an_error(position: int) -> None:
    data = bytearray(gzipped(TEXT))
    data[position] ^= 0xFF
    with pytest.raises(UnsafeArchive, match=r"the gzip stream is (damaged: |truncated)"):
        decompressed(bytes(data))


def test_damaged_zstd_is_an_error() -> None:
    data = zstd(TEXT)
    with pytest.raises(UnsafeArchive, match="the zstd stream is damaged: "):
        decompressed(data[:20] + b"\xff" * 100 + data[120:])


@COMPRESSIONS
def test_an_error_of_the_source_is_passed_on(compress: Callable[[bytes], bytes]) -> None:
    def chunks() -> Iterator[bytes]:
        yield compress(TEXT)[:1000]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        list(decompress(chunks()))


def test_zstd_that_python_cannot_read_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zstd(b"content")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    with pytest.raises(UnsafeArchive, match=r"compressed with zstd, .*install bundlepipe\[zstd\]"):
        decompressed(data)
