"""What commands write takes the place of nothing that would be lost, unless they are forced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.commands.test_check import PIPELINE, problems, write
from tests.support.command import Command
from tests.support.files import write_bundle
from tests.support.git import commit_all

SHOP = "layout.localhost/shop:1"
# Nobody listens there.
CLOSED = "127.0.0.1:1/shop:1"
TOOLS = pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])
# Commands that write FILE, which is where they stand.
WRITERS = {
    "push": "push -b {source} -f config --lock-output FILE",
    "tar": "copy -b {source} --to-tar FILE",
    "copy": "copy -b {source} --to-repo layout.localhost/there --lock-output FILE",
    "kbld-lock": "resolve -f config.yml --lock-output FILE",
    "images-lock": "resolve -f config.yml --imgpkg-lock-output FILE",
}
PULL = "pull -b {source} -o FILE"


@pytest.fixture
def here(command: Command) -> Path:
    """The current directory, with a bundle that is pushed."""
    write_bundle(command.directory / "config", {"config.yml": "kind: Deployment\n"})
    (command.directory / "config.yml").write_text(f"image: {SHOP}\n")
    command.silently("imgpkg", "push", "-b", SHOP, "-f", "config")
    return command.directory


def arguments(line: str, path: str, source: str = SHOP) -> list[str]:
    return [word.replace("FILE", path).format(source=source) for word in line.split()]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_would_be_lost_stays(command: Command, here: Path, writer: str) -> None:
    (here / "notes.txt").write_text("mine")
    failed = command("bundlepipe", *arguments(WRITERS[writer], "notes.txt", CLOSED)).failed
    assert failed.startswith("bundlepipe: Error: notes.txt: exists, but it is n")
    assert failed.endswith(", and git does not have it: remove it, name another file, or replace it with --force\n")
    assert (here / "notes.txt").read_text() == "mine"
    again = arguments(WRITERS[writer], "notes.txt")
    assert command("bundlepipe", *again, "--force").status == 0
    written = (here / "notes.txt").read_bytes()
    assert written != b"mine"
    assert command("bundlepipe", *again).status == 0
    assert (here / "notes.txt").read_bytes() == written


@pytest.mark.parametrize("writer", WRITERS)
def test_git_gives_back_what_it_has(command: Command, here: Path, writer: str) -> None:
    (here / "notes.txt").write_text("mine")
    commit_all(here)
    assert command("bundlepipe", *arguments(WRITERS[writer], "notes.txt")).status == 0
    assert (here / "notes.txt").read_bytes() != b"mine"


@pytest.mark.parametrize("writer", [*WRITERS.values(), PULL])
@pytest.mark.parametrize("path", [".git", ".git/refs", "sub/.GIT", "link/refs"])
def test_repositories_stay_even_when_forced(command: Command, here: Path, writer: str, path: str) -> None:
    commit_all(here)
    (here / "link").symlink_to(".git")
    before = sorted((path, path.lstat().st_mtime_ns) for path in (here / ".git").rglob("*"))
    failed = command("bundlepipe", *arguments(writer, path), "--force").failed
    assert failed.startswith(f"bundlepipe: Error: {path}: Disallowed output directory")
    name = "kbld" if writer.startswith("resolve") else "imgpkg"
    failed = command(name, *arguments(writer.removeprefix("resolve "), path)).failed
    assert failed.startswith(f"{name}: Error: {path}: Disallowed output directory")
    assert sorted((path, path.lstat().st_mtime_ns) for path in (here / ".git").rglob("*")) == before


@pytest.mark.parametrize("writer", [*WRITERS.values(), PULL])
def test_under_the_names_of_the_tools_their_rule_holds(command: Command, here: Path, writer: str) -> None:
    there = here / "there"
    if writer == PULL:
        there.mkdir()
        (there / "main.py").write_text("mine")
    else:
        there.write_text("mine")
    name, line = ("kbld", writer.removeprefix("resolve ")) if writer.startswith("resolve") else ("imgpkg", writer)
    failed = command(name, *arguments(line, "there"), "--force").failed
    assert "--force" in failed
    assert "--force" not in command(name, *line.split()[:1], "--help").stdout
    assert command(name, *arguments(line, "there")).status == 0
    assert not (there / "main.py").exists() and (there.is_dir() or there.read_bytes() != b"mine")


def test_a_file_that_mktemp_made_is_filled(command: Command, here: Path) -> None:
    (here / "lock.yml").touch()
    command.silently("bundlepipe", *arguments(WRITERS["push"], "lock.yml"))
    assert "BundleLock" in (here / "lock.yml").read_text()


def test_a_lock_of_another_kind_stays(command: Command, here: Path) -> None:
    lock = here / "config/.imgpkg/images.yml"
    before = lock.read_bytes()
    failed = command("bundlepipe", *arguments(WRITERS["copy"], str(lock))).stderr
    assert "exists, but it is neither a BundleLock nor an ImagesLock" in failed
    assert lock.read_bytes() == before


def test_a_directory_that_would_be_lost_stays(command: Command, here: Path) -> None:
    (here / "src").mkdir()
    (here / "src/main.py").write_text("mine")
    for source in (SHOP, CLOSED):
        assert command("bundlepipe", *arguments(PULL, "src", source)).failed == (
            "bundlepipe: Error: src: exists, but its files are not as a pull left them, and git does not have it: "
            "remove it, name another directory, or replace it with --force\n"
        )
    assert (here / "src/main.py").read_text() == "mine"
    command.silently("bundlepipe", *arguments(PULL, "src"), "--force")
    assert [path.name for path in (here / "src").iterdir() if path.name != ".imgpkg"] == ["config.yml"]


def test_a_pulled_directory_follows_versions(command: Command, here: Path) -> None:
    command.silently("bundlepipe", *arguments(PULL, "out"))
    for text in ("kind: Second\n", "kind: Third\n"):
        (here / "config/config.yml").write_text(text)
        command.silently("imgpkg", "push", "-b", SHOP, "-f", "config")
        command.silently("bundlepipe", *arguments(PULL, "./out/"))
        assert (here / "out/config.yml").read_text() == text
    (here / "out/config.yml").write_text("kind: Mine\n")
    failed = command("bundlepipe", *arguments(PULL, "out")).failed
    assert "its files are not as a pull left them" in failed
    assert (here / "out/config.yml").read_text() == "kind: Mine\n"


def test_what_imgpkg_pulled_is_replaced_by_the_same(command: Command, here: Path) -> None:
    command.silently("imgpkg", *arguments(PULL, "out"))
    command.silently("bundlepipe", *arguments(PULL, "out"))
    (here / "config/more.yml").write_text("kind: More\n")
    command.silently("imgpkg", "push", "-b", SHOP, "-f", "config")
    command.silently("imgpkg", *arguments(PULL, "out2"))
    (here / "config/more.yml").unlink()
    command.silently("imgpkg", "push", "-b", SHOP, "-f", "config")
    assert "git does not have out2/more.yml as it is now" in command("bundlepipe", *arguments(PULL, "out2")).failed
    assert (here / "out2/more.yml").exists()


def test_records_of_pulled_directories_go_with_them(command: Command, here: Path, tmp_path: Path) -> None:
    command.env["XDG_STATE_HOME"] = str(tmp_path / "state")
    command.silently("bundlepipe", *arguments(PULL, "out"))
    records = tmp_path / "state/bundlepipe/pulled"
    assert [path.read_text().splitlines()[1] for path in records.iterdir()] == [str(here / "out")]
    (here / "out").rename(here / "moved")
    command.silently("bundlepipe", *arguments(PULL, "other"))
    assert [path.read_text().splitlines()[1] for path in records.iterdir()] == [str(here / "other")]


def test_a_pull_succeeds_where_nothing_can_be_recorded(command: Command, here: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    command.env["XDG_STATE_HOME"] = str(tmp_path / "state")
    command.silently("bundlepipe", *arguments(PULL, "out"))
    command.silently("bundlepipe", *arguments(PULL, "out"))


# check

OUTPUTS = (
    PIPELINE
    + """\
bundles:
  shop: {files: [config], lockOutput: lock.yml}
pulls:
  shop: {from: {bundle: shop}, to: src}
renders:
  shop: {files: [config/config.yml], output: notes.md}
copies:
  shop: {from: {bundle: shop}, to: "tar:notes.tar"}
"""
)


def test_check_tells_what_would_be_lost(command: Command, here: Path) -> None:
    theirs = {"src/main.py": "mine", "notes.md": "mine", "notes.tar": "mine", "lock.yml": "mine"}
    write(command, {"bundlepipe.yml": OUTPUTS, **theirs})
    told = problems(command)
    assert [line.split(": exists, but ")[0] for line in told] == [
        "bundlepipe.yml:7:3: pull 'shop': src",
        "bundlepipe.yml:9:3: render 'shop': notes.md",
        "bundlepipe.yml:11:3: copy 'shop': notes.tar",
        "bundlepipe.yml:5:3: bundle 'shop': lock.yml",
    ]
    assert told[0].endswith("or replace it with 'doit pull_bundle:shop force=shop'")
    write(command, {"other/keep": ""})
    assert "exists, but" in command("bundlepipe", "check", "../bundlepipe.yml", cwd=here / "other").stderr


def test_check_mentions_what_git_has(command: Command, here: Path) -> None:
    write(command, {"bundlepipe.yml": OUTPUTS, "src/main.py": "mine", "notes.md": "mine"})
    commit_all(here)
    result = command("bundlepipe", "check")
    assert (result.status, result.stderr.splitlines()) == (
        0,
        [
            "bundlepipe: src: pull 'shop' replaces it, which git has as it is",
            "bundlepipe: notes.md: render 'shop' replaces it, which git has as it is",
        ],
    )


def test_check_mentions_what_another_may_have_pulled(command: Command, here: Path) -> None:
    write(command, {"bundlepipe.yml": OUTPUTS})
    command.silently("imgpkg", *arguments(PULL, "src"))
    result = command("bundlepipe", "check")
    assert (result.status, result.stderr) == (
        0,
        "bundlepipe: src: exists without a record: pull 'shop' replaces it only if that brings all of its files\n",
    )
    (here / "src/link").symlink_to("config.yml")
    assert "src: exists, but this pull did not make it" in command("bundlepipe", "check").failed


def test_check_without_records_leaves_to_the_run_what_only_that_can_tell(command: Command, here: Path) -> None:
    write(command, {"bundlepipe.yml": OUTPUTS})
    assert command("bundlepipe", "doit", "pull_bundle", "render_config").status == 0
    shutil.rmtree(here / ".bundlepipe")
    result = command("bundlepipe", "check")
    assert (result.status, result.stderr.splitlines()) == (
        0,
        [
            "bundlepipe: src: exists without a record: pull 'shop' replaces it only if that brings all of its files",
            "bundlepipe: notes.md: exists without a record: render 'shop' fails unless it would write the same",
        ],
    )
    assert command("bundlepipe", "doit", "pull_bundle", "render_config").status == 0


def test_check_knows_what_was_made_here(command: Command, here: Path) -> None:
    write(command, {"bundlepipe.yml": OUTPUTS, "other/keep": ""})
    assert command("bundlepipe", "doit", "pull_bundle", "render_config", "copy_bundle").status == 0
    assert (here / "src").is_dir()
    assert command("bundlepipe", "check").output == ""
    assert command("bundlepipe", "check", "../bundlepipe.yml", cwd=here / "other").output == ""
    assert command("bundlepipe", "check", str(here / "bundlepipe.yml"), cwd=here / "other").output == ""
