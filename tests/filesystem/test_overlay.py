"""A view in which some files have another content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundlepipe.filesystem.base_directory import anchored, anchored_output, entries_of, paths_from, remove_file
from bundlepipe.filesystem.files import read_document, write_if_changed
from bundlepipe.filesystem.inputs import Inputs, walk
from bundlepipe.filesystem.overlay import Overlay, overlaid


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    """An overlay without files."""
    (tmp_path / "upper").mkdir()
    return Overlay(str(tmp_path / "upper"))


@pytest.fixture
def lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with two files."""
    directory = tmp_path / "lower"
    (directory / "a").mkdir(parents=True)
    (directory / "a/one").write_text("1")
    (directory / "a/two").write_text("2")
    monkeypatch.chdir(directory)
    return directory


def _walked(path: str) -> dict[str, bytes | None]:
    return {
        entry.name: None if entry.is_directory else Path(anchored(entry.path)).read_bytes()
        for entry in walk(Inputs([path]))
    }


def test_what_is_written_is_seen_within_the_context_alone(lower: Path, overlay: Overlay) -> None:
    with overlaid(overlay):
        assert write_if_changed("a/one", b"other") and write_if_changed("a/b/new", b"new")
        assert not write_if_changed("a/two", b"2") and not write_if_changed("a/one", b"other")
        assert read_document("a/one") == b"other"
        assert _walked("a") == {".": None, "b": None, "b/new": b"new", "one": b"other", "two": b"2"}
        assert overlay.writes == [str(lower / "a/one"), str(lower / "a/b/new")]
    assert _walked("a") == {".": None, "one": b"1", "two": b"2"}
    assert anchored("a/one") == anchored_output("a/one") == "a/one"


def test_a_removed_file_is_not_seen_and_stays(lower: Path, overlay: Overlay) -> None:
    with overlaid(overlay):
        remove_file("a/one")
        assert _walked("a") == {".": None, "two": b"2"}
        with pytest.raises(FileNotFoundError):
            remove_file("a/one")
        write_if_changed("a/one", b"back")
        remove_file("a/two")
        assert _walked("a") == {".": None, "one": b"back"}
        remove_file("a/one")
        assert not os.path.lexists(anchored("a/one"))
    assert _walked("a") == {".": None, "one": b"1", "two": b"2"}


def test_a_new_directory_is_seen(lower: Path, overlay: Overlay) -> None:
    with overlaid(overlay), paths_from(str(lower)):
        write_if_changed("c/d/file", b"x")
        assert os.path.isdir(anchored("c")) and [entry.name for entry in entries_of("c")] == ["d"]
        assert _walked("c") == {".": None, "d": None, "d/file": b"x"}
    assert not (lower / "c").exists()


def test_a_directory_that_is_nowhere_cannot_be_read(lower: Path, overlay: Overlay) -> None:
    with overlaid(overlay), pytest.raises(FileNotFoundError):
        entries_of("nowhere")
