"""The spool: contents of several threads in one file."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from bundlepipe.errors import StoreError
from bundlepipe.verbs.copying.spool import Spool


def _chunks(*chunks: bytes) -> Generator[bytes, None, None]:
    yield from chunks


def test_contents_that_come_in_turns_are_kept_apart() -> None:
    spool = Spool()
    first, open_first = spool.keep(_chunks(b"ab", b"cd", b"e"), 5)
    second, open_second = spool.keep(_chunks(b"12", b"3"), 3)
    assert [next(first), next(second), next(first), next(second), next(first)] == [b"ab", b"12", b"cd", b"3", b"e"]
    for _ in range(2):
        with open_second() as content:
            assert content.read() == b"123"
        with open_first() as content:
            assert content.read() == b"abcde"
    spool.close()


def test_nothing_kept_makes_no_file() -> None:
    Spool().close()


def test_a_place_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    chunks, _ = Spool().keep(_chunks(b"a"), 1)
    with pytest.raises(
        StoreError, match=f"{tmp_path}/gone: layers of bundles .up to 1 byte. cannot be kept there: .*TMPDIR"
    ):
        list(chunks)
