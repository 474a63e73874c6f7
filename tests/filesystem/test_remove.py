from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundlepipe.filesystem.remove import remove_tree

ROOT = Path(__file__).parents[2]


def remove(path: Path) -> None:
    remove_tree(os.fsencode(path))


def fill(directory: Path, width: int = 4, depth: int = 3) -> None:
    directory.mkdir()
    for number in range(width):
        (directory / f"file {number}").write_text("content")
        if depth:
            fill(directory / str(number), width, depth - 1)


def test_a_directory_goes_with_all_below_it(tmp_path: Path) -> None:
    fill(tmp_path / "d")
    (tmp_path / "beside").touch()
    os.mkfifo(tmp_path / "d/fifo")
    (tmp_path / "d" / os.fsdecode(b"\xff")).touch()
    remove(tmp_path / "d")
    assert os.listdir(tmp_path) == ["beside"]


def test_what_is_absent_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path / "absent")
    remove(tmp_path / "absent/below")


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "outside", 2, 1)
    kept = sorted(os.walk(tmp_path / "outside"))
    (tmp_path / "d").mkdir()
    (tmp_path / "d/link").symlink_to(tmp_path / "outside")
    (tmp_path / "d/dangling").symlink_to("nowhere")
    remove(tmp_path / "d")
    assert sorted(os.walk(tmp_path / "outside")) == kept
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(NotADirectoryError):
        remove(tmp_path / "link")
    assert sorted(os.walk(tmp_path / "outside")) == kept


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        remove(tmp_path / "file")
    assert (tmp_path / "file").exists()


def test_a_path_relative_to_the_current_directory_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("d"), 1, 1)
    remove(Path("d"))
    assert os.listdir(tmp_path) == []


def test_depth_is_no_limit(tmp_path: Path) -> None:
    # Deeper than the limit of recursion and of open files.
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    remove(tmp_path / "d")
    assert os.listdir(tmp_path) == []


READ_ONLY = """
import ctypes, os, struct, sys
from bundlepipe.filesystem.remove import remove_tree
if os.getuid() == 0 and sys.platform == "linux":
    # Root may do all, so it gives its capabilities up: capset(2), version 3, none in any set.
    assert ctypes.CDLL(None).capset(struct.pack("II", 0x20080522, 0), bytes(24)) == 0
base = sys.argv[1]
for mode in (0o000, 0o100, 0o400, 0o500, 0o555):
    os.makedirs(f"{base}/d/{mode:o}/below")
    open(f"{base}/d/{mode:o}/file", "w").close()
    os.chmod(f"{base}/d/{mode:o}/below", mode)
    os.chmod(f"{base}/d/{mode:o}", mode)
os.chmod(f"{base}/d", 0o500)
remove_tree(os.fsencode(f"{base}/d"))
print(os.listdir(base))
"""


def test_directories_without_permission_are_removed_by_their_owner(tmp_path: Path) -> None:
    command = [sys.executable, "-c", READ_ONLY, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_what_is_mounted_below_is_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "d", 1, 1)
    real, inode = os.fstat, (tmp_path / "d/0").stat().st_ino

    def fstat(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        return os.stat_result((*status[:2], status.st_dev + 1, *status[3:])) if status.st_ino == inode else status

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(OSError, match="'0' is a mount point") as raised:
        remove(tmp_path / "d")
    assert raised.value.errno == errno.EBUSY
    assert (tmp_path / "d/0/file 0").exists()


def test_a_directory_that_is_moved_meanwhile_stops_the_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "d", 1, 2)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/0").mkdir()
    real = os.scandir

    def scandir(descriptor: int) -> object:
        if (tmp_path / "d/0/0").exists() and os.fstat(descriptor).st_ino == (tmp_path / "d/0/0").stat().st_ino:
            shutil.move(tmp_path / "d/0/0", tmp_path / "elsewhere/moved")
        return real(descriptor)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OSError, match="moved while it was removed"):
        remove(tmp_path / "d")
    assert (tmp_path / "elsewhere/0").exists()


def test_many_may_remove_one_directory_at_once(tmp_path: Path) -> None:
    for number in range(10):
        fill(tmp_path / str(number), 4, 2)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(remove, [tmp_path / str(number)] * 4))
    assert os.listdir(tmp_path) == []
