from __future__ import annotations

import hashlib
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bundlepipe.errors import InputError
from bundlepipe.filesystem import inputs as inputs_module
from bundlepipe.filesystem import snapshots
from bundlepipe.filesystem.inputs import Entry, Inputs, read_file, walk
from bundlepipe.filesystem.snapshots import differences, file_snapshot, snapshot


@pytest.fixture(autouse=True)
def _in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let snapshots be taken when every change is long past."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60 * 10**9)


@pytest.fixture
def read_paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the paths of files that are read."""
    paths: list[str] = []
    real = inputs_module.read_file

    def reading(entry: Entry) -> object:
        paths.append(entry.path)
        return real(entry)

    monkeypatch.setattr(snapshots, "read_file", reading)
    return paths


def make(*paths: str) -> None:
    """Make files that hold their own path; what ends in a slash is a directory."""
    for path in paths:
        if path.endswith("/"):
            os.makedirs(path, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            Path(path).write_text(path)


def names(inputs: Inputs) -> list[str]:
    return [entry.name for entry in walk(inputs)]


def after_a_tick(path: str, change: Callable[[], object]) -> None:
    """Change a file once the file system's clock has ticked, and so stamps it anew."""
    before = os.stat(path).st_ctime_ns
    probe = Path("probe")
    probe.touch()
    while probe.stat().st_ctime_ns == before:
        probe.touch()
    probe.unlink()
    change()


def refusal(inputs: Inputs) -> str:
    with pytest.raises(InputError) as caught:
        walk(inputs)
    return str(caught.value)


# The walk


def test_a_directory_is_walked_depth_first_in_byte_order_starting_with_itself() -> None:
    make("in/b", "in/a/z", "in/a/.hidden", "in/a.b", "in/B", "in/.imgpkg/images.yml", "in/empty/")
    assert names(Inputs(["in"])) == [
        ".",
        ".imgpkg",
        ".imgpkg/images.yml",
        "B",
        "a",
        "a/.hidden",
        "a/z",
        "a.b",
        "b",
        "empty",
    ]


def test_the_order_is_that_of_bytes_and_not_of_characters() -> None:
    expected = [b"z", "é".encode(), "ﬁ".encode(), "𝄞".encode(), b"\xff"]
    os.mkdir("in")
    for name in reversed(expected):
        Path("in", os.fsdecode(name)).touch()
    assert [os.fsencode(name) for name in names(Inputs(["in"]))] == [b".", *expected]


def test_inputs_are_taken_in_the_order_given_and_files_by_their_base_name() -> None:
    make("z/a", "y/sub/b", "deep/er/c.yml")
    assert names(Inputs(["z", "deep/er/c.yml", "y"])) == [".", "a", "c.yml", ".", "sub", "sub/b"]


def test_entries_say_where_they_come_from_and_what_they_are() -> None:
    make("in/sub/a")
    assert [(entry.path, entry.is_directory) for entry in walk(Inputs(["in"]))] == [
        ("in", True),
        ("in/sub", True),
        ("in/sub/a", False),
    ]


def test_git_is_left_out_unless_other_exclusions_are_given() -> None:
    make("in/.git/HEAD", "in/a", "in/sub/.git/HEAD")
    assert names(Inputs(["in"])) == [".", "a", "sub", "sub/.git", "sub/.git/HEAD"]
    assert names(Inputs(["in"], exclude=["a"])) == [".", ".git", ".git/HEAD", "sub", "sub/.git", "sub/.git/HEAD"]
    assert names(Inputs(["in"], exclude=[".git", "sub/.git"])) == [".", "a", "sub"]


def test_exclusions_are_paths_from_the_input_and_take_directories_with_all_below() -> None:
    make("in/a/b", "in/a/c/d", "in/b", "ab")
    assert names(Inputs(["in"], exclude=["a/c"])) == [".", "a", "a/b", "b"]
    assert names(Inputs(["in"], exclude=["b", "a/b"])) == [".", "a", "a/c", "a/c/d"]
    assert names(Inputs(["in", "ab"], exclude=["ab", "in", "in/b", "a*"])) == [".", "a", "a/b", "a/c", "a/c/d", "b"]


def test_a_path_that_two_inputs_give_is_refused_naming_all() -> None:
    make("a/sub/x", "b/sub/y", "c/sub/y", "c/z")
    assert refusal(Inputs(["a", "b", "c"])) == "Found duplicate paths: a/sub, b/sub, c/sub, b/sub/y, c/sub/y"


def test_directories_may_share_their_root_and_nothing_else() -> None:
    make("a/x", "b/y", "x")
    assert names(Inputs(["a", "b"])) == [".", "x", ".", "y"]
    assert refusal(Inputs(["a", "x"])) == "Found duplicate paths: a/x, x"


@pytest.mark.parametrize("exclude", [[".git"], [".git", "odd", "sub/odd"]])
@pytest.mark.parametrize("place", ["in/odd", "in/sub/odd"])
@pytest.mark.parametrize("kind", ["symlink", "dangling symlink", "symlink to a directory", "fifo", "socket"])
def test_what_is_neither_file_nor_directory_is_refused_even_if_excluded(
    kind: str, place: str, exclude: list[str]
) -> None:
    make("in/a", "in/sub/")
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(place)
    else:
        target = {"symlink": "a", "dangling symlink": "nowhere", "symlink to a directory": "."}[kind]
        os.symlink(target, place)
    assert refusal(Inputs(["in"], exclude=exclude)).startswith(f"Expected file '{place}' to be a regular file: it is ")


def test_what_lies_below_an_excluded_directory_is_not_looked_at() -> None:
    make("in/a", "in/.git/")
    os.symlink("nowhere", "in/.git/link")
    assert names(Inputs(["in"])) == [".", "a"]


def test_an_input_that_is_a_link_is_refused() -> None:
    make("in/a")
    os.symlink("in", "link")
    assert refusal(Inputs(["link"])).startswith("Expected file 'link' to be a regular file: it is a symbolic link ")


def test_an_input_that_is_missing_or_unreachable_is_refused() -> None:
    make("file")
    assert refusal(Inputs(["nowhere"])) == "nowhere: cannot be read: No such file or directory"
    assert refusal(Inputs(["file/x"])) == "file/x: cannot be read: Not a directory"


# Modes


def test_of_a_file_the_owners_bits_count_and_of_a_directory_none() -> None:
    make("in/a", "in/sub/")
    for mode, expected in ((0o777, 0o700), (0o644, 0o600), (0o4555, 0o500), (0o066, 0o000), (0o111, 0o100)):
        os.chmod("in/a", mode)
        os.chmod("in/sub", mode | 0o500)
        inputs = Inputs(["in"])
        assert {entry.name: inputs.mode(entry.status) for entry in walk(inputs)} == {
            ".": 0o700,
            "a": expected,
            "sub": 0o700,
        }


def test_preserved_permissions_are_all_twelve_bits() -> None:
    make("in/a", "in/sub/")
    os.chmod("in/a", 0o6754)
    os.chmod("in/sub", 0o1751)
    os.chmod("in", 0o755)
    inputs = Inputs(["in"], preserve_permissions=True)
    assert {entry.name: inputs.mode(entry.status) for entry in walk(inputs)} == {".": 0o755, "a": 0o6754, "sub": 0o1751}


# Reading


@pytest.mark.parametrize("size", [0, 1, inputs_module.READ_SIZE, inputs_module.READ_SIZE + 1])
def test_the_content_of_a_file_is_read_whole(size: int) -> None:
    content = os.urandom(size)
    Path("a").write_bytes(content)
    (entry,) = walk(Inputs(["a"]))
    assert b"".join(read_file(entry)) == content


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("how", ["rewritten", "grown", "shortened", "replaced", "chmod"])
def test_a_file_that_changes_while_it_is_read_is_an_error(how: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_module, "READ_SIZE", 4)
    file = Path("a")
    file.write_bytes(b"0123456789")
    (entry,) = walk(Inputs(["a"]))

    def change() -> None:
        if how == "chmod":
            file.chmod(0o600 ^ (file.stat().st_mode & 0o100))
        elif how == "replaced":
            Path("b").write_bytes(b"9876543210")
            os.replace("b", "a")
        else:
            file.write_bytes({"rewritten": b"9876543210", "grown": b"0123456789+", "shortened": b"01234"}[how])

    chunks = read_file(entry)
    if when == "during":
        assert next(chunks) == b"0123"
    after_a_tick("a", change)
    with pytest.raises(InputError, match=r"^a: changed while it was read; run again$"):
        list(chunks)


def test_a_file_that_vanishes_or_becomes_a_link_after_the_walk_is_an_error() -> None:
    make("a", "b")
    (entry,) = walk(Inputs(["a"]))
    os.unlink("a")
    with pytest.raises(InputError, match=r"^a: cannot be read: No such file or directory$"):
        list(read_file(entry))
    os.symlink("b", "a")
    with pytest.raises(InputError, match=r"^a: cannot be read: "):
        list(read_file(entry))


def test_a_fifo_in_the_place_of_a_file_does_not_hang() -> None:
    make("a")
    (entry,) = walk(Inputs(["a"]))
    os.unlink("a")
    os.mkfifo("a")
    with pytest.raises(InputError, match=r"^a: changed while it was read"):
        list(read_file(entry))


# Snapshots


def test_a_snapshot_holds_what_a_layer_shows() -> None:
    make("in/a", "in/sub/")
    os.chmod("in/a", 0o755)
    now = snapshot(Inputs(["in"]), {})
    assert {path: (state.mode, state.sha256) for path, state in now.items()} == {
        "in": (0o700, None),
        "in/a": (0o700, hashlib.sha256(b"in/a").hexdigest()),
        "in/sub": (0o700, None),
    }


@pytest.mark.usefixtures("later")
def test_a_file_whose_stamps_agree_is_not_read_again(read_paths: list[str]) -> None:
    make("in/a", "in/b")
    known = snapshot(Inputs(["in"]), {})
    assert read_paths == ["in/a", "in/b"]
    assert snapshot(Inputs(["in"]), known) == known
    assert read_paths == ["in/a", "in/b"]


def test_a_file_that_changed_just_now_is_read_again(read_paths: list[str]) -> None:
    make("in/a")
    known = snapshot(Inputs(["in"]), {})
    assert known["in/a"].ctime_ns == 0
    assert differences(known, snapshot(Inputs(["in"]), known)) == []
    assert read_paths == ["in/a", "in/a"]


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("stamp", ["size", "mtime_ns", "ctime_ns", "inode"])
def test_each_stamp_counts(stamp: str, read_paths: list[str]) -> None:
    make("a")
    known = snapshot(Inputs(["a"]), {})
    other = {"a": known["a"]._replace(**{stamp: getattr(known["a"], stamp) + 1})}
    assert snapshot(Inputs(["a"]), other) == known
    assert read_paths == ["a", "a"]


def changed(change: Callable[[], object], inputs: Inputs | None = None) -> list[str]:
    """Return the differences that a change makes to what was remembered of `in`."""
    inputs = inputs or Inputs(["in"])
    known = snapshot(inputs, {})
    change()
    return list(map(str, differences(known, snapshot(inputs, known))))


@pytest.mark.usefixtures("later")
class TestChanges:
    @pytest.fixture(autouse=True)
    def _tree(self, _in_directory: None) -> None:
        make("in/a", "in/sub/b", "in/empty/")
        os.chmod("in/a", 0o644)

    def test_nothing_changed(self) -> None:
        assert changed(lambda: None) == []

    def test_touching_is_no_change(self) -> None:
        assert changed(lambda: after_a_tick("in/a", lambda: os.utime("in/a"))) == []
        assert changed(lambda: os.utime("in/sub", (0, 0))) == []

    def test_rewriting_the_same_content_is_no_change(self) -> None:
        assert changed(lambda: after_a_tick("in/a", lambda: Path("in/a").write_text("in/a"))) == []

    def test_other_content_of_the_same_size_with_the_old_time_is_a_change(self) -> None:
        status = os.stat("in/a")

        def rewrite() -> None:
            Path("in/a").write_text("xxxx")
            os.utime("in/a", ns=(status.st_atime_ns, status.st_mtime_ns))

        assert changed(lambda: after_a_tick("in/a", rewrite)) == ["in/a changed"]
        assert os.stat("in/a").st_mtime_ns == status.st_mtime_ns

    def test_another_file_moved_into_place_with_the_old_time_is_a_change(self) -> None:
        status = os.stat("in/a")

        def replace() -> None:
            make("new")
            Path("new").write_text("xxxx")
            os.utime("new", ns=(status.st_atime_ns, status.st_mtime_ns))
            os.replace("new", "in/a")

        assert changed(replace) == ["in/a changed"]

    def test_an_executable_bit_is_a_change(self) -> None:
        assert changed(lambda: after_a_tick("in/a", lambda: os.chmod("in/a", 0o755))) == ["in/a changed its mode"]

    def test_a_bit_that_no_layer_shows_is_no_change(self) -> None:
        assert changed(lambda: after_a_tick("in/a", lambda: os.chmod("in/a", 0o664))) == []
        assert changed(lambda: os.chmod("in/empty", 0o700)) == []

    def test_a_bit_that_is_preserved_is_a_change(self) -> None:
        inputs = Inputs(["in"], preserve_permissions=True)
        assert changed(lambda: after_a_tick("in/a", lambda: os.chmod("in/a", 0o600)), inputs) == [
            "in/a changed its mode"
        ]
        assert changed(lambda: os.chmod("in/empty", 0o1711), inputs) == ["in/empty changed its mode"]

    def test_new_and_removed_files_are_changes(self) -> None:
        assert changed(lambda: make("in/new", "in/sub/new")) == ["in/new is new", "in/sub/new is new"]
        assert changed(lambda: os.unlink("in/new")) == ["in/new is gone"]

    def test_new_and_removed_empty_directories_are_changes(self) -> None:
        assert changed(lambda: os.mkdir("in/sub/new")) == ["in/sub/new is new"]
        assert changed(lambda: os.rmdir("in/empty")) == ["in/empty is gone"]

    def test_a_file_in_the_place_of_a_directory_is_a_change(self) -> None:
        def replace() -> None:
            os.rmdir("in/empty")
            make("in/empty")
            os.chmod("in/empty", 0o700)

        assert changed(replace) == ["in/empty changed"]

    def test_several_changes_are_told_in_order(self) -> None:
        def change() -> None:
            os.unlink("in/sub/b")
            make("in/new")
            after_a_tick("in/a", lambda: Path("in/a").write_text("other"))

        assert changed(change) == ["in/a changed", "in/new is new", "in/sub/b is gone"]

    def test_what_is_excluded_is_no_change(self) -> None:
        assert changed(lambda: make("in/.git/HEAD")) == []


@pytest.mark.usefixtures("later")
def test_files_are_remembered_by_content_alone_links_followed() -> None:
    make("a", "b")
    os.symlink("a", "link")
    known = file_snapshot(["link", "b"], {})
    assert known["link"].sha256 == hashlib.sha256(b"a").hexdigest()
    assert file_snapshot(["link", "b"], known) == known
    after_a_tick("b", lambda: os.chmod("b", stat.S_IMODE(os.stat("b").st_mode) ^ 0o100))
    assert differences(known, file_snapshot(["link", "b"], known)) == []
    os.unlink("link")
    os.symlink("b", "link")
    assert differences(known, file_snapshot(["link", "b"], known)) == [("link", "fileChanged")]


def test_a_file_that_cannot_be_read_has_no_snapshot() -> None:
    with pytest.raises(InputError, match=r"^nowhere: cannot be read: No such file or directory$"):
        file_snapshot(["nowhere"], {})
    os.mkdir("directory")
    with pytest.raises(InputError, match=r"^directory: cannot be read: Is a directory$"):
        file_snapshot(["directory"], {})
