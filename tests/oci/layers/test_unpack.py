from __future__ import annotations

import io
import os
import resource
import signal
import stat
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundlepipe.errors import IntegrityError, OutputError
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.filesystem.snapshots import Snapshot, snapshot
from bundlepipe.oci.layers.unpack import Unpacked, unpack
from tests.support.archives import (
    END,
    SMALL,
    contents,
    directory,
    endless,
    entry,
    gnu_long_name,
    gzipped,
    header,
    in_chunks,
    pad,
    pax,
    umask,
    unpack_archives,
    zstd,
)

MIB = 1 << 20
ZEROS = bytes(MIB)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# Formats


def archived(format_: int, compression: str) -> bytes:
    """Return an archive as Python's tarfile writes it, with what gives the formats trouble."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o600
            if content is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    data = buffer.getvalue()
    if compression == "gzip":
        return gzipped(data)
    return zstd(data) if compression == "zstd" else data


FILES: dict[str, bytes | None] = {
    ".imgpkg": None,
    ".imgpkg/images.yml": b"images: []\n",
    "empty": None,
    "empty file": b"",
    "one block": bytes(range(256)) * 2,
    "large": bytes(range(256)) * 9000,
    "Größe/日本.yml": b"a: 1\n",
    "a" * 90 + "/" + "b" * 90: b"split",
    "back\\slash": b"is a character like any other",
    "trailing space ": b"",
}
LONGEST_NAME = "c" * 250


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_every_format_and_compression_unpack(output: Path, format_: int, compression: str) -> None:
    unpacked = unpack_archives(output, archived(format_, compression))
    expected = dict(FILES) | {"a" * 90: None, "Größe": None}
    assert contents(output) == expected
    assert unpacked.files == 8
    assert unpacked.names == tuple(sorted((name for name in expected if "/" not in name), key=os.fsencode))


def test_layers_of_one_image_may_be_compressed_differently(output: Path) -> None:
    one, two, three = (entry(name, name) + END for name in (b"plain", b"gzip", b"zstd"))
    unpack_archives(output, one, gzipped(two), zstd(three))
    assert contents(output) == {"plain": b"plain", "gzip": b"gzip", "zstd": b"zstd"}


@pytest.mark.parametrize("size", [1, 3, 511, 512, 513, 100_000])
def test_the_size_of_the_chunks_does_not_matter(output: Path, size: int) -> None:
    archive = gzipped(entry(b"a/b", b"content" * 1000) + entry(b"c") + END)
    unpack([in_chunks(archive, size)], str(output))
    assert contents(output) == {"a": None, "a/b": b"content" * 1000, "c": b""}


def test_empty_chunks_are_not_the_end(output: Path) -> None:
    archive = gzipped(entry(b"a", b"content") + END)
    unpack([iter([b"", archive[:2], b"", archive[2:20], b"", b"", archive[20:], b""])], str(output))
    assert contents(output) == {"a": b"content"}


def test_a_layer_of_nothing_at_all_is_an_empty_layer(output: Path) -> None:
    assert unpack_archives(output, b"", END, gzipped(b"")) == Unpacked(0, ())
    assert contents(output) == {}


def test_an_image_without_layers_is_an_empty_directory(output: Path) -> None:
    assert unpack([], str(output)) == Unpacked(0, ())


def test_an_archive_may_end_without_its_zero_blocks(output: Path) -> None:
    unpack_archives(output, entry(b"a", b"1"))
    assert contents(output) == {"a": b"1"}


def test_long_names_in_pax_and_gnu_headers_are_used(output: Path) -> None:
    name = f"{LONGEST_NAME}/{LONGEST_NAME}"
    archive = gnu_long_name(name.encode()) + header(b"cut", 1) + pad(b"1")
    archive += pax({b"path": f"{name}2".encode()}) + header(b"cut", 1) + pad(b"2")
    unpack_archives(output, pax({b"path": b"of no entry"}, kind=b"g") + archive + END)
    assert contents(output) == {LONGEST_NAME: None, name: b"1", f"{name}2": b"2"}


def test_a_pax_size_takes_the_place_of_the_field(output: Path) -> None:
    unpack_archives(output, pax({b"size": b"5"}) + header(b"a", 0) + pad(b"12345") + entry(b"b", b"6") + END)
    assert contents(output) == {"a": b"12345", "b": b"6"}


def test_a_size_in_base_256_is_read(output: Path) -> None:
    unpack_archives(output, header(b"a", b"\x80" + (5).to_bytes(11, "big")) + pad(b"12345") + END)
    assert contents(output) == {"a": b"12345"}


def test_names_that_are_not_utf_8_stay_as_they_are(output: Path) -> None:
    unpacked = unpack_archives(output, entry(b"caf\xe9/\xff", b"1") + END)
    assert contents(output) == {os.fsdecode(b"caf\xe9"): None, os.fsdecode(b"caf\xe9/\xff"): b"1"}
    assert unpacked.names == (os.fsdecode(b"caf\xe9"),)


# Permissions and times


@pytest.mark.parametrize(
    ("archived_mode", "mask", "expected"),
    [
        (0o600, 0o022, 0o644),
        (0o700, 0o022, 0o755),
        (0o400, 0o022, 0o444),
        (0o600, 0o077, 0o600),
        (0o600, 0o002, 0o664),
        (0o640, 0o022, 0o640),
        (0o604, 0o022, 0o604),
        (0o666, 0o027, 0o640),
        (0o000, 0o022, 0o000),
        (0o6755, 0o022, 0o755),
        (0o1600, 0o000, 0o666),
    ],
)
def test_files_have_the_mode_that_imgpkg_gives_them(output: Path, archived_mode: int, mask: int, expected: int) -> None:
    with umask(mask):
        unpack_archives(output, entry(b"file", b"1", mode=archived_mode) + END)
    assert mode_of(output / "file") == expected


@pytest.mark.parametrize(
    ("archived_mode", "mask", "expected"),
    [
        (0o700, 0o022, 0o755),
        (0o700, 0o077, 0o700),
        (0o000, 0o022, 0o755),
        (0o750, 0o022, 0o750),
        (0o050, 0o022, 0o750),
        (0o7775, 0o000, 0o775),
        (0o777, 0o027, 0o750),
    ],
)
@pytest.mark.parametrize("is_known_before", [False, True])
def test_directories_have_the_default_mode_or_that_of_their_group_and_others(
    tmp_path: Path, archived_mode: int, mask: int, expected: int, is_known_before: bool
) -> None:
    known = entry(b"new/file") if is_known_before else b""
    with umask(mask):
        (tmp_path / "output").mkdir()
        unpack_archives(tmp_path / "output", known + directory(b"new", archived_mode) + END)
    assert mode_of(tmp_path / "output/new") == expected


def test_the_entry_of_the_root_gives_the_output_directory_its_mode(tmp_path: Path) -> None:
    with umask(0o022):
        for name in (b".", b"./", b"/"):
            path = tmp_path / name.hex()
            path.mkdir()
            unpack_archives(path, directory(name, 0o770) + entry(b"a") + END)
            assert mode_of(path) == 0o750
            assert contents(path) == {"a": b""}


def test_a_later_entry_of_a_directory_changes_its_mode(output: Path) -> None:
    with umask(0o022):
        unpack_archives(output, directory(b"d", 0o750) + END, entry(b"d/a") + END)
        assert mode_of(output / "d") == 0o750
        (output / "d/a").unlink()
        (output / "d").rmdir()
        unpack_archives(output, directory(b"d", 0o750) + END, directory(b"d", 0o700) + END)
        assert mode_of(output / "d") == 0o755


def test_the_states_are_those_of_the_directory(output: Path) -> None:
    below = directory(b"gone/") + entry(b"gone/x", b"1") + entry(b"a", b"1") + entry(b"b/c", b"1", mode=0o700)
    above = entry(b".wh.gone") + entry(b"a/now/a/directory", b"2") + entry(b"b/c", b"3", mode=0o400) + entry(b"b/.wh.d")
    states: Snapshot = {}
    unpack([in_chunks(below + END), in_chunks(above + END)], str(output), states=states)
    now = snapshot(Inputs([str(output)], exclude=()), {})
    assert states == {path: state._replace(ctime_ns=0) for path, state in now.items()}


def test_times_are_those_of_the_extraction(output: Path) -> None:
    (output.parent / "before").touch()
    unpack_archives(output, directory(b"d") + entry(b"d/file") + END)
    before = (output.parent / "before").stat().st_mtime_ns
    assert (output / "d").stat().st_mtime_ns >= before
    assert (output / "d/file").stat().st_mtime_ns >= before


# Errors of either side, and interrupts


class Cut(Exception):
    """What a store raises."""


def failing(data: bytes, error: BaseException) -> Iterator[bytes]:
    yield from in_chunks(data, 1000)
    raise error


@pytest.mark.parametrize("error", [Cut("gone"), IntegrityError("altered"), KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("data", [b"", b"x", gzipped(SMALL)[:50], gzipped(SMALL), entry(b"a", bytes(9 * MIB))], ids=len)
def test_an_error_of_the_source_is_passed_on(output: Path, error: BaseException, data: bytes) -> None:
    with pytest.raises(type(error)) as raised:
        unpack([failing(data, error)], str(output))
    assert raised.value is error


def test_an_error_between_layers_is_passed_on(output: Path) -> None:
    def layers() -> Iterator[Iterator[bytes]]:
        yield in_chunks(gzipped(SMALL))
        raise Cut("no such layer")

    with pytest.raises(Cut):
        unpack(layers(), str(output))


def test_an_interrupt_ends_both_threads(output: Path) -> None:
    def interrupted() -> Iterator[bytes]:
        yield gzipped(entry(b"a", b"1"))
        signal.raise_signal(signal.SIGINT)
        yield b""

    with pytest.raises(KeyboardInterrupt):
        unpack([interrupted()], str(output))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the file system refuse what is larger, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_error_of_the_file_system_stops_an_endless_source(output: Path) -> None:
    closed: list[bool] = []

    def source() -> Iterator[bytes]:
        try:
            yield from endless(header(b"d/file", 8 * 1024**3 - 1), lambda _: ZEROS)
        finally:
            closed.append(True)

    with largest_file(3 * MIB), pytest.raises(OutputError) as raised:
        unpack([source()], str(output), what="reg.example/app")
    assert str(raised.value) == "reg.example/app: layer 1: entry 'd/file': cannot be written: File too large"
    assert closed == [True]
    assert (output / "d/file").stat().st_size == 3 * MIB


def test_a_directory_that_is_absent_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="absent: cannot be written: No such file"):
        unpack([], str(tmp_path / "absent"))


def test_a_directory_that_is_removed_meanwhile_is_an_output_error(output: Path) -> None:
    def layers() -> Iterator[Iterator[bytes]]:
        yield in_chunks(END)
        output.rmdir()
        yield in_chunks(SMALL)

    with pytest.raises(OutputError, match="layer 2: entry 'd': cannot be written: No such file"):
        unpack(layers(), str(output))


def test_a_thread_that_cannot_start_leaves_nothing_waiting(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        unpack_archives(output, SMALL)


def test_many_unpackings_may_run_at_once(tmp_path: Path) -> None:
    def one(number: int) -> dict[str, bytes | None]:
        path = tmp_path / str(number)
        path.mkdir()
        unpack([in_chunks(gzipped(entry(b"n", b"%d" % number) + SMALL))], str(path))
        return contents(path)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(one, range(40)))
    assert [result["n"] for result in results] == [b"%d" % number for number in range(40)]
