"""Layers that do not hold what the configuration of their image says."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundlepipe.errors import IntegrityError, UnsafeArchive
from bundlepipe.filesystem.snapshots import Snapshot
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers.unpack import LayerContent, Limits, unpack
from tests.support.archives import END, contents, entry, gzipped, header, in_chunks, zstd

LOWER = entry(b"a", b"1") + END
UPPER = entry(b"b", b"2") + END
BLOCK = bytes(256 * 1024)


def _unpack(output: Path, *layers: bytes, archives: tuple[bytes, ...], limits: Limits | None = None) -> None:
    expected = [
        LayerContent(Digest.of(layer), Digest.of(archive)) for layer, archive in zip(layers, archives, strict=True)
    ]
    unpack(map(in_chunks, layers), str(output), limits=limits or Limits(), what="r.io/app", expected=expected)


@pytest.mark.parametrize("packed", [bytes, gzipped, zstd])
@pytest.mark.parametrize("behind", [b"", bytes(10240), b"not zero" * 64], ids=["nothing", "zeros", "text"])
def test_layers_that_hold_what_is_said_are_unpacked(
    output: Path, packed: Callable[[bytes], bytes], behind: bytes
) -> None:
    archives = (LOWER + behind, UPPER + behind)
    _unpack(output, *map(packed, archives), archives=archives)
    assert contents(output) == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("packed", [bytes, gzipped, zstd])
def test_exchanged_layers_are_refused(output: Path, packed: Callable[[bytes], bytes]) -> None:
    layers = packed(UPPER), packed(LOWER)
    says = (
        f"r.io/app: layer 1: {Digest.of(layers[0])} has the DiffID {Digest.of(UPPER)}, "
        f"where the image configuration says {Digest.of(LOWER)}: the image is faulty"
    )
    with pytest.raises(IntegrityError, match=re.escape(says)):
        _unpack(output, *layers, archives=(LOWER, UPPER))


def test_one_wrong_layer_is_refused(output: Path) -> None:
    with pytest.raises(IntegrityError, match=rf"layer 2: {Digest.of(UPPER)} has the DiffID"):
        _unpack(output, LOWER, UPPER, archives=(LOWER, UPPER + bytes(512)))


def test_a_layer_that_differs_behind_the_end_of_its_archive_alone_is_refused(output: Path) -> None:
    with pytest.raises(IntegrityError, match=r"layer 1: .* has the DiffID"):
        _unpack(output, gzipped(LOWER + b"more"), archives=(LOWER,))


def test_damage_behind_the_whole_content_harms_nobody(output: Path) -> None:
    _unpack(output, gzipped(LOWER) + b"\x1f\x8b damage", archives=(LOWER,))
    assert contents(output) == {"a": b"1"}


def test_damage_within_the_content_is_told(output: Path) -> None:
    whole = gzipped(LOWER + bytes(range(256)) * 4096)
    with pytest.raises(UnsafeArchive, match=r"r\.io/app: layer 1: the gzip stream is truncated"):
        _unpack(output, whole[:-100], archives=(LOWER + bytes(range(256)) * 4096,))


def test_what_lies_behind_the_end_of_an_archive_is_limited_as_headers_are(output: Path) -> None:
    """Else it could be inflated for hours, as it is part of the DiffID."""
    archive = LOWER + bytes(64 << 20)
    with pytest.raises(UnsafeArchive, match="layer 1: headers, and what follows the archives, take more space"):
        _unpack(output, gzipped(archive), archives=(archive,), limits=Limits(entries=10))


def test_padding_behind_the_end_of_an_archive_is_no_content(output: Path) -> None:
    archive = LOWER + bytes(10240)
    _unpack(output, archive, archives=(archive,), limits=Limits(size=1))
    assert contents(output) == {"a": b"1"}


def test_a_write_that_is_cut_short_is_completed(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * 64
    archive, whole_write = entry(b"a", content) + END, os.write
    monkeypatch.setattr(os, "write", lambda to, data: whole_write(to, data[: len(data) // 2 + 1]))
    states: Snapshot = {}
    unpack([in_chunks(archive)], str(output), states=states)
    monkeypatch.undo()
    assert contents(output) == {"a": content}
    assert states[str(output / "a")].sha256 == hashlib.sha256(content).hexdigest()


def test_while_a_disk_is_slow_few_blocks_wait_in_memory(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_writable, given = threading.Event(), []

    def chunks() -> Iterator[bytes]:
        yield header(b"a", 256 * len(BLOCK))
        for _ in range(256):
            given.append(BLOCK)
            yield BLOCK
        yield END

    def write(to: int, data: memoryview) -> int:
        is_writable.wait()
        return len(data)

    monkeypatch.setattr(os, "write", write)
    reader = threading.Thread(target=unpack, args=([chunks()], str(output)))
    reader.start()
    before = -1
    while len(given) > before:
        before = len(given)
        time.sleep(0.3)
    is_writable.set()
    reader.join()
    assert before < 32 and len(given) == 256
