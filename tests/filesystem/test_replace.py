from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundlepipe.errors import OutputError
from bundlepipe.filesystem.exchange import exchange
from bundlepipe.filesystem.replace import replace_directory
from tests.support.archives import contents, umask
from tests.support.publisher import fill, generation_of

ROOT = Path(__file__).parents[2]
ANY_WAY = pytest.mark.usefixtures("way_of_replacing")


@pytest.fixture(params=["by exchange", "in two steps"])
def way_of_replacing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    way: str = request.param
    if way == "in two steps":
        monkeypatch.setattr("bundlepipe.filesystem.replace.exchange", lambda *_: False)
    return way


def publish(target: Path | str, name: str = "file", content: str = "new") -> None:
    with replace_directory(str(target)) as directory:
        Path(directory, name).write_text(content)


def fail(target: Path | str, error: BaseException | None = None) -> None:
    with replace_directory(str(target)) as directory:
        Path(directory, "half").write_text("done")
        raise error or ZeroDivisionError


# What is there afterwards


@ANY_WAY
def test_an_absent_target_appears_with_its_parents(tmp_path: Path) -> None:
    publish(tmp_path / "a/b/target")
    assert contents(tmp_path) == {"a": None, "a/b": None, "a/b/target": None, "a/b/target/file": b"new"}


@ANY_WAY
@pytest.mark.parametrize("spelling", ["target", "./target", "target/", "target///", "below/../target"])
def test_the_content_of_a_target_is_replaced_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "target/old").mkdir(parents=True)
    (tmp_path / "target/old/file").touch()
    (tmp_path / "below").mkdir()
    publish(spelling)
    assert contents(tmp_path) == {"below": None, "target": None, "target/file": b"new"}


@ANY_WAY
def test_an_empty_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    publish(tmp_path / "target")
    assert contents(tmp_path) == {"target": None, "target/file": b"new"}


@ANY_WAY
def test_a_target_may_become_empty(tmp_path: Path) -> None:
    publish(tmp_path / "target")
    with replace_directory(str(tmp_path / "target")):
        pass
    assert contents(tmp_path) == {"target": None}


@ANY_WAY
@pytest.mark.parametrize("name", [".hidden", "ünï", "n" * 255, "ü" * 127, "a b", "-rf", "[a-z]*", os.fsdecode(b"\xff")])
def test_a_target_may_have_any_name(tmp_path: Path, name: str) -> None:
    for content in ("one", "two"):
        publish(tmp_path / name, content=content)
        assert contents(tmp_path) == {name: None, f"{name}/file": content.encode()}


def test_the_target_has_the_default_mode(tmp_path: Path) -> None:
    for mask in (0o022, 0o077):
        with umask(mask):
            publish(tmp_path / "target")
        assert (tmp_path / "target").stat().st_mode & 0o777 == 0o777 & ~mask


def test_the_new_directory_is_empty_and_beside_the_target(tmp_path: Path) -> None:
    publish(tmp_path / "target")
    with replace_directory(str(tmp_path / "target")) as directory:
        assert os.listdir(directory) == []
        assert Path(directory).parent == tmp_path
        assert Path(directory).name.startswith(".target.")
        assert contents(tmp_path / "target") == {"file": b"new"}


@ANY_WAY
def test_links_among_the_parents_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    publish(tmp_path / "link/target")
    publish(tmp_path / "link/../real/target", content="again")
    assert contents(tmp_path / "real") == {"target": None, "target/file": b"again"}


# Errors


@ANY_WAY
@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt(), SystemExit(1), OutputError("full")])
def test_after_an_error_the_target_is_as_before(tmp_path: Path, error: BaseException) -> None:
    for before in ({}, {"target": None, "target/file": b"new"}):
        with pytest.raises(type(error)) as raised:
            fail(tmp_path / "target", error)
        assert raised.value is error
        assert contents(tmp_path) == before
        publish(tmp_path / "target")


@pytest.mark.parametrize("target", ["", "/", ".", "..", "a/..", "a/.", "///", "nul\0"])
def test_what_names_no_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="expected the name of a directory"):
        publish(target)
    assert contents(tmp_path) == {"a": None}


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    with pytest.raises(OutputError) as raised:
        publish(tmp_path / "target")
    assert str(raised.value) == f"{tmp_path}/target: cannot be replaced: it is not a directory"
    assert contents(tmp_path) == {"target": b"mine"}


@pytest.mark.parametrize("destination", ["real", "nowhere"])
def test_a_symbolic_link_is_not_replaced(tmp_path: Path, destination: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "target").symlink_to(destination)
    for spelling in ("target", "target/"):
        with pytest.raises(OutputError, match=r"target/?: cannot be replaced: it is a symbolic link"):
            publish(f"{tmp_path}/{spelling}")
    assert sorted(os.listdir(tmp_path)) == ["real", "target"]
    assert os.listdir(tmp_path / "real") == []


@ANY_WAY
@pytest.mark.parametrize("what", ["file", "link"])
def test_what_becomes_something_else_meanwhile_is_not_replaced(tmp_path: Path, what: str) -> None:
    def interfere() -> None:
        with replace_directory(f"{tmp_path}/target"):
            if what == "link":
                (tmp_path / "target").symlink_to(tmp_path)
            else:
                (tmp_path / "target").write_text("mine")

    with pytest.raises(OutputError, match="cannot be replaced: Not a directory"):
        interfere()
    assert os.listdir(tmp_path) == ["target"]


def test_a_mount_point_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path / "target")
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(tmp_path / "target"))
    with pytest.raises(OutputError, match="target: cannot be replaced: it is a mount point"):
        publish(tmp_path / "target", content="never")
    assert contents(tmp_path) == {"target": None, "target/file": b"new"}


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EBUSY, "it is a mount point"),
        (errno.EXDEV, "it comes from a lower layer of an overlay file system"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_refusal_of_the_file_system_leaves_the_target_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    publish(tmp_path / "target")

    def refuse(*_: bytes) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("bundlepipe.filesystem.replace.exchange", refuse)
    with pytest.raises(OutputError, match=f"target: cannot be replaced: {reason}"):
        publish(tmp_path / "target", content="never")
    assert contents(tmp_path) == {"target": None, "target/file": b"new"}


@pytest.mark.parametrize("target", ["file/target", "file/a/b/target"])
def test_a_parent_that_is_a_file_is_named(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError) as raised:
        publish(tmp_path / target)
    assert str(raised.value) == f"{tmp_path}/{target}: cannot be created: {tmp_path}/file is not a directory"
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("way", ["raise", "interrupt"])
def test_two_steps_that_fail_between_put_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    publish(tmp_path / "target")
    monkeypatch.setattr("bundlepipe.filesystem.replace.exchange", lambda *_: False)
    real = os.rename
    error = KeyboardInterrupt() if way == "interrupt" else OSError(errno.EIO, "Input/output error")

    def rename(source: str, destination: str) -> None:
        if source.endswith(".incoming") and not (tmp_path / "target").exists():
            raise error
        real(source, destination)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(KeyboardInterrupt if way == "interrupt" else OutputError):
        publish(tmp_path / "target", content="never")
    assert contents(tmp_path) == {"target": None, "target/file": b"new"}


def test_what_cannot_be_removed_is_named_once_the_target_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path / "target")

    def refuse(directory: bytes) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", directory)

    monkeypatch.setattr("bundlepipe.filesystem.replace.remove_tree", refuse)
    with pytest.raises(OutputError) as raised:
        publish(tmp_path / "target", content="newer")
    (leftover,) = tmp_path.glob(".target.*")
    assert str(raised.value) == (
        f"{tmp_path}/target: the remains in {leftover} cannot be removed: Permission denied; remove them by hand"
    )
    assert contents(tmp_path / "target") == {"file": b"newer"}


# What killed runs leave


INCOMING = ".target.01234567.incoming"
PREVIOUS = ".target.89abcdef.previous"
OTHERS = [
    ".target.0123456.incoming",
    ".target.0123456g.incoming",
    ".target2.01234567.incoming",
    "target.01234567.previous",
]


def leave(directory: Path) -> None:
    (directory / "below").mkdir(parents=True)
    (directory / "below/file").write_text("left")


@ANY_WAY
def test_leftovers_of_killed_runs_are_removed_before_anything_else(tmp_path: Path) -> None:
    publish(tmp_path / "target")
    leave(tmp_path / INCOMING)
    leave(tmp_path / PREVIOUS)
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "target")
    assert contents(tmp_path) == {"target": None, "target/file": b"new"}


def test_what_others_have_there_is_left_alone(tmp_path: Path) -> None:
    for name in OTHERS:
        (tmp_path / name).mkdir()
    (tmp_path / INCOMING).write_text("a file")
    publish(tmp_path / "target")
    assert sorted(os.listdir(tmp_path)) == sorted([*OTHERS, INCOMING, "target"])


def test_a_link_with_the_name_of_a_leftover_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    (tmp_path / INCOMING).symlink_to("mine")
    publish(tmp_path / "target")
    assert os.listdir(tmp_path / "mine") == ["file"]


def test_the_old_target_comes_back_where_a_run_was_killed_between_two_steps(tmp_path: Path) -> None:
    leave(tmp_path / PREVIOUS)
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "target")
    assert contents(tmp_path) == {"target": None, "target/below": None, "target/below/file": b"left"}


def test_a_directory_in_use_is_no_leftover(tmp_path: Path) -> None:
    with replace_directory(str(tmp_path / "target")) as directory:
        Path(directory, "file").write_text("first")
        publish(tmp_path / "target", content="second")
        assert contents(Path(directory)) == {"file": b"first"}
        assert contents(tmp_path / "target") == {"file": b"second"}
    assert contents(tmp_path) == {"target": None, "target/file": b"first"}


def test_without_locks_nothing_is_taken_for_a_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    leave(tmp_path / INCOMING)
    publish(tmp_path / "target")
    assert sorted(os.listdir(tmp_path)) == [INCOMING, "target"]
    assert contents(tmp_path / "target") == {"file": b"new"}


def test_a_new_directory_that_is_taken_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir
    made: list[str] = []

    def mkdir(path: str, *rest: int) -> None:
        real(path, *rest)
        made.append(path)
        if len(made) == 1:
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", mkdir)
    publish(tmp_path / "target")
    assert len(made) == 2
    assert contents(tmp_path) == {"target": None, "target/file": b"new"}


def run_publisher(target: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.publisher", str(target), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_kill_at_any_step_leaves_old_or_new(tmp_path: Path) -> None:
    with run_publisher(tmp_path / "target", "--kill-at-every-step") as process:
        assert process.stdout
        outcomes = [line.split() for line in process.stdout]
    assert process.returncode == 0
    assert len(outcomes) > 10
    assert {left for step, left, _ in outcomes if left not in (step, f"-{step}")} == set()
    assert [later for _, _, later in outcomes] == [left for _, left, _ in outcomes]
    assert {left.startswith("-") for _, left, _ in outcomes} == {True, False}
    assert os.listdir(tmp_path) == ["target"]


def test_a_kill_between_two_steps_leaves_what_the_next_run_puts_back(tmp_path: Path) -> None:
    with run_publisher(tmp_path / "target", "--kill-at-every-step", "--two-steps") as process:
        assert process.stdout
        outcomes = [line.split() for line in process.stdout]
    assert process.returncode == 0
    absent = [(step, later) for step, left, later in outcomes if left == "None"]
    assert absent == [(step, f"-{step}") for step, _ in absent]
    assert len(absent) == 1
    assert {later for step, _, later in outcomes if later not in (step, f"-{step}")} == set()
    assert os.listdir(tmp_path) == ["target"]


@pytest.mark.parametrize("two_steps", [False, True])
def test_kills_at_random_times_leave_old_or_new(tmp_path: Path, two_steps: bool) -> None:
    target = tmp_path / "target"
    chance = random.Random(7)
    last = 0
    for _ in range(10):
        arguments = ["--start", str(last + 1), *(["--two-steps"] if two_steps else [])]
        with run_publisher(target, *arguments) as process:
            assert process.stdout
            seen = int(process.stdout.readline())
            time.sleep(chance.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
            seen = max([seen, *map(int, process.stdout.read().split())])
        found = generation_of(target)
        if found is None:
            assert two_steps
            with pytest.raises(ZeroDivisionError):
                fail(target)
            found = generation_of(target)
        assert found in (seen, seen + 1)
        last = seen + 1
    publish(target)
    assert contents(tmp_path) == {"target": None, "target/file": b"new"}


# Several at once


@ANY_WAY
def test_threads_may_publish_to_one_target_at_once(tmp_path: Path) -> None:
    def several(start: int) -> None:
        for generation in range(start, start + 20):
            with replace_directory(str(tmp_path / "target")) as directory:
                fill(directory, generation)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(several, [0, 100, 200, 300]))
    assert generation_of(tmp_path / "target") in {100 * number + 19 for number in range(4)}
    publish(tmp_path / "target")
    assert contents(tmp_path) == {"target": None, "target/file": b"new"}


@pytest.mark.parametrize("two_steps", [False, True])
def test_processes_may_publish_to_one_target_at_once(tmp_path: Path, two_steps: bool) -> None:
    target = tmp_path / "target"
    publish(target)
    arguments = ["--count", "40", *(["--two-steps"] if two_steps else [])]
    processes = [run_publisher(target, "--start", str(number * 100), *arguments) for number in range(3)]
    absent = 0
    while any(process.poll() is None for process in processes):
        absent += not target.is_dir()
    for process in processes:
        with process:
            assert process.wait() == 0
    if not two_steps:
        assert absent == 0
    assert generation_of(target) in {100 * number + 39 for number in range(3)}
    publish(target)
    assert contents(tmp_path) == {"target": None, "target/file": b"new"}


# The exchange itself


def test_directories_trade_places(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"was {name}").touch()
    assert exchange(os.fsencode(tmp_path / "one"), os.fsencode(tmp_path / "other"))
    assert contents(tmp_path) == {"one": None, "one/was other": b"", "other": None, "other/was one": b""}


@pytest.mark.parametrize("absent", ["one", "other"])
def test_an_exchange_with_nothing_is_an_error(tmp_path: Path, absent: str) -> None:
    for name in {"one", "other"} - {absent}:
        (tmp_path / name).mkdir()
    with pytest.raises(FileNotFoundError):
        exchange(os.fsencode(tmp_path / "one"), os.fsencode(tmp_path / "other"))
