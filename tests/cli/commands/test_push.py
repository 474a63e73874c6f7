from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.oci.labels import labels_of
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import read_whole
from tests.support.command import LINUX, Command
from tests.support.files import write_bundle
from tests.support.services import Registry

TOOLS = pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])


def labels(reference: str) -> dict[str, str]:
    parsed = Reference.parse(reference)
    store = Stores().repository(parsed.repository)
    return dict(labels_of(read_whole(store, store.read_manifest(parsed.identifier).config, 1 << 20), reference))


@pytest.fixture
def bundle(command: Command) -> Path:
    return write_bundle(command.directory / "config", {"config.yml": "kind: Deployment\n"})


@TOOLS
def test_push_is_silent_and_narrates_on_request(command: Command, registry: Registry, bundle: Path, tool: str) -> None:
    repository = registry.repository()
    command.silently(tool, "push", "-b", f"{repository}:1.0", "-f", "config")
    narrated = command(tool, "push", "--bundle", f"{repository}:1.0", "--file", "config", "--tty").output
    pushed = command(tool, "tag", "resolve", "-i", f"{repository}:1.0").output
    assert narrated == (
        f"dir: .\ndir: .imgpkg\nfile: .imgpkg/images.yml\nfile: config.yml\nPushed '{pushed}'\nSucceeded\n"
    )


def test_json_has_the_lines(command: Command, registry: Registry, bundle: Path) -> None:
    document = json.loads(command("imgpkg", "push", "-b", f"{registry.repository()}", "-f", "config", "--json").output)
    assert document["Tables"] is document["Blocks"] is None
    assert document["Lines"][0] == "dir: .\n"
    assert document["Lines"][-1] == "Succeeded"
    assert document["Lines"][-2].startswith("Pushed '")


@TOOLS
def test_plain_image_with_labels(command: Command, registry: Registry, tool: str) -> None:
    repository = registry.repository()
    (command.directory / "a,b.txt").write_text("a")
    (command.directory / "c.txt").write_text("c")
    (command.directory / "d.txt").write_text("d")
    command.silently(
        *(tool, "push", "--image", f"{repository}", "-f", "a,b.txt", "-f", "c.txt,d.txt"),
        *("-l", "team=web,shop", "--labels", "a=1,b=2"),
    )
    assert labels(f"{repository}") == {"team": "web,shop", "a": "1", "b": "2"}
    command.silently(tool, "pull", "-i", f"{repository}", "-o", "out")
    assert sorted(path.name for path in (command.directory / "out").iterdir()) == ["a,b.txt", "c.txt", "d.txt"]


def test_file_exclusion_replaces_the_default(command: Command, registry: Registry) -> None:
    for name in (".git/HEAD", "keep.txt", "secret.txt", "sub/also.txt"):
        path = command.directory / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    repository = registry.repository()
    told = command("imgpkg", "push", "-i", f"{repository}", "-f", "site", "--tty").output
    assert ".git" not in told
    told = command(
        *("imgpkg", "push", "-i", f"{repository}", "-f", "site", "--tty"),
        *("--file-exclusion", "secret.txt", "--file-exclusion=sub/also.txt"),
    ).output
    assert "file: .git/HEAD\n" in told
    assert "secret" not in told and "also" not in told


def test_patterns_and_an_ignore_file_are_bundlepipes_alone(command: Command, registry: Registry) -> None:
    for name in ("a.md", "docs/b.md", "keep.txt", "[x]", "x"):
        path = command.directory / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (command.directory / "site/.imgpkgignore").write_text("# what readers need not have\ndocs\n")
    repository = registry.repository()

    def pushed(tool: str) -> set[str]:
        exclusion = ("--file-exclusion", "*.md", "--file-exclusion", "[x]")
        command.silently(tool, "push", "-i", f"{repository}", "-f", "site", *exclusion)
        command.silently("imgpkg", "pull", "-i", f"{repository}", "-o", "out")
        return {str(path.relative_to(command.directory / "out")) for path in (command.directory / "out").rglob("*.*")}

    assert pushed("bundlepipe") == {"keep.txt"}
    assert not (command.directory / "out/[x]").exists(), "what has the name of a pattern is meant by it"
    assert (command.directory / "out/x").exists()
    assert pushed("imgpkg") == {".imgpkgignore", "a.md", "docs/b.md", "keep.txt"}
    assert (command.directory / "out/x").exists()


def test_preserve_permissions(command: Command, registry: Registry) -> None:
    file = command.directory / "run.sh"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o754)
    repository = registry.repository()
    command.silently("imgpkg", "push", "-i", f"{repository}", "-f", "run.sh", "--preserve-permissions")
    command.silently("imgpkg", "pull", "-i", f"{repository}", "-o", "out")
    assert (command.directory / "out/run.sh").stat().st_mode & 0o777 == 0o754


@TOOLS
def test_lock_output(command: Command, registry: Registry, bundle: Path, tool: str) -> None:
    repository = registry.repository()
    if tool == "imgpkg":
        failed = command(tool, "push", "-b", f"{repository}:2", "-f", "config", "--lock-output", "made/lock.yml").failed
        assert failed == "imgpkg: Error: Writing bundle config: open made/lock.yml: no such file or directory\n"
        (command.directory / "made").mkdir()
    command.silently(tool, "push", "-b", f"{repository}:2", "-f", "config", "--lock-output", "made/lock.yml")
    mode = (command.directory / "made/lock.yml").stat().st_mode & 0o777
    assert mode == 0o600 if tool == "imgpkg" else mode & 0o600 == 0o600
    lock = BundleLock.parse((command.directory / "made/lock.yml").read_bytes(), "lock.yml")
    assert lock.tag == "2"
    assert str(lock.image) == command(tool, "tag", "resolve", "-i", f"{repository}:2").output
    printed = command(tool, "push", "-b", f"{repository}:2", "-f", "config", "--lock-output", "-").output
    assert printed.encode() == (command.directory / "made/lock.yml").read_bytes()


@TOOLS
def test_refusals(command: Command, bundle: Path, tool: str) -> None:
    def error(*arguments: str) -> str:
        text = command(tool, "push", *arguments).failed
        assert text.count("\n") == 1
        return text.removeprefix(f"{tool}: Error: ")

    assert error("-f", "config") == "Expected either image or bundle\n"
    both, nothing, gone = {
        "bundlepipe": (
            "Expected either image or bundle\n",
            "Expected at least one file or directory: give it with --file (-f)\n",
            "gone: cannot be read: No such file or directory\n",
        ),
        "imgpkg": (
            "Expected only one of image or bundle\n",
            "This directory is not a bundle. It is missing .imgpkg/images.yml\n",
            "lstat gone: no such file or directory\n",
        ),
    }[tool]
    assert error("-b", "a/b", "-i", "a/b", "-f", "config") == both
    assert error("-b", "localhost:1/a/b") == nothing
    assert error("-i", "localhost:1/a/b", "-f", "config") == (
        "Images cannot be pushed with '.imgpkg' directories, consider using --bundle (-b) option\n"
    )
    (command.directory / "plain").mkdir()
    assert "This directory is not a bundle. It is missing .imgpkg/images.yml" in error("-b", "a/b", "-f", "plain")
    assert error("-i", "a/b", "-f", "plain", "--lock-output", "x").startswith(
        "Lock output is not compatible with image"
    )
    assert error("-i", "a/b", "-f", "gone") == gone
    assert (
        error("-i", "a/b", "-f", "plain", "-l", "no")
        == (
            {
                "bundlepipe": "'no' is not a label: expected KEY=VALUE, in UTF-8\n",
                "imgpkg": 'invalid argument "no" for "-l, --labels" flag: no must be formatted as key=value\n',
            }[tool]
        )
    )
    local = {"bundlepipe": "'docker-daemon:x:1': push is for registries", "imgpkg": "Parsing 'docker-daemon:x:1':"}[
        tool
    ]
    assert error("-i", "docker-daemon:x:1", "-f", "plain").startswith(local)
    assert "in UTF-8" in error("-i", "a/b", "-f", "plain", "-l", "a=\udcff")
    assert "reserved and cannot be overriden. Please use a different key" in error(
        "-b", "a/b", "-f", "config", "-l", "dev.carvel.imgpkg.bundle=x"
    )
    digest = {"bundlepipe": "cannot be a digest", "imgpkg": "repository can only contain the characters"}
    assert digest[tool] in error("-b", f"a/b@sha256:{'0' * 64}", "-f", "config")
    lower = {"bundlepipe": "lower case", "imgpkg": "repository can only contain the characters"}
    assert lower[tool] in error("-b", "x/A/b:1", "-f", "config")
    number = {"bundlepipe": "Invalid value for", "imgpkg": 'invalid argument "x" for "--registry-retry-count" flag'}
    assert error("-b", "a/b", "-f", "config", "--registry-retry-count", "x").startswith(number[tool])
    assert error("--file").startswith("flag needs an argument: --file")


def test_link_among_the_inputs(command: Command, bundle: Path) -> None:
    (bundle / "link").symlink_to("config.yml")
    assert command("imgpkg", "push", "-b", "localhost:1/a/b", "-f", "config").failed == (
        "imgpkg: Error: Adding file 'config' to tar:\n  Expected file 'config/link' to be a regular file\n"
    )
    assert command("bundlepipe", "push", "-b", "localhost:1/b", "-f", "config").failed == (
        "bundlepipe: Error: Expected file 'config/link' to be a regular file: it is a symbolic link to 'config.yml': "
        "put a file or directory there, or take it out of the input\n"
    )


def test_output_that_nobody_reads_is_no_fault_to_tell(command: Command, registry: Registry, bundle: Path) -> None:
    line = f"imgpkg push -b {registry.repository()} -f config --tty | true"
    done = subprocess.run(
        ["sh", "-c", line], cwd=command.directory, env=command.environment(), capture_output=True, check=False
    )
    assert done.stderr == b""


def test_an_exception_brings_back_what_a_name_leaves_out(command: Command, registry: Registry) -> None:
    site = command.directory / "site"
    for name in ("build/keep", "build/other", "pages/[id]", "pages/i"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("x")
    # What has that name is meant, not what it matches as a pattern.
    exclusions = ("--file-exclusion=build", "--file-exclusion=!build/keep", "--file-exclusion=pages/[id]")
    told = command("bundlepipe", "push", "-i", f"{registry.repository()}", "-f", "site", *exclusions, "--tty").output
    assert [line for line in told.splitlines() if line.startswith("file")] == ["file: build/keep", "file: pages/i"]


@pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])
def test_a_label_with_a_line_break_is_refused(command: Command, bundle: Path, tool: str) -> None:
    failed = command(tool, "push", "-b", "localhost:1/a/b", "-f", "config", "-l", "a=b\nc=d=e").failed
    assert "is more than a line: expected values divided by commas" in failed


@LINUX
def test_json_of_a_name_that_is_not_utf8(command: Command, registry: Registry) -> None:
    (command.directory / "a\udcffb").write_text("a")
    document = command("imgpkg", "push", "-i", f"{registry.repository()}", "-f", "a\udcffb", "--json").output
    assert json.loads(document)["Lines"][0] == "file: a\ufffdb\n"


@LINUX
def test_lock_goes_into_a_stream(command: Command, registry: Registry, bundle: Path) -> None:
    for stream in ("/dev/stdout", "/proc/self/fd/1"):
        printed = command("imgpkg", "push", "-b", f"{registry.repository()}", "-f", "config", "--lock-output", stream)
        assert "kind: BundleLock" in printed.output


def test_a_directory_for_temporary_files_without_room_is_named(command: Command, bundle: Path, tmp_path: Path) -> None:
    (bundle / "large").write_bytes(os.urandom(2_000_000))  # more than is kept in memory
    room = tmp_path / "room"
    room.mkdir()
    # A limit for the sizes of files stands for a full disk, which takes root to make. What `coverage` saves is larger.
    line = "unset COVERAGE_PROCESS_CONFIG; ulimit -f 200; exec bundlepipe push -b layout.localhost/b:1 -f config"
    done = subprocess.run(
        ["sh", "-c", line],
        check=False,
        cwd=command.directory,
        env=command.environment({"TMPDIR": str(room)}),
        capture_output=True,
        text=True,
    )
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    told = re.fullmatch(
        rf"bundlepipe: Error: {room}: the layer \(up to (\d+) bytes\) cannot be kept there: File too large: make room, "
        r"or name another directory with TMPDIR\n",
        done.stderr,
    )
    assert told, done.stderr
    assert int(told[1]) >= size
    assert list(room.iterdir()) == []


def test_the_null_device_is_an_empty_file_to_imgpkg(command: Command, registry: Registry) -> None:
    image = f"{registry.host}/null"
    refused = command("bundlepipe", "push", "-i", image, "-f", os.devnull).failed
    assert "Expected file '/dev/null' to be a regular file" in refused
    command.silently("imgpkg", "push", "-i", image, "-f", os.devnull)
    command.silently("imgpkg", "pull", "-i", image, "-o", "out")
    assert (command.directory / "out/null").read_bytes() == b""


def test_imgpkg_looks_at_what_is_left_out_as_well(command: Command, registry: Registry) -> None:
    for name in ("a", "b"):
        (command.directory / name / ".git").mkdir(parents=True)
        (command.directory / name / ".git/config").write_text("x")
    arguments = ("push", "-i", f"{registry.host}/two", "-f", "./a", "-f", "./b")
    command.silently("bundlepipe", *arguments)
    assert command("imgpkg", *arguments).failed == (
        "imgpkg: Error: Found duplicate paths: a/.git, b/.git, a/.git/config, b/.git/config\n"
    )


def test_imgpkg_leaves_out_all_directories_on_request(command: Command, registry: Registry, bundle: Path) -> None:
    (command.directory / "plain").mkdir()
    (command.directory / "plain/x").write_text("x")
    image = f"{registry.host}/none"
    command.silently("imgpkg", "push", "-i", image, "-f", "plain", "--file-exclusion", ".")
    command.silently("imgpkg", "pull", "-i", image, "-o", "out")
    assert list((command.directory / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["bundlepipe", "imgpkg"])
def test_directories_that_are_nested_too_deep(command: Command, registry: Registry, name: str) -> None:
    # Nor does pathlib make so many, or shutil remove them.
    paths = [f"{command.directory}/{'/'.join('d' * depth)}" for depth in range(1, 1100)]
    for path in paths:
        os.mkdir(path)
    error = command(name, "push", "-i", f"{registry.repository()}", "-f", "d").failed
    for path in reversed(paths):
        os.rmdir(path)
    assert error == f"{name}: Error: d: has directories that are nested too deep: leave them out\n"


def test_what_is_no_bundle_without_its_directories_is_named(command: Command, registry: Registry, bundle: Path) -> None:
    (bundle / ".imgpkg/images.yml").write_text("a: b\n")
    arguments = ("push", "-b", f"{registry.repository()}", "-f", bundle.name, "--file-exclusion", ".")
    error = command("imgpkg", *arguments).failed
    assert error.startswith(f"imgpkg: Error: {bundle.name}: This directory is not a bundle.")
