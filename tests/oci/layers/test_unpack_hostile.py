from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlepipe.errors import BundlepipeError, IntegrityError, OutputError, UnsafeArchive
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers import unpack as unpack_module
from bundlepipe.oci.layers.decompress import decompress
from bundlepipe.oci.layers.unpack import Limits, unpack
from bundlepipe.oci.manifest import DOCKER_LAYER, Descriptor
from bundlepipe.stores.verification import verified
from tests.support.archives import (
    END,
    SMALL,
    contents,
    directory,
    endless,
    entry,
    gnu_long_name,
    gzipped,
    hard_link,
    header,
    in_chunks,
    listing,
    pad,
    pax,
    symlink,
    unpack_archives,
    zstd,
)

ROOT = Path(__file__).parents[3]
MIB = 1 << 20


def blob(data: bytes, promised: bytes | None = None) -> Iterator[bytes]:
    """Return data as a store gives it, verified against what was promised."""
    promised = data if promised is None else promised
    return verified(
        in_chunks(data, 1000), Descriptor(DOCKER_LAYER, Digest.of(promised), len(promised)), "reg.example/app"
    )


# Hostile names


@pytest.mark.parametrize(
    "name", [b"..", b"../x", b"a/../../x", b"./../x", b"/../x", b"a/b/../../../x", b"../output/x", b"..//x", b"../"]
)
@pytest.mark.parametrize("kind", [b"0", b"5", b"2"])
def test_a_name_that_leaves_the_directory_is_refused(output: Path, name: bytes, kind: bytes) -> None:
    (output.parent / "x").write_text("canary")
    before = listing(output.parent)
    with pytest.raises(UnsafeArchive, match="leaves the output directory"):
        unpack_archives(output, entry(name, kind=kind) + END)
    assert listing(output.parent) == before


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"/etc/x", "etc/x"),
        (b"//etc///x", "etc/x"),
        (b"./a/./x", "a/x"),
        (b"a/../x", "x"),
        (b"a/b/../../x", "x"),
        (b"..a/...", "..a/..."),
        (b"..\\..\\x", "..\\..\\x"),
        (b"C:\\x", "C:\\x"),
        (b"-rf", "-rf"),
        (b"a\nb", "a\nb"),
    ],
)
def test_any_other_name_counts_from_the_directory(output: Path, name: bytes, path: str) -> None:
    unpack_archives(output, entry(name, b"1") + END)
    assert {found: content for found, content in contents(output).items() if content is not None} == {path: b"1"}


@pytest.mark.parametrize("name", [b"", b".", b"/", b"a/..", b"./."])
@pytest.mark.parametrize("kind", [b"2", b"3"])
def test_nothing_takes_the_place_of_the_directory_itself(output: Path, name: bytes, kind: bytes) -> None:
    with pytest.raises(UnsafeArchive, match="output directory itself"):
        unpack_archives(output, entry(name, kind=kind) + END)


@pytest.mark.parametrize("name", [b"a\0b", b"a/\0", b"\0"])
def test_a_name_with_nul_is_refused(output: Path, name: bytes) -> None:
    with pytest.raises(UnsafeArchive, match="NUL"):
        unpack_archives(output, entry(b"a/first") + entry(name) + END)


def test_a_name_that_the_file_system_cannot_hold_is_a_clear_error(output: Path) -> None:
    with pytest.raises(OutputError) as raised:
        unpack_archives(output, entry(b"d/" + b"n" * 300) + END)
    name = "d/" + "n" * 198 + "..."
    assert str(raised.value) == f"reg.example/app: layer 1: entry '{name}': cannot be written: File name too long"


@pytest.mark.parametrize("name", [b"a/" * 257 + b"b", b"a/" * 2000 + b"b", b"../" * 1000, b"a/" * 300_000])
def test_a_path_of_senseless_depth_is_refused(output: Path, name: bytes) -> None:
    with pytest.raises(UnsafeArchive, match=r"256 directories deep|leaves"):
        unpack_archives(output, entry(name) + END)
    assert contents(output) == {}


def test_links_and_devices_are_left_out(output: Path) -> None:
    archive = b"".join(
        entry(b"kind " + kind, kind=kind, link=b"/etc/passwd") for kind in (b"1", b"2", b"3", b"4", b"6")
    )
    unpack_archives(output, archive + entry(b"kind V", b"content", kind=b"V") + entry(b"kind 7", b"1", kind=b"7") + END)
    assert contents(output) == {"kind 7": b"1"}


def test_no_path_passes_through_a_link(output: Path) -> None:
    outside = output.parent / "outside"
    outside.mkdir()
    archive = symlink(b"link", os.fsencode(outside)) + entry(b"link/x", b"1") + symlink(b"file", b"../outside/y")
    unpack_archives(output, archive + entry(b"file", b"2") + END)
    assert contents(output) == {"link": None, "link/x": b"1", "file": b"2"}
    assert contents(outside) == {}


def test_a_link_that_someone_else_puts_there_is_not_followed(output: Path) -> None:
    canary = output.parent / "canary"
    canary.write_text("untouched")

    def layers() -> Iterator[Iterator[bytes]]:
        yield iter([entry(b"a") + END])
        (output / "x").symlink_to(canary)
        yield iter([entry(b"x", b"overwritten") + END])

    with pytest.raises(UnsafeArchive, match="layer 2: entry 'x': the file system takes its name for that of another"):
        unpack(layers(), str(output))
    assert canary.read_text() == "untouched"


@pytest.mark.parametrize("upper", [entry(b"A", b"2"), directory(b"A"), entry(b"A/b", b"2")])
def test_names_that_the_file_system_does_not_tell_apart_are_refused(output: Path, upper: bytes) -> None:
    # What a file system that ignores case answers, on any file system: there is an entry of another name.
    def layers() -> Iterator[Iterator[bytes]]:
        yield iter([entry(b"a", b"1") + END])
        os.rename(output / "a", output / "A")
        yield iter([upper + END])

    with pytest.raises(UnsafeArchive, match="case or Unicode form"):
        unpack(layers(), str(output))
    assert contents(output) == {"A": b"1"}


def test_messages_show_hostile_names_in_one_line(output: Path) -> None:
    with pytest.raises(UnsafeArchive) as raised:
        unpack_archives(output, entry(b"a"), entry(b"../\x1b[2J\n\xff\xc3\xa9") + END)
    expected = "reg.example/app: layer 2: entry '../\\x1b[2J\\n\\xffé': its name leaves the output directory"
    assert str(raised.value) == expected


WALKING_PARTS = [b"", b".", b"..", b"...", b"a", b"A", b"b", b"link", b"output", b"canary"]
WHITEOUT_PARTS = [b".wh.a", b".wh.", b".wh..", b".wh...", b".wh..wh..opq", b".wh..wh.plnk", b".wh.output"]
ODD_PARTS = [
    b"..\\..\\x",
    b"\0",
    b"a\0b",
    b"n" * 101,
    b"n" * 300,
    b"\xff\xfe",
    b"\xc3\xa9",
    b"e\xcc\x81",
    b"~",
    b"-",
    b"\x1b[0m\n",
]
PARTS = st.sampled_from(WALKING_PARTS) | st.sampled_from(WHITEOUT_PARTS) | st.sampled_from(ODD_PARTS)
NAMES = st.one_of(
    st.lists(PARTS, min_size=1, max_size=6).map(b"/".join),
    st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: b"/" + b"/".join(parts)),
    st.integers(1, 400).map(lambda count: b"../" * count + b"etc/x"),
    st.binary(max_size=120),
)
KINDS = st.sampled_from(
    [b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"g", b"x", b"L", b"K", b"S", b"V", b"Z"]
)
SIZES = st.one_of(
    st.integers(0, 3000),
    st.integers(8**11 - 10, 8**11 - 1),
    st.sampled_from(
        [b"-0000000001\0", b"+1", b"0x10", b"1_0", b"999", b"\xff" * 12, b"\x80" + b"\xff" * 11, b"", b" " * 12]
    )
    | st.binary(max_size=12),
)
CONTENTS = st.binary(max_size=700)
RECORDS = st.dictionaries(
    st.sampled_from([b"path", b"linkpath", b"size", b"mtime", b"GNU.sparse.major", b"SCHILY.xattr.user.a"]),
    st.one_of(NAMES, st.sampled_from([b"", b"0", b"-1", b"99999999999999999999", b"1e9", b"5"])),
    max_size=3,
)
HOSTILE_ENTRIES = st.one_of(
    st.builds(lambda name, content, kind: entry(name, content, kind=kind), NAMES, CONTENTS, KINDS),
    st.builds(
        lambda name, size, kind, link, content: header(name, size, kind=kind, link=link) + pad(content),
        NAMES,
        SIZES,
        KINDS,
        NAMES,
        CONTENTS,
    ),
    st.builds(symlink, NAMES, NAMES),
    st.builds(hard_link, NAMES, NAMES),
    st.builds(pax, RECORDS, st.sampled_from([b"x", b"g"])),
    st.builds(lambda content, kind: header(b"x", len(content), kind=kind) + pad(content), CONTENTS, st.just(b"x")),
    st.builds(gnu_long_name, NAMES, st.sampled_from([b"L", b"K"])),
    st.builds(lambda name, prefix: header(name, 0, prefix=prefix), NAMES, NAMES),
    st.binary(max_size=1030),
)
HOSTILE_ARCHIVES = st.builds(
    lambda entries, end, compress: compress(b"".join(entries) + end),
    st.lists(HOSTILE_ENTRIES, max_size=8),
    st.sampled_from([END, b"", b"\0" * 511, END + b"garbage"]),
    st.sampled_from([bytes, gzipped, zstd]),
)
LIMITS = Limits(size=20_000, entries=50)


@settings(max_examples=300, deadline=None)
@given(st.lists(HOSTILE_ARCHIVES, min_size=1, max_size=3))
def test_hostile_layers_change_nothing_outside(archives: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as around:
        home = Path(around, "a")
        output = home / "output"
        output.mkdir(parents=True)
        for place in (Path(around), home):
            for name in ("canary", "x", "b"):
                (place / name).write_text(name)
        (home / "link").symlink_to(home / "canary")
        before = {path: found for path, found in listing(around).items() if not path.startswith("a/output/")}
        outcome: BundlepipeError | None = None
        try:
            unpack([in_chunks(archive, 700) for archive in archives], str(output), limits=LIMITS)
        except BundlepipeError as error:
            outcome = error
        after = listing(around)
        inside = {path: found for path, found in after.items() if path.startswith("a/output/")}
        # The mode of the output directory is the archive's to say.
        assert {path: found for path, found in after.items() if path not in inside and path != "a/output"} == {
            path: found for path, found in before.items() if path != "a/output"
        }
        assert {kind for kind, _, _ in inside.values()} <= {"-", "d"}
        assert sum(len(content) for _, _, content in inside.values()) <= LIMITS.size
        assert len(inside) <= LIMITS.entries
        if outcome:
            message = str(outcome)
            assert message.isprintable()
            assert len(message) < 1000


# Bombs


def counted(chunks: Iterable[bytes], taken: list[int]) -> Iterator[bytes]:
    for chunk in chunks:
        taken.append(len(chunk))
        yield chunk


ZEROS = bytes(MIB)
LARGEST_BOMB = MIB // 4


@pytest.mark.parametrize(
    ("chunks", "limits", "message"),
    [
        pytest.param(
            lambda: endless(header(b"zeros", 10 * 1024**3 // 2 - 1), lambda _: ZEROS),
            Limits(size=10 * MIB),
            "more than 10485760 bytes",
            id="one huge file",
        ),
        pytest.param(
            lambda: endless(b"", lambda n: entry(b"%d" % n, ZEROS)),
            Limits(size=10 * MIB),
            "10485760 bytes",
            id="many files",
        ),
        pytest.param(
            lambda: endless(b"", lambda _: entry(b"same", ZEROS)),
            Limits(size=10 * MIB),
            "10485760 bytes",
            id="one name",
        ),
        pytest.param(
            lambda: endless(b"", lambda _: entry(b"link", ZEROS, kind=b"V")),
            Limits(size=10 * MIB),
            "10485760 bytes",
            id="content that is left out",
        ),
        pytest.param(
            lambda: endless(header(b"directory", b"\x80" + b"\x7f" * 11, kind=b"Z"), lambda _: ZEROS),
            Limits(),
            "68719476736 bytes",
            id="a size beyond all numbers",
        ),
        pytest.param(
            lambda: endless(b"", lambda n: b"".join(entry(b"%d.%d" % (n, i)) for i in range(100))),
            Limits(entries=1000),
            "more than 1000 entries",
            id="empty files",
        ),
        pytest.param(
            lambda: endless(b"", lambda _: directory(b".") * 100),
            Limits(entries=1000),
            "1000 entries",
            id="one directory",
        ),
        pytest.param(
            lambda: endless(b"", lambda n: entry(b"%d/" % n + b"d/" * 200)),
            Limits(entries=1000),
            "1000 entries",
            id="implied directories",
        ),
        pytest.param(
            lambda: endless(b"", lambda _: pax({b"comment": ZEROS[:1_000_000]})),
            Limits(),
            "extension",
            id="pax headers",
        ),
        pytest.param(
            lambda: endless(b"", lambda _: pax({b"comment": ZEROS[:1_000_000]}, kind=b"g") + entry(b"a")),
            Limits(entries=100),
            "headers, and what follows the archives, take more space",
            id="pax headers with entries between",
        ),
        pytest.param(
            lambda: endless(header(b"x", 8 * 1024**3 - 1, kind=b"x"), lambda _: ZEROS),
            Limits(),
            "extension",
            id="one header",
        ),
        pytest.param(
            lambda: endless(header(b"L", 8 * 1024**3 - 1, kind=b"L"), lambda _: ZEROS),
            Limits(),
            "extension",
            id="one name",
        ),
    ],
)
def test_bombs_stop_early(output: Path, chunks: Callable[[], Iterator[bytes]], limits: Limits, message: str) -> None:
    taken: list[int] = []

    def blob_chunks() -> Iterator[bytes]:
        for chunk in chunks():
            if sum(taken) > LARGEST_BOMB:
                return
            taken.append(len(chunk))
            yield chunk

    with pytest.raises(UnsafeArchive, match=message):
        unpack([blob_chunks()], str(output), limits=limits)
    assert sum(len(content) for _, _, content in listing(output).values()) <= limits.size
    assert len(listing(output)) <= limits.entries
    if "extension" not in message:
        assert sum(taken) < LARGEST_BOMB


@pytest.mark.parametrize(
    ("limits", "message"),
    [(Limits(size=10), "the image holds more than 10 bytes"), (Limits(entries=2), "the image has more than 2 entries")],
)
def test_limits_are_for_all_layers_together(output: Path, limits: Limits, message: str) -> None:
    layer = gzipped(entry(b"a", b"12345") + END)
    unpack_archives(output, layer, layer, limits=limits)
    (output / "a").unlink()
    with pytest.raises(UnsafeArchive, match=f"layer 3: entry 'a': {message}, the limit"):
        unpack_archives(output, layer, layer, layer, limits=limits)


def test_what_follows_the_end_of_the_archive_is_read_but_not_decompressed(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decompressed: list[int] = []

    def counting(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for block in decompress(chunks):
            decompressed.append(len(block))
            yield block

    monkeypatch.setattr(unpack_module, "decompress", counting)
    bomb = gzipped(entry(b"a", b"1") + END + bytes(100 * MIB))
    taken: list[int] = []
    unpack([counted(in_chunks(bomb), taken)], str(output))
    assert contents(output) == {"a": b"1"}
    assert sum(taken) == len(bomb)
    assert sum(decompressed) < 10 * MIB


def test_garbage_after_the_end_of_the_archive_does_no_harm(output: Path) -> None:
    archive = entry(b"a", b"1") + END
    unpack_archives(output, archive + b"garbage", gzipped(archive) + b"garbage", gzipped(archive)[:-3])
    assert contents(output) == {"a": b"1"}


def test_memory_stays_flat(output: Path) -> None:
    size = 256 * MIB
    program = f"""
import resource, zlib
from bundlepipe.oci.layers.unpack import unpack
from tests.support.archives import header
def chunks():
    compressor = zlib.compressobj(1, wbits=31)
    yield compressor.compress(header(b"file", {size}))
    for _ in range({size // MIB}):
        yield compressor.compress(bytes({MIB}))
    yield compressor.compress(bytes(1024)) + compressor.flush()
def peak():
    # Kilobytes, but bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
import sys
before = peak()
unpack([chunks()], {str(output)!r})
print(peak() - before)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (output / "file").stat().st_size == size
    assert int(result.stdout) < 32 * 1024


# Damage


def unpacked_or_error(archive: bytes) -> dict[str, bytes | None] | BundlepipeError:
    with tempfile.TemporaryDirectory() as path:
        try:
            unpack([in_chunks(archive, 100)], path)
        except BundlepipeError as error:
            return error
        return contents(path)


def test_an_archive_cut_at_any_block_is_an_error_or_ends_at_an_entry() -> None:
    at_entries: dict[int, dict[str, bytes | None]] = {
        0: {},
        512: {"d": None},
        2048: {"d": None, "d/a": b"a" * 600},
        3584: {"d": None, "d/a": b"a" * 600, "b": b"b" * 1024},
        5632: {"d": None, "d/a": b"a" * 600, "b": b"b" * 1024, "c": b"c"},
    }
    for length in range(0, len(SMALL), 512):
        outcome = unpacked_or_error(SMALL[:length])
        if length in at_entries:
            assert outcome == at_entries[length], length
        elif length < max(at_entries):
            assert isinstance(outcome, UnsafeArchive), length
        else:
            assert outcome == at_entries[max(at_entries)], length


@pytest.mark.parametrize("compress", [bytes, gzipped, zstd], ids=["plain", "gzip", "zstd"])
def test_a_verified_layer_cut_anywhere_is_an_integrity_error(compress: Callable[[bytes], bytes]) -> None:
    promised = compress(SMALL)
    for length in range(0, len(promised), 512 if compress is bytes else 3):
        with tempfile.TemporaryDirectory() as path, pytest.raises(IntegrityError, match="ended after"):
            unpack([blob(promised[:length], promised)], path)


@pytest.mark.parametrize("compress", [bytes, gzipped, zstd], ids=["plain", "gzip", "zstd"])
def test_a_verified_layer_altered_anywhere_is_an_integrity_error(compress: Callable[[bytes], bytes]) -> None:
    promised = compress(SMALL)
    for position in range(0, len(promised), 61 if compress is bytes else 3):
        altered = bytearray(promised)
        altered[position] ^= 0x21
        with tempfile.TemporaryDirectory() as path, pytest.raises(IntegrityError, match="other content"):
            unpack([blob(bytes(altered), promised)], path)


@pytest.mark.parametrize("length", [11, 40, 80])
def test_a_gzip_stream_that_ends_early_is_a_clear_error(output: Path, length: int) -> None:
    with pytest.raises(UnsafeArchive, match=r"^reg\.example/app: layer 1: .*the gzip stream is truncated$"):
        unpack_archives(output, gzipped(SMALL)[:length])


def test_a_damaged_gzip_stream_is_a_clear_error(output: Path) -> None:
    damaged = bytearray(gzipped(entry(b"a", hashlib.sha256().digest() * 100) + END))
    damaged[60] ^= 0xFF
    with pytest.raises(UnsafeArchive, match=r"^reg\.example/app: layer 1: .*the gzip stream is damaged: "):
        unpack_archives(output, bytes(damaged))


def test_bytes_that_are_no_archive_are_a_clear_error(output: Path) -> None:
    with pytest.raises(UnsafeArchive, match=r"^reg\.example/app: layer 1: the archive is damaged: "):
        unpack_archives(output, b"<html>404</html>" * 100)
