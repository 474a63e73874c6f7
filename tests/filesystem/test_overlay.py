"""A view in which some files have another content."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from bundlepipe.errors import OutputError
from bundlepipe.filesystem.base_directory import (
    anchored,
    anchored_output,
    as_given,
    entries_of,
    paths_from,
    remove_file,
)
from bundlepipe.filesystem.files import read_document, write_if_changed
from bundlepipe.filesystem.inputs import Inputs, walk
from bundlepipe.filesystem.overlay import Overlay, overlaid
from bundlepipe.filesystem.replace import replace_directory


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
        assert overlay.writes == [(str(lower / "a/one"), "changed"), (str(lower / "a/b/new"), "created")]
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


def test_a_replaced_directory_has_only_its_new_content(lower: Path, overlay: Overlay) -> None:
    (lower / "a/same").write_text("same")
    (lower / "a/mode").write_text("mode")
    with overlaid(overlay):
        write_if_changed("a/b/new", b"new")
        overlay.writes.clear()
        with replace_directory("a") as incoming:
            content = {"one": "other", "same": "same", "mode": "mode", "three": "3"}
            for name, text in content.items():
                Path(incoming, name).write_text(text)
            os.chmod(os.path.join(incoming, "mode"), 0o700)
            assert _walked("a").keys() == {".", "b", "b/new", "mode", "one", "same", "two"}
        assert _walked("a") == {".": None, **{name: text.encode() for name, text in content.items()}}
        assert [(os.path.relpath(path, lower), change) for path, change in overlay.writes] == [
            ("a/b/new", "removed"),
            ("a/mode", "changed"),
            ("a/one", "changed"),
            ("a/three", "created"),
            ("a/two", "removed"),
        ]
        assert os.lstat(anchored("a")).st_mode == (lower / "a").stat().st_mode
        with replace_directory("a"):
            pass
        assert _walked("a") == {".": None}
        write_if_changed("a/two", b"again")
        assert _walked("a") == {".": None, "two": b"again"}
    assert _walked("a") == {".": None, "mode": b"mode", "one": b"1", "same": b"same", "two": b"2"}


def test_a_directory_that_a_run_could_not_replace_is_refused(lower: Path, overlay: Overlay) -> None:
    (lower / "link").symlink_to("a")
    refusals = {
        "link": "link: cannot be replaced: it is a symbolic link; name the directory itself",
        "a/one": "a/one: cannot be replaced: it is not a directory",
        "a/one/below": "a/one/below: cannot be created: a/one is not a directory",
        "..": "..: cannot be replaced: expected the name of a directory",
    }
    for target, message in refusals.items():
        for context in (overlaid(overlay), nullcontext()):
            with context, pytest.raises(OutputError) as refusal, replace_directory(target):
                raise AssertionError("it is replaced")
            assert str(refusal.value).replace(f"{lower}/", "") == message


def test_a_path_in_messages_is_that_which_is_seen(lower: Path, overlay: Overlay) -> None:
    with overlaid(overlay), paths_from(str(lower)):
        write_if_changed("a/new", b"x")
        assert as_given(anchored("a/new")) == as_given(anchored("a/one"))[:-3] + "new" == "a/new"


def test_a_directory_that_is_nowhere_cannot_be_read(lower: Path, overlay: Overlay) -> None:
    with overlaid(overlay), pytest.raises(FileNotFoundError):
        entries_of("nowhere")
