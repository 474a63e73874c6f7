"""What patterns and an ignore file leave out of inputs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundlepipe.errors import InputError
from bundlepipe.filesystem.inputs import Inputs, walk

IGNORE_FILE = ".imgpkgignore"
FILES = (
    "README.md",
    "a.txt",
    "docs/a.md",
    "docs/deep/b.md",
    "src/a.pyc",
    "src/a.py",
    "src/c/b.pyc",
    "tmp/x",
    "tmp/keep/y",
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def _names(directory: Path, *patterns: str, ignore_file: str | None = None) -> set[str]:
    inputs = Inputs([str(directory)], (), patterns=patterns, ignore_file=ignore_file)
    return {entry.name for entry in walk(inputs) if not entry.is_directory}


@pytest.mark.parametrize(
    ("patterns", "left_out"),
    [
        ([], set()),
        (["*.md"], {"README.md"}),
        (["**/*.md"], {"README.md", "docs/a.md", "docs/deep/b.md"}),
        (["docs", "src/*.pyc"], {"docs/a.md", "docs/deep/b.md", "src/a.pyc"}),
        (["docs/"], {"docs/a.md", "docs/deep/b.md"}),
        (["**/*.md", "!README.md"], {"docs/a.md", "docs/deep/b.md"}),
        (["tmp", "!tmp/keep"], {"tmp/x"}),
        (["[a-b].t?t", "# a comment"], {"a.txt"}),
    ],
)
def test_patterns(directory: Path, patterns: list[str], left_out: set[str]) -> None:
    assert _names(directory, *patterns) == set(FILES) - left_out
    (directory / IGNORE_FILE).write_text("\n".join(patterns))
    assert _names(directory, ignore_file=IGNORE_FILE) == set(FILES) - left_out


def test_without_its_name_an_ignore_file_is_a_file(directory: Path) -> None:
    (directory / IGNORE_FILE).write_text("docs\n")
    assert _names(directory) == {*FILES, IGNORE_FILE}


def test_patterns_that_are_given_decide_after_those_of_the_file(directory: Path) -> None:
    (directory / IGNORE_FILE).write_text(f"**/*.md\n!{IGNORE_FILE}\n")
    assert _names(directory, "!docs/a.md", ignore_file=IGNORE_FILE) == set(FILES) - {"README.md", "docs/deep/b.md"}


def test_a_directory_that_is_left_out_comes_where_something_in_it_does(directory: Path) -> None:
    inputs = Inputs([str(directory)], (), patterns=["docs", "tmp", "!tmp/keep/y"])
    names = [entry.name for entry in walk(inputs) if entry.is_directory]
    assert names == [".", "src", "src/c", "tmp", "tmp/keep"]


def test_each_directory_has_an_ignore_file_of_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").touch()
    (tmp_path / "one" / IGNORE_FILE).write_text("*.txt")
    inputs = Inputs([str(tmp_path / "one"), str(tmp_path / "two")], (), ignore_file=IGNORE_FILE)
    assert [entry.name for entry in walk(inputs) if not entry.is_directory] == ["two.txt"]


def test_a_file_that_is_given_can_be_left_out(directory: Path) -> None:
    assert walk(Inputs([str(directory / "a.txt")], (), patterns=["*.txt"])) == []


def test_what_cannot_be_packed_can_be_left_out(directory: Path) -> None:
    (directory / "link").symlink_to("a.txt")
    with pytest.raises(InputError, match="to be a regular file"):
        _names(directory)
    assert _names(directory, "li*") == set(FILES)


FAULTS = {
    "[z-a]": "the range 'z-a' is empty: write 'a-z'",
    "[a": "a '[' has no ']'",
    "[]a]": "there is no character before the ']' in a '[...]'",
    "[a-]": "there is no character behind the '-' in a '[...]'",
    "a\\": "nothing is behind the '\\' at its end",
}


def test_faulty_patterns_are_told(directory: Path) -> None:
    with pytest.raises(InputError, match=r"'a\[' is not a pattern"):
        _names(directory, "a[")
    for pattern, fault in FAULTS.items():
        with pytest.raises(InputError) as raised:
            _names(directory, pattern)
        assert str(raised.value) == f"what to leave out: '{pattern}' is not a pattern: {fault}"
    (directory / IGNORE_FILE).write_text("docs\na[\n")
    with pytest.raises(InputError, match=r"\.imgpkgignore:2:1: 'a\[' is not a pattern"):
        _names(directory, ignore_file=IGNORE_FILE)
    (directory / IGNORE_FILE).unlink()
    (directory / IGNORE_FILE).mkdir()
    with pytest.raises(InputError, match=r"\.imgpkgignore: cannot be read: Is a directory"):
        _names(directory, ignore_file=IGNORE_FILE)
    (directory / IGNORE_FILE).rmdir()
    # Nobody writes to it, so reading it would never end.
    os.mkfifo(directory / IGNORE_FILE)
    with pytest.raises(InputError, match=r"\.imgpkgignore' to be a regular file: it is a named pipe"):
        _names(directory, ignore_file=IGNORE_FILE)
