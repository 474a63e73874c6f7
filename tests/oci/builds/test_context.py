"""What a build gets to see: its identity, its state, and the archive that goes to the Engine."""

from __future__ import annotations

import io
import os
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from bundlepipe.errors import InputError
from bundlepipe.filesystem.snapshots import Snapshot, differences
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.oci.builds.context_archive import write_context
from bundlepipe.oci.digest import Digest


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    (directory / "app/empty").mkdir(parents=True)
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (directory / "app/run.sh").write_text("#!/bin/sh\n")
    (directory / "app/run.sh").chmod(0o755)
    (directory / "link").symlink_to("nowhere")
    return directory


def digest(directory: Path, dockerfile: str | None = None) -> Digest:
    files = BuildContext(str(directory), dockerfile).walk()
    return files.digest(files.snapshot({}))


def archived(directory: Path, dockerfile: str | None = None) -> tuple[str, dict[str, tarfile.TarInfo], bytes]:
    archive = io.BytesIO()
    name = write_context(BuildContext(str(directory), dockerfile).walk(), archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        members = {member.name: member for member in tar}
    return name, members, archive.getvalue()


def content(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile(name)
        assert file
        return file.read()


def test_the_digest_is_the_same_wherever_and_whenever_the_files_are(directory: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(directory, copy, symlinks=True)
    os.utime(copy / "app/run.sh", (0, 0))

    assert digest(copy) == digest(directory)


@pytest.mark.parametrize(
    "change",
    [
        lambda directory: (directory / "app/run.sh").write_text("exit 1\n"),
        lambda directory: (directory / "app/run.sh").chmod(0o644),
        lambda directory: (directory / "app/run.sh").rename(directory / "app/stop.sh"),
        lambda directory: (directory / "app/empty").rmdir(),
        lambda directory: (directory / "app").chmod(0o700),
        lambda directory: (directory / "Dockerfile").write_text("FROM scratch\n"),
        lambda directory: ((directory / "link").unlink(), (directory / "link").symlink_to("elsewhere")),
        lambda directory: ((directory / "link").unlink(), (directory / "link").write_text("nowhere")),
        lambda directory: (directory / ".dockerignore").write_text("link"),
    ],
)
def test_whatever_a_build_could_copy_changes_digest_and_snapshot(directory: Path, change: object) -> None:
    assert callable(change)
    before, snapshot = digest(directory), BuildContext(str(directory)).snapshot({})

    change(directory)

    assert digest(directory) != before
    assert differences(snapshot, BuildContext(str(directory)).snapshot(snapshot))


def test_what_is_left_out_changes_nothing(directory: Path) -> None:
    (directory / ".dockerignore").write_text(".dockerignore\nDockerfile\nnotes\n")
    before = digest(directory)

    (directory / ".dockerignore").write_text("# What no image needs.\n*ignore\nDockerfile\nnotes\n")
    (directory / "notes").write_text("to do")

    assert digest(directory) == before


def test_a_dockerfile_that_is_left_out_counts_all_the_same(directory: Path) -> None:
    (directory / ".dockerignore").write_text("Dockerfile\n")
    before, snapshot = digest(directory), BuildContext(str(directory)).snapshot({})

    (directory / "Dockerfile").write_text("FROM scratch\n")

    assert digest(directory) != before
    changed = differences(snapshot, BuildContext(str(directory)).snapshot(snapshot))
    assert changed == [(f"{directory}/Dockerfile", "fileChanged")]


def test_a_dockerfile_that_can_be_copied_is_another_input_than_one_that_cannot(directory: Path) -> None:
    (directory / ".dockerignore").write_text(".dockerignore\nDockerfile\n")
    hidden, snapshot = digest(directory), BuildContext(str(directory)).snapshot({})

    (directory / ".dockerignore").write_text(".dockerignore\n")

    assert digest(directory) != hidden
    assert differences(snapshot, BuildContext(str(directory)).snapshot(snapshot))


def test_known_files_are_not_read_again(directory: Path) -> None:
    context = BuildContext(str(directory))
    known: Snapshot = {
        path: state._replace(ctime_ns=os.lstat(path).st_ctime_ns, sha256="known") if state.inode else state
        for path, state in context.snapshot({}).items()
    }

    assert context.snapshot(known) == known


def test_the_dockerfile_may_be_spelled_small(directory: Path) -> None:
    before = digest(directory)
    (directory / "Dockerfile").rename(directory / "dockerfile")

    assert archived(directory)[0] == "dockerfile"
    assert digest(directory) != before


@pytest.mark.parametrize(
    ("dockerfile", "missing"), [(None, "Dockerfile"), ("Containerfile", "Containerfile"), ("../x", "../x")]
)
def test_a_missing_dockerfile_is_named_with_its_path(directory: Path, dockerfile: str | None, missing: str) -> None:
    (directory / "Dockerfile").unlink()

    with pytest.raises(InputError, match="no such Dockerfile") as refusal:
        BuildContext(str(directory), dockerfile).walk()

    assert str(refusal.value).startswith(f"{os.path.normpath(directory / missing)}: ")


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}/gone: no such directory to build in$"):
        BuildContext(str(tmp_path / "gone")).walk()


def test_a_pipe_is_refused_and_a_socket_passed_over(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        BuildContext(str(directory)).walk()

    os.mkfifo(directory / "pipe")
    with pytest.raises(InputError, match=r"pipe: is neither file, directory nor link.*\.dockerignore"):
        BuildContext(str(directory)).walk()


def test_the_archive_says_nothing_of_owner_and_time(directory: Path, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path / "elsewhere", symlinks=True)

    name, members, archive = archived(directory)

    assert archived(tmp_path / "elsewhere")[2] == archive
    assert name == "Dockerfile"
    assert list(members) == ["Dockerfile", "app", "app/empty", "app/run.sh", "link"]
    assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, 0)}
    assert members["app/run.sh"].mode == 0o755
    assert members["link"].linkname == "nowhere"


def test_names_of_any_length_and_encoding_are_archived(directory: Path) -> None:
    odd = os.fsdecode(b"\xff-") + "é" * 100
    (directory / odd).write_text("odd")

    assert odd in archived(directory)[1]


def test_a_directory_that_is_left_out_comes_along_for_what_is_brought_back(directory: Path) -> None:
    (directory / ".dockerignore").write_text("*\n!app/run.sh\n")

    assert set(archived(directory)[1]) == {"app", "app/run.sh", "Dockerfile", ".dockerignore"}


def test_a_dockerfile_elsewhere_is_sent_with_what_hides_it(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("FROM scratch\n")

    name, members, archive = archived(directory, "../Containerfile")

    assert content(archive, name) == b"FROM scratch\n"
    assert content(archive, ".dockerignore").split() == [b".dockerignore", name.encode()]
    assert name not in BuildContext(str(directory)).walk().by_name
    assert "Dockerfile" in members


def test_a_dockerfile_may_be_a_link(directory: Path) -> None:
    (directory / "app/Containerfile").write_text("FROM scratch\n")
    (directory / "Dockerfile").unlink()
    (directory / "Dockerfile").symlink_to("app/Containerfile")

    assert archived(directory)[0] == "app/Containerfile"


def test_the_ignore_file_of_a_dockerfile_goes_before_that_of_the_directory(directory: Path) -> None:
    (directory / ".dockerignore").write_text("app\n")
    (directory / "Dockerfile.dockerignore").write_text("link\n**/Dockerfile*\n")

    name, members, _ = archived(directory)

    assert set(members) == {"app", "app/empty", "app/run.sh", ".dockerignore", name}
    assert name.startswith(".dockerfile.")


def test_a_file_that_changes_before_it_is_sent_is_told(directory: Path) -> None:
    files = BuildContext(str(directory)).walk()
    (directory / "app/run.sh").write_text("changed")

    with pytest.raises(InputError, match=r"run\.sh: changed while it was read; run again"):
        write_context(files, io.BytesIO())
