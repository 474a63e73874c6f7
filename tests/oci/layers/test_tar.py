from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bundlepipe.errors import UnsafeArchive
from bundlepipe.oci.layers.tar import (
    BLOCK,
    DIRECTORY,
    END_OF_ARCHIVE,
    REGULAR,
    Link,
    Member,
    header,
    padding,
    read_member,
)
from tests.support.archives import entry, hard_link, pad, symlink
from tests.support.archives import header as raw_header

MOST_IN_OCTAL = 8**11 - 1

# Parts of paths as bytes, since a file system takes any: letters, letters beyond ASCII, and what is no UTF-8.
PARTS = st.one_of(
    st.text("ab", min_size=1, max_size=120).map(str.encode),
    st.text(min_size=1, max_size=60).map(lambda text: text.encode("utf-8", "replace")),
    st.binary(min_size=1, max_size=60),
).map(lambda part: part.replace(b"/", b"_").replace(b"\0", b"_"))
NAMES = (
    st.lists(PARTS.filter(lambda part: part not in (b".", b"..")), min_size=1, max_size=6)
    .map(b"/".join)
    .map(os.fsdecode)
)
FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@dataclass(frozen=True)
class Found:
    member: Member
    content: bytes


def members(archive: bytes) -> list[Found]:
    stream = io.BytesIO(archive)
    found: list[Found] = []
    while member := read_member(stream.read):
        found.append(Found(member, stream.read(min(member.size, len(archive)))))
        stream.read(len(padding(member.size)))
    return found


def only_entry(archive: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as opened:
        (entry,) = opened.getmembers()
    return entry


def name_field(block: bytes) -> bytes:
    return block[:100].rstrip(b"\0")


# Written


@given(NAMES, st.sampled_from([0o700, 0o600, 0o500, 0o7777, 0]), st.binary(max_size=1100))
@example("a" * 100, 0o600, b"x" * 512)
@example("a" * 101, 0o600, b"x" * 513)
@example("p" * 155 + "/" + "n" * 100, 0o600, b"")
@example("p" * 156 + "/" + "n" * 99, 0o600, b"")
@example("p" * 155 + "/" + "n" * 101, 0o600, b"")
@example("a/" * 78 + "n" * 100, 0o600, b"")
@example("é" * 100, 0o600, b"")
@example("\udcff\udc80/a", 0o600, b"")
def test_python_reads_the_entries_that_are_written(name: str, mode: int, content: bytes) -> None:
    archive = header(name, mode, len(content), REGULAR) + content + padding(len(content)) + END_OF_ARCHIVE
    entry = only_entry(archive)
    assert os.fsencode(entry.name) == os.fsencode(name)
    assert (entry.mode, entry.size, entry.type) == (mode, len(content), tarfile.REGTYPE)
    assert (entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) == (0, 0, "", "", 0)
    assert members(archive) == [Found(Member(os.fsencode(name), mode, len(content), True, False), content)]


@given(NAMES)
def test_python_reads_the_directories_that_are_written(name: str) -> None:
    archive = header(name, 0o700, 0, DIRECTORY) + END_OF_ARCHIVE
    entry = only_entry(archive)
    assert os.fsencode(entry.name) == os.fsencode(name)
    assert (entry.mode, entry.size, entry.isdir()) == (0o700, 0, True)
    assert members(archive) == [Found(Member(os.fsencode(name), 0o700, 0, False, True), b"")]


@pytest.mark.parametrize(
    ("name", "prefix", "suffix"),
    [
        ("n" * 100, "", "n" * 100),
        ("p" * 155 + "/" + "n" * 100, "p" * 155, "n" * 100),
        ("p/" + "n" * 99, "p", "n" * 99),
        ("a" * 60 + "/" + "b" * 60 + "/" + "c" * 60, "a" * 60 + "/" + "b" * 60, "c" * 60),
        ("a" * 100 + "/" + "b" * 54 + "/" + "c" * 60, "a" * 100 + "/" + "b" * 54, "c" * 60),
    ],
)
def test_an_ascii_path_that_fits_is_plain_ustar(name: str, prefix: str, suffix: str) -> None:
    block = header(name, 0o600, 0, REGULAR)
    assert len(block) == BLOCK
    assert name_field(block) == suffix.encode()
    assert block[345:500].rstrip(b"\0") == prefix.encode()
    assert block[257:265] == b"ustar\x0000"


@pytest.mark.parametrize(
    ("name", "pax_name", "cut_name"),
    [
        # No slash to split at; a part that is too long; a prefix that is too long.
        ("n" * 101, b"PaxHeaders.0/" + b"n" * 87, b"n" * 100),
        ("p/" + "n" * 101, b"p/PaxHeaders.0/" + b"n" * 85, b"p/" + b"n" * 98),
        ("p" * 156 + "/n", b"p" * 100, b"p" * 100),
        # Beyond ASCII at any length; the bytes that are not ASCII are dropped.
        ("café.yml", b"PaxHeaders.0/caf.yml", b"caf.yml"),
        ("é/ü", b"/PaxHeaders.0", b"/"),
        ("日本/語", b"/PaxHeaders.0", b"/"),
        # A slash at the end of what the cut leaves.
        ("a" * 99 + "/" + "é" * 3 + "b", b"a" * 99, b"a" * 99),
        ("a" * 99 + "/" + "n" * 160, b"a" * 99, b"a" * 99),
    ],
)
def test_any_other_path_has_a_pax_header(name: str, pax_name: bytes, cut_name: bytes) -> None:
    blocks = header(name, 0o600, 5, REGULAR)
    assert blocks[156:157] == b"x"
    assert name_field(blocks) == pax_name
    assert blocks[100:108] == b"0000000\0"
    assert blocks[329:345] == bytes(16)
    last = blocks[-BLOCK:]
    assert name_field(last) == cut_name
    assert last[329:345] == b"0000000\0" * 2
    assert last[124:136] == b"00000000005\0"
    record = blocks[BLOCK : BLOCK + int(blocks[124:135], 8)]
    assert record == b"%d path=%s\n" % (len(record), os.fsencode(name))


def test_of_several_slashes_at_the_cut_the_first_becomes_nul() -> None:
    # Between the last two slashes stood a name that is not ASCII.
    last = header("a" * 98 + "/é/b", 0o600, 0, REGULAR)[-BLOCK:]
    assert last[:100] == b"a" * 98 + b"\0/"


def test_a_pax_record_counts_its_own_digits() -> None:
    # PipelineContext 100 and 1,000 another digit makes the record longer.
    for length in range(2, 1020):
        blocks = header("é" + "n" * (length - 2), 0o600, 0, REGULAR)
        size = int(blocks[124:135], 8)
        record = blocks[BLOCK : BLOCK + size]
        assert record == b"%d path=\xc3\xa9%s\n" % (size, b"n" * (length - 2))


def test_sizes_from_eight_gibibytes_on_stand_in_a_pax_header() -> None:
    assert header("a", 0o600, MOST_IN_OCTAL, REGULAR)[124:136] == b"77777777777\0"
    blocks = header("a", 0o600, MOST_IN_OCTAL + 1, REGULAR)
    assert blocks[156:157] == b"x"
    assert blocks[BLOCK : BLOCK + 19] == b"19 size=8589934592\n"
    assert blocks[-BLOCK:][124:136] == b"00000000000\0"
    entry = tarfile.TarInfo.frombuf(blocks[-BLOCK:], "utf-8", "surrogateescape")
    assert entry.name == "a"
    member = read_member(io.BytesIO(blocks).read)
    assert member == Member(b"a", 0o600, MOST_IN_OCTAL + 1, True, False)


def test_a_path_that_would_fit_joins_a_size_in_the_pax_header() -> None:
    name = "p" * 90 + "/" + "n" * 90
    blocks = header(name, 0o600, 10**12, REGULAR)
    assert blocks[BLOCK:].startswith(b"191 path=" + name.encode() + b"\n22 size=1000000000000\n")
    assert read_member(io.BytesIO(blocks).read) == Member(name.encode(), 0o600, 10**12, True, False)


@pytest.mark.parametrize(("size", "zeros"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511), (8**11, 0)])
def test_content_is_filled_up_to_blocks(size: int, zeros: int) -> None:
    assert padding(size) == bytes(zeros)


# Read


def python_archive(name: str, content: bytes, format_: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_, errors="surrogateescape") as archive:
        info = tarfile.TarInfo(name)
        info.mode, info.size, info.mtime = 0o640, len(content), 1.5 if format_ == tarfile.PAX_FORMAT else 1
        info.uname = "käthe" if format_ == tarfile.PAX_FORMAT else "root"
        archive.addfile(info, io.BytesIO(content))
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            other = tarfile.TarInfo("other")
            other.type, other.linkname = kind, "target"
            archive.addfile(other)
    return buffer.getvalue()


@given(NAMES, st.binary(max_size=1100), FORMATS)
@example("n" * 300, b"x", tarfile.GNU_FORMAT)
@example("n" * 300, b"x", tarfile.PAX_FORMAT)
def test_what_python_writes_in_any_format_is_read(name: str, content: bytes, format_: int) -> None:
    try:
        archive = python_archive(name, content, format_)
    except ValueError:
        # USTAR has no place for such a name.
        assert format_ == tarfile.USTAR_FORMAT
        return
    first, *others = members(archive)
    assert first == Found(Member(os.fsencode(name), 0o640, len(content), True, False), content)
    assert [(other.member.is_file, other.member.is_directory) for other in others] == [(False, True)] + 4 * [
        (False, False)
    ]
    assert {other.member.size for other in others} == {0}


def test_a_link_with_a_long_target_is_read_and_is_no_file() -> None:
    for format_ in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=format_) as archive:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = tarfile.SYMTYPE, "t" * 300
            archive.addfile(info)
        link = Link("symlink", b"t" * 300)
        assert members(buffer.getvalue()) == [Found(Member(b"link", 0o644, 0, False, False, link), b"")]


def test_links_have_their_targets() -> None:
    found = members(symlink(b"a", b"../b") + hard_link(b"c", b"./d") + entry(b"e", b"") + END_OF_ARCHIVE)
    links = [each.member.link for each in found]
    assert links == [Link("symlink", b"../b"), Link("hardlink", b"./d"), None]


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sizes_beyond_octal_are_read_from_gnu_and_pax_headers(format_: Literal[1, 2]) -> None:
    info = tarfile.TarInfo("huge")
    info.size = 10**13
    block = info.tobuf(format_)
    assert read_member(io.BytesIO(block).read) == Member(b"huge", 0o644, 10**13, True, False)


def test_directories_older_than_ustar_are_told_by_their_slash() -> None:
    (found,) = members(raw_header(b"old/", kind=b"\0") + END_OF_ARCHIVE)
    assert found.member.is_directory
    assert not found.member.is_file


def test_a_contiguous_file_is_a_file() -> None:
    (found,) = members(raw_header(b"a", 3, kind=b"7") + pad(b"abc") + END_OF_ARCHIVE)
    assert found == Found(Member(b"a", 0o644, 3, True, False), b"abc")


def test_the_content_of_an_unknown_kind_of_entry_is_known_so_that_it_can_be_skipped() -> None:
    found = members(raw_header(b"odd", 3, kind=b"Z") + pad(b"abc") + raw_header(b"a") + END_OF_ARCHIVE)
    assert [(each.member.name, each.member.is_file, each.content) for each in found] == [
        (b"odd", False, b"abc"),
        (b"a", True, b""),
    ]


def test_a_prefix_counts_in_ustar_only() -> None:
    ustar = raw_header(b"name", prefix=b"prefix")
    assert members(ustar)[0].member.name == b"prefix/name"
    with tarfile.open(fileobj=io.BytesIO(ustar + END_OF_ARCHIVE)) as archive:
        assert archive.getnames() == ["prefix/name"]


def test_the_end_is_a_block_of_zeros_or_the_end_of_the_stream() -> None:
    block = raw_header(b"a")
    for end in (b"", bytes(BLOCK), END_OF_ARCHIVE, bytes(BLOCK) + b"anything"):
        assert [found.member.name for found in members(block + end)] == [b"a"]
    assert members(b"") == []


def test_an_archive_that_python_finds_sound_and_sparse_is_refused() -> None:
    with pytest.raises(UnsafeArchive, match="sparse"):
        members(raw_header(b"a", kind=b"S") + END_OF_ARCHIVE)


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (raw_header(b"a")[:-1], "ends within a header"),
        (b"x" * BLOCK, "is damaged"),
        (raw_header(b"a").replace(b"a", b"b", 1), "a header's checksum is wrong"),
        (raw_header(b"a", b"-0000000001\0"), "a header field is not a number"),
        (raw_header(b"a", b"0x00000001\0"), "a header field is not a number"),
        (raw_header(b"a", b"1_0\0"), "a header field is not a number"),
        (raw_header(b"a", b"99999999999\0"), "a header field is not a number"),
        (raw_header(b"a", b"\xff" * 12), "a header field is negative"),
        (raw_header(b"x", 600, kind=b"x") + b"x" * 512, "ends within an extension header"),
        (raw_header(b"x", 1 << 30, kind=b"x"), "has an extension header of 1073741824 bytes"),
        (raw_header(b"x", 1 << 30, kind=b"L"), "has an extension header of 1073741824 bytes"),
        (raw_header(b"x", b"\x80" + b"\x7f" * 11, kind=b"g"), "has an extension header of"),
        (raw_header(b"x", 9, kind=b"x") + pad(b"path=abc\n"), "a PAX record has no length"),
        (raw_header(b"x", 9, kind=b"x") + pad(b"-9 path=a"), "a PAX record has no length"),
        (raw_header(b"x", 9, kind=b"x") + pad(b"9 pathabc"), "a PAX record is not KEY=VALUE"),
        (raw_header(b"x", 9, kind=b"x") + pad(b"99 path=a"), "a PAX record is not KEY=VALUE"),
        (raw_header(b"x", 9, kind=b"x") + pad(b"0 path=a\n"), "a PAX record is not KEY=VALUE"),
        (raw_header(b"x", 9, kind=b"x") + pad(b"9 size=x\n") + raw_header(b"a"), "a size is not a number"),
    ],
)
def test_damaged_archives_are_refused_with_the_reason(archive: bytes, reason: str) -> None:
    with pytest.raises(UnsafeArchive) as caught:
        members(archive)
    assert reason in str(caught.value)


def expect_members_or_refusal(archive: bytes) -> None:
    found: list[Found] = []
    message = ""
    try:
        found = members(archive)
    except UnsafeArchive as error:
        message = str(error)
    assert message.isprintable()
    for each in found:
        assert 0 <= each.member.mode <= 0o7777
        assert each.member.size >= len(each.content)
        assert not (each.member.is_file and each.member.is_directory)


@given(st.binary(max_size=1600))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    expect_members_or_refusal(data)
    expect_members_or_refusal(pad(data))


@given(
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.lists(st.tuples(st.integers(0, 4096), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4),
    st.none() | st.integers(0, 4096),
    st.booleans(),
)
def test_an_archive_damaged_anywhere_is_read_or_refused(
    format_: int, changes: list[tuple[int, bytes]], cut: int | None, mend: bool
) -> None:
    damaged = bytearray(python_archive("a" * (60 if format_ == tarfile.USTAR_FORMAT else 160), b"content", format_))
    for position, replacement in changes:
        damaged[position : position + len(replacement)] = replacement
    if mend:
        # With a right checksum the damage gets further.
        for start in range(0, len(damaged) - BLOCK, BLOCK):
            block = damaged[start : start + BLOCK]
            if block[257:262] == b"ustar":
                block[148:156] = b" " * 8
                damaged[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    expect_members_or_refusal(bytes(damaged[:cut]))
