"""What `.dockerignore` leaves out: the expectations are what `docker build` sent for the same files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundlepipe.errors import InputError
from bundlepipe.filesystem import inputs
from bundlepipe.oci.builds import context as build_context
from bundlepipe.oci.builds.context import BuildContext

FILES = (
    "!bang",
    "#hash",
    "Dockerfile",
    "[x]",
    "a*b",
    "a.txt",
    "b.txt",
    "dir/a.txt",
    "dir/foo",
    "dir/sub/a.txt",
    "dir/sub/deep/foo",
    "foo",
    "other/keep.txt",
    "sp ace",
    "xfoo",
    "é.txt",
)
TEXTS = {"a.txt", "b.txt", "é.txt"}
DIR = {"dir/a.txt", "dir/foo", "dir/sub/a.txt", "dir/sub/deep/foo"}
ALL_TEXTS = {*TEXTS, "dir/a.txt", "dir/sub/a.txt", "other/keep.txt"}
ALL_FOOS = {"foo", "dir/foo", "dir/sub/deep/foo"}
ALL = set(FILES)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("context")
    for name in FILES:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)
    return directory


@pytest.mark.parametrize(
    ("lines", "left_out"),
    [
        ("", set()),
        ("a.txt", {"a.txt"}),
        ("/a.txt", {"a.txt"}),
        ("./dir/../a.txt", {"a.txt"}),
        ("  a.txt \t\r\n\n b.txt", {"a.txt", "b.txt"}),
        ("\ufeffa.txt", {"a.txt"}),
        ("# a.txt\n#hash\na.txt # no comment", set()),
        ("*.txt", TEXTS),
        ("**/*.txt", ALL_TEXTS),
        ("?.txt", TEXTS),
        ("[ab].txt", {"a.txt", "b.txt"}),
        ("[a-b].txt", {"a.txt", "b.txt"}),
        ("[^a].txt", {"b.txt", "é.txt"}),
        ("[!a].txt", {"a.txt"}),
        ("dir", DIR),
        ("dir/", DIR),
        ("/dir", DIR),
        ("dir/*", DIR),
        ("dir/**", DIR),
        ("di?//sub", {"dir/sub/a.txt", "dir/sub/deep/foo"}),
        ("foo", {"foo"}),
        ("*/foo", {"dir/foo"}),
        ("**/foo", ALL_FOOS),
        ("**foo", {*ALL_FOOS, "xfoo"}),
        ("dir/**/foo", {"dir/foo", "dir/sub/deep/foo"}),
        ("**/deep/..", ALL),
        ("**/sub/**", {"dir/sub/a.txt", "dir/sub/deep/foo"}),
        ("sp ace", {"sp ace"}),
        ("\\#hash\n\\!bang\na\\*b\n\\[x\\]", {"#hash", "!bang", "a*b", "[x]"}),
        (".\n..\n/\n../a.txt", set()),
        ("**", ALL),
        ("*\n!a.txt\n! foo", ALL - {"a.txt", "foo"}),
        ("!a.txt\n*.txt", TEXTS),
        ("*.txt\n!a.txt\na.t*", TEXTS),
        ("*\n!dir", ALL - DIR),
        ("*\n!dir\ndir/sub", ALL - {"dir/a.txt", "dir/foo"}),
        ("dir\n!dir/sub/a.txt", DIR - {"dir/sub/a.txt"}),
        ("*\n!dir/sub/deep/**", ALL - {"dir/sub/deep/foo"}),
        # An exception for a directory does not bring back what its own pattern left out in it.
        ("dir/foo\n!dir", {"dir/foo"}),
        # BuildKit finds these, the classic builder's client does not look into directories that are left out.
        ("*\n!**/keep.txt", ALL - {"other/keep.txt"}),
        ("*\n!o*/keep.txt", ALL - {"other/keep.txt"}),
        ("dir\n!dir/**/foo", DIR - ALL_FOOS),
    ],
)
def test_the_last_pattern_that_matches_decides(directory: Path, lines: str, left_out: set[str]) -> None:
    (directory / ".dockerignore").write_bytes(lines.encode())

    seen = {entry.name for entry in BuildContext(str(directory)).walk().entries if not entry.is_directory}

    assert ALL - seen == left_out


@pytest.mark.parametrize("line", ["!", "! ", "a[", "[]a]", "a\\", "[a-]", "[-a]", "[b-a]", "[^]"])
def test_what_is_no_pattern_is_refused_with_its_line(directory: Path, line: str) -> None:
    (directory / ".dockerignore").write_text(f"a.txt\n{line}\n")

    with pytest.raises(InputError) as refusal:
        BuildContext(str(directory)).walk()

    assert str(refusal.value).startswith(f"{directory}/.dockerignore:2:1: ")


def test_a_directory_that_is_left_out_is_not_read_unless_an_exception_may_be_in_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def in_byte_order(path: str) -> list[os.DirEntry[str]]:
        read.append(os.path.relpath(path, directory))
        return inputs.in_byte_order(path)

    monkeypatch.setattr(build_context, "in_byte_order", in_byte_order)
    (directory / ".dockerignore").write_text("dir\nother\n!other/k*p.txt\n!directory/file")

    BuildContext(str(directory)).walk()

    assert read == [".", "other"]
