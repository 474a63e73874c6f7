"""Tar archives byte by byte, honest and hostile, and what they leave in a directory."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bundlepipe.oci.layers.unpack import Limits, Unpacked, unpack

DEFAULT_LIMITS = Limits()
END = bytes(1024)
USTAR = b"ustar\x0000"


def pad(content: bytes) -> bytes:
    """Fill up the last block."""
    return content + bytes(-len(content) % 512)


def header(
    name: bytes, size: int | bytes = 0, *, kind: bytes = b"0", mode: int = 0o644, link: bytes = b"", prefix: bytes = b""
) -> bytes:
    """Return one header block; a size in bytes goes into its field as it is."""
    size_field = size if isinstance(size, bytes) else b"%011o\0" % size
    fields = (
        name[:100].ljust(100, b"\0"),
        b"%07o\0" % mode + b"0000000\0" * 2 + size_field.ljust(12, b"\0") + b"%011o\0" % 0,
        b" " * 8,
        kind + link[:100].ljust(100, b"\0") + USTAR + bytes(64) + b"0000000\0" * 2 + prefix[:155].ljust(167, b"\0"),
    )
    block = b"".join(fields)
    assert len(block) == 512
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def entry(name: bytes, content: bytes = b"", *, kind: bytes = b"0", mode: int = 0o644, link: bytes = b"") -> bytes:
    """Return header and content of an entry; a name that is too long is announced by a PAX header."""
    long_name = pax({b"path": name}) if len(name) > 100 or b"\0" in name else b""
    return long_name + header(name, len(content), kind=kind, mode=mode, link=link) + pad(content)


def directory(name: bytes, mode: int = 0o755) -> bytes:
    """Return the entry of a directory."""
    return entry(name, kind=b"5", mode=mode)


def symlink(name: bytes, target: bytes) -> bytes:
    """Return the entry of a symbolic link."""
    return entry(name, kind=b"2", link=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    """Return the entry of a hard link."""
    return entry(name, kind=b"1", link=target)


def pax(records: Mapping[bytes, bytes], kind: bytes = b"x") -> bytes:
    """Return a PAX extension header with these records."""
    content = b"".join(_pax_record(key, value) for key, value in records.items())
    return header(b"PaxHeaders/x", len(content), kind=kind) + pad(content)


def _pax_record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + 1
    while len(str(length)) + rest != length:
        length = len(str(length)) + rest
    return b"%d %s=%s\n" % (length, key, value)


def gnu_long_name(name: bytes, kind: bytes = b"L") -> bytes:
    """Return a GNU header that gives the next entry its name (or with K its link's)."""
    content = name + b"\0"
    return header(b"././@LongLink", len(content), kind=kind) + pad(content)


# One of each, in 5632 bytes before its end.
SMALL = b"".join(
    (
        directory(b"d"),
        entry(b"d/a", b"a" * 600),
        entry(b"b", b"b" * 1024),
        pax({b"path": b"c"}),
        entry(b"x", b"c"),
        END,
    )
)


def gzipped(archive: bytes) -> bytes:
    """Return the archive as one gzip member."""
    return gzip.compress(archive, 1, mtime=0)


def zstd(archive: bytes) -> bytes:
    """Return the archive as one zstd frame."""
    if sys.version_info >= (3, 14):
        from compression.zstd import compress

        return compress(archive)
    import zstandard

    return zstandard.compress(archive)


def in_chunks(data: bytes, size: int = 1 << 16) -> Iterator[bytes]:
    """Yield data in chunks of this size."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def listing(directory: str | os.PathLike[str]) -> dict[str, tuple[str, int, bytes]]:
    """Return kind, permissions and content (or target) of all below a directory, by relative path."""
    found: dict[str, tuple[str, int, bytes]] = {}
    for here, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(here, name)
            status = os.lstat(path)
            found[os.path.relpath(path, directory)] = (
                stat.filemode(status.st_mode)[0],
                stat.S_IMODE(status.st_mode),
                _content(path, status.st_mode),
            )
    return found


def _content(path: str, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return os.fsencode(os.readlink(path))
    if not stat.S_ISREG(mode):
        return b""
    with open(path, "rb") as file:
        return file.read()


def contents(directory: str | os.PathLike[str]) -> dict[str, bytes | None]:
    """Return the content of every file below a directory, None for a directory, by relative path."""
    return {path: None if kind == "d" else content for path, (kind, _, content) in listing(directory).items()}


def unpack_archives(output: Path, *archives: bytes, limits: Limits = DEFAULT_LIMITS) -> Unpacked:
    """Unpack layers as the image `reg.example/app`."""
    return unpack([in_chunks(archive) for archive in archives], str(output), limits=limits, what="reg.example/app")


def endless(start: bytes, again: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield a gzip stream of `start` and then of what `again` returns for ever greater numbers."""
    compressor = zlib.compressobj(1, wbits=31)
    yield compressor.compress(start) + compressor.flush(zlib.Z_FULL_FLUSH)
    number = 0
    while True:
        yield compressor.compress(again(number)) + compressor.flush(zlib.Z_FULL_FLUSH)
        number += 1


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Run with this umask."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
