"""Write and read tar headers.

Writing: the exact bytes of Go's `archive/tar` with no format chosen, since the sha256 of a layer's
tar (its DiffID) has to equal imgpkg's. Reading: USTAR, PAX and GNU archives, which layers in
registries consist of.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import Literal, NamedTuple

from bundlepipe.errors import UnsafeArchive

BLOCK = 512
END_OF_ARCHIVE = bytes(2 * BLOCK)

REGULAR = b"0"
DIRECTORY = b"5"
HARD_LINK = b"1"
SYMBOLIC_LINK = b"2"
PAX_EXTENDED = b"x"
PAX_GLOBAL = b"g"
GNU_LONG_NAME = b"L"
GNU_LONG_LINK = b"K"
GNU_SPARSE = b"S"
# NUL marks a regular file in tars older than POSIX, 7 a contiguous file.
_REGULAR_TYPES = (REGULAR, b"\0", b"7")

_NAME_LENGTH = 100
_PREFIX_LENGTH = 155
_SIZE_LIMIT = 8**11
_OTHER_FIELDS = b"\0" * 100 + b"ustar\x0000" + b"\0" * 64
_DEVICE_NUMBERS = b"0000000\0" * 2
_NO_DEVICE_NUMBERS = b"\0" * 16

# Go's reader has the same limit for a PAX or GNU extension header (maxSpecialFileSize).
_LARGEST_EXTENSION = 1 << 20
# An entry needs one PAX or two GNU headers, perhaps after a global one; without a limit, an endless
# series of them would count as one entry.
_MOST_EXTENSIONS = 16
_PAX_KEYS = (b"path", b"size", b"linkpath")
_PAX_SPARSE = b"GNU.sparse."
_LONGEST_PAX_LENGTH = 7


def padding(size: int) -> bytes:
    """Return the zeros that fill the last block of `size` bytes of content."""
    return bytes(-size % BLOCK)


def header(name: str, mode: int, size: int, type_flag: bytes) -> bytes:
    """Return the header block or blocks of an entry (uid, gid and mtime 0, no owner names).

    `name` is the path in the archive; undecodable bytes of a file name are kept as `os.fsdecode`
    represents them.
    """
    raw = os.fsencode(name)
    ascii_only = raw.isascii()
    if len(raw) <= _NAME_LENGTH and ascii_only and size < _SIZE_LIMIT:
        return _block(raw, b"", mode, size, type_flag, _DEVICE_NUMBERS)
    split = _split_name(raw) if ascii_only else None
    if split and size < _SIZE_LIMIT:
        prefix, suffix = split
        return _block(suffix, prefix, mode, size, type_flag, _DEVICE_NUMBERS)
    records: list[bytes] = []
    if len(raw) > _NAME_LENGTH or not ascii_only:
        records.append(_pax_record(b"path", raw))
    if size >= _SIZE_LIMIT:
        records.append(_pax_record(b"size", b"%d" % size))
    return _pax_header(raw, b"".join(records)) + _block(
        _cut_name(_to_ascii(raw)), b"", mode, size if size < _SIZE_LIMIT else 0, type_flag, _DEVICE_NUMBERS
    )


def _split_name(raw: bytes) -> tuple[bytes, bytes] | None:
    """Split a long path into USTAR prefix and name, as Go's `splitUSTARPath` does."""
    cut = raw[: _PREFIX_LENGTH + 1].rfind(b"/")
    if cut <= 0 or len(raw) - cut - 1 > _NAME_LENGTH:
        return None
    return raw[:cut], raw[cut + 1 :]


def _to_ascii(raw: bytes) -> bytes:
    return bytes(byte for byte in raw if byte < 0x80)


def _cut_name(raw: bytes) -> bytes:
    """Fit a path into the name field, as Go's `formatString` does.

    If the cut leaves slashes at the end, the first of them becomes NUL: there are several if the
    names between them were not ASCII and were dropped.
    """
    cut = raw[:_NAME_LENGTH]
    if len(raw) > _NAME_LENGTH and cut.endswith(b"/"):
        end = len(cut[:-1].rstrip(b"/"))
        return cut[:end] + b"\0" + cut[end + 1 :]
    return cut


def _pax_record(key: bytes, value: bytes) -> bytes:
    """Return `LENGTH KEY=VALUE\\n`, where LENGTH counts its own digits too."""
    rest = len(b" =\n") + len(key) + len(value)
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _pax_header(raw: bytes, records: bytes) -> bytes:
    directory, slash, base = raw.rpartition(b"/")
    name = _to_ascii(directory + slash + b"PaxHeaders.0/" + base)[:_NAME_LENGTH].rstrip(b"/")
    block = _block(name, b"", 0, len(records), PAX_EXTENDED, _NO_DEVICE_NUMBERS)
    return block + records + padding(len(records))


def _block(name: bytes, prefix: bytes, mode: int, size: int, type_flag: bytes, devices: bytes) -> bytes:
    before_checksum = b"%s%07o\0000000000\0000000000\0%011o\00000000000000\0" % (name.ljust(100, b"\0"), mode, size)
    after_checksum = type_flag + _OTHER_FIELDS + devices + prefix.ljust(167, b"\0")
    # The checksum field counts as eight spaces.
    checksum = _sum(before_checksum) + _sum(after_checksum) + 8 * 0x20
    return b"%s%06o\0 %s" % (before_checksum, checksum, after_checksum)


class Link(NamedTuple):
    """A symbolic link, with its target as it is, or a hard link to another entry of the image."""

    kind: Literal["symlink", "hardlink"]
    target: bytes


class Member(NamedTuple):
    """An entry as an archive describes it; nothing in it can be trusted yet.

    `size` is that of the content in the archive. `is_file` and `is_directory` are both false for
    links, devices and other types; `link` is the link if it is one.
    """

    name: bytes
    mode: int
    size: int
    is_file: bool
    is_directory: bool
    link: Link | None = None


def read_member(read: Callable[[int], bytes]) -> Member | None:
    """Return the next entry of an archive, or None at its end.

    `read(n)` returns exactly n bytes, or fewer at the end of the stream; it is left at the entry's
    content. Raises UnsafeArchive unless the archive is well-formed.
    """
    records: dict[bytes, bytes] = {}
    long_name: bytes | None = None
    long_link: bytes | None = None
    for extensions in range(_MOST_EXTENSIONS + 1):
        block = read(BLOCK)
        # Like Go's reader, accept an archive without its final zero blocks as complete.
        if block[:1] in (b"\0", b"") and (block.count(0) == BLOCK or not (block or extensions)):
            return None
        if len(block) < BLOCK:
            raise UnsafeArchive("the archive ends within a header")
        _verify_checksum(block)
        type_flag, size = block[156:157], _number(block[124:136])
        if type_flag in (PAX_EXTENDED, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK):
            content = _extension(read, size)
            if type_flag == PAX_EXTENDED:
                records.update(_parse_pax(content))
            elif type_flag == GNU_LONG_NAME:
                long_name = content.partition(b"\0")[0]
            elif type_flag == GNU_LONG_LINK:
                long_link = content.partition(b"\0")[0]
            continue
        member = _member(block, type_flag, size, records, long_name)
        return member._replace(link=link) if (link := _link(block, type_flag, records, long_link)) else member
    raise UnsafeArchive(f"the archive has more than {_MOST_EXTENSIONS} extension headers before one entry")


def _member(block: bytes, type_flag: bytes, size: int, records: dict[bytes, bytes], long_name: bytes | None) -> Member:
    if type_flag == GNU_SPARSE or _PAX_SPARSE in records:
        raise UnsafeArchive("the archive holds a sparse file, which no layer may")
    name = records.get(b"path") or long_name or _name(block)
    if b"size" in records:
        size = _decimal(records[b"size"])
    is_file = type_flag in _REGULAR_TYPES
    # Before USTAR a directory was a regular file whose name ends with a slash.
    is_directory = type_flag == DIRECTORY or (is_file and name.endswith(b"/"))
    is_file = is_file and not is_directory
    has_content = is_file or type_flag not in (b"1", b"2", b"3", b"4", DIRECTORY, b"6")
    return Member(name, _number(block[100:108]) & 0o7777, size if has_content else 0, is_file, is_directory)


def _link(block: bytes, type_flag: bytes, records: dict[bytes, bytes], long_link: bytes | None) -> Link | None:
    if type_flag not in (HARD_LINK, SYMBOLIC_LINK):
        return None
    target = records.get(b"linkpath") or long_link or block[157:257].partition(b"\0")[0]
    return Link("hardlink" if type_flag == HARD_LINK else "symlink", target)


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    # GNU's magic has a space here, and GNU times are where USTAR has the prefix.
    if block[345] and block[257:263] == b"ustar\0":
        return block[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _verify_checksum(block: bytes) -> None:
    field = block[148:156]
    stated = _number(field)
    # The checksum field counts as eight spaces.
    if stated == _sum(block) - _sum(field) + 8 * 0x20:
        return
    # Some old archivers used signed bytes.
    others = block[:148] + block[156:]
    if stated != 8 * 0x20 + sum(byte - 256 if byte & 0x80 else byte for byte in others):
        raise UnsafeArchive("the archive is damaged: a header's checksum is wrong")


def _sum(data: bytes) -> int:
    """Return the sum of the bytes of up to two times 256."""
    # The lower half of an Adler-32 checksum is one more than the sum, modulo 65,521: exact for 256 bytes.
    return (zlib.adler32(data[:256]) & 0xFFFF) + (zlib.adler32(data[256:]) & 0xFFFF) - 2


def _number(field: bytes) -> int:
    """Read a numeric field: octal, or GNU's base 256 where the first bit is set."""
    digits = field[:-1]
    # As nearly every archiver writes it.
    if digits and not digits.strip(b"01234567") and field[-1] in b"\0 ":
        return int(digits, 8)
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40:
            raise UnsafeArchive("the archive is damaged: a header field is negative")
        return value
    digits = field.strip(b" \0").partition(b"\0")[0]
    # int() accepts more than digits (signs, underscores, a prefix), but no archiver writes that.
    if digits.strip(b"01234567"):
        raise UnsafeArchive("the archive is damaged: a header field is not a number")
    return int(digits, 8) if digits else 0


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise UnsafeArchive("the archive is damaged: a size is not a number")
    return int(value)


def _extension(read: Callable[[int], bytes], size: int) -> bytes:
    if size > _LARGEST_EXTENSION:
        raise UnsafeArchive(f"the archive has an extension header of {size} bytes")
    padded = read(size + -size % BLOCK)
    if len(padded) < size:
        raise UnsafeArchive("the archive ends within an extension header")
    return padded[:size]


def _parse_pax(content: bytes) -> dict[bytes, bytes]:
    """Return the records of a PAX header that concern the entry's name or content."""
    records: dict[bytes, bytes] = {}
    start = 0
    while start < len(content):
        space = content.find(b" ", start, start + _LONGEST_PAX_LENGTH + 1)
        digits = content[start:space]
        if space < 0 or not digits.isdigit():
            raise UnsafeArchive("the archive is damaged: a PAX record has no length")
        end = start + int(digits)
        equals = content.find(b"=", space, end)
        if equals < 0 or end > len(content) or content[end - 1 : end] != b"\n":
            raise UnsafeArchive("the archive is damaged: a PAX record is not KEY=VALUE")
        key = content[space + 1 : equals]
        if key in _PAX_KEYS:
            records[key] = content[equals + 1 : end - 1]
        elif key.startswith(_PAX_SPARSE):
            records[_PAX_SPARSE] = b""
        start = end
    return records
