from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from bundlepipe.errors import OutputError
from bundlepipe.filesystem import dangerous
from bundlepipe.filesystem.dangerous import refuse_dangerous, refuse_repository

IMGPKG = "Disallowed output directory (trying to avoid accidental deletion)"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with a pipeline file and inputs, far from the home directory."""
    path = tmp_path / "work/project"
    (path / "deploy/app").mkdir(parents=True)
    (path / "bundlepipe.yml").touch()
    (path / "deploy/app/config.yml").touch()
    home = tmp_path / "home/user"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(path)
    return path


def refusal(target: Path | str, *protected: Path | str) -> str:
    with pytest.raises(OutputError) as raised:
        refuse_dangerous(str(target), map(str, protected))
    message = str(raised.value)
    assert message.startswith(f"{target}: {IMGPKG}: it is or contains ")
    return message.removeprefix(f"{target}: {IMGPKG}: it is or contains ")


@pytest.mark.parametrize("target", ["build", "build/out", "deploy/out", "./build", "../other", "build/../out"])
def test_an_ordinary_directory_is_allowed(project: Path, target: str) -> None:
    (project / "build/out").mkdir(parents=True)
    refuse_dangerous(target, ["bundlepipe.yml", "deploy/app", "build2"])


@pytest.mark.parametrize("target", ["/", "//", "/.", "/..", "/usr/.."])
def test_the_root_is_refused(target: str) -> None:
    assert refusal(target) == "the root directory"


@pytest.mark.parametrize("target", [".", "", "./", "..", "../..", "../project", "../../work", "deploy/.."])
def test_the_current_directory_and_its_parents_are_refused(target: str) -> None:
    assert refusal(target) == "the current directory"


def test_home_directories_and_their_parents_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "home/user") == f"the home directory {tmp_path}/home/user"
    assert refusal(tmp_path / "home") == f"the home directory {tmp_path}/home/user"
    refuse_dangerous(str(tmp_path / "home/user/out"))


def test_the_home_directory_in_the_user_database_is_refused_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    entry = pwd.struct_passwd(("user", "x", os.getuid(), os.getgid(), "", str(recorded), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    assert refusal(recorded) == f"the home directory {recorded}"
    monkeypatch.delenv("HOME")
    assert refusal(recorded) == f"the home directory {recorded}"


def test_a_user_without_any_home_may_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    refuse_dangerous("build")
    monkeypatch.setenv("HOME", "")
    refuse_dangerous("build")


@pytest.mark.parametrize("target", ["deploy", "deploy/app", "deploy/app/", "deploy/./app", "deploy/app/../app"])
def test_what_is_or_contains_a_protected_path_is_refused(target: str) -> None:
    assert refusal(target, "bundlepipe.yml", "deploy/app") == "deploy/app"
    assert refusal(target, os.path.abspath("deploy/app")) == os.path.abspath("deploy/app")


def test_below_a_protected_path_is_allowed() -> None:
    refuse_dangerous("deploy/app/out", ["deploy/app", "deploy"])


def test_names_that_only_begin_alike_are_not_confused(project: Path) -> None:
    (project / "dep").mkdir()
    refuse_dangerous("dep", ["deploy"])
    refuse_dangerous("deploy", ["deploy2", "deployed/app"])


def test_a_protected_path_need_not_exist(project: Path) -> None:
    assert refusal("generated", "generated/config.yml") == "generated/config.yml"
    (project / "generated").mkdir()
    assert refusal("generated", "generated/below/config.yml") == "generated/below/config.yml"


def test_links_are_followed_on_both_sides(project: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    assert refusal(tmp_path / "link/deploy", "deploy/app") == "deploy/app"
    assert refusal("deploy", tmp_path / "link/deploy/app") == f"{tmp_path}/link/deploy/app"
    assert refusal(tmp_path / "link") == "the current directory"
    (project / "out").symlink_to("deploy")
    assert refusal("out", "deploy/app") == "deploy/app"


def test_one_directory_under_two_names_counts_as_the_same(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a file system that ignores case, where realpath() leaves the case as it was typed.
    (project / "DEPLOY").symlink_to("deploy")
    monkeypatch.setattr(os.path, "realpath", os.path.abspath)
    assert refusal("DEPLOY", "deploy/app") == "deploy/app"
    assert refusal("deploy/app", "DEPLOY/app") == "DEPLOY/app"


@pytest.mark.parametrize("target", ["clones", "clones/one", "clones/one/"])
@pytest.mark.parametrize("is_work_tree", [False, True])
def test_git_repositories_are_refused(project: Path, target: str, is_work_tree: bool) -> None:
    repository = project / "clones/one"
    repository.mkdir(parents=True)
    if is_work_tree:
        (repository / ".git").write_text("gitdir: elsewhere")
    else:
        (repository / ".git").mkdir()
    assert refusal(target) == f"the git repository {repository}"
    refuse_dangerous("clones/one/below")
    refuse_dangerous("clones/two")


@pytest.mark.parametrize("name", [".git", ".GIT", ".Git"])
def test_a_repository_of_any_case_is_refused(project: Path, name: str) -> None:
    (project / "clone" / name / "hooks").mkdir(parents=True)
    assert refusal("clone") == f"the git repository {project}/clone"
    (project / "link").symlink_to(project / "clone" / name)
    for target in (f"clone/{name}", f"clone/{name}/hooks/new", "link/hooks", f"absent/{name}"):
        for refuse in (refuse_dangerous, refuse_repository):
            with pytest.raises(OutputError, match=f"^{target}: .*: it is or lies in .git, where git keeps"):
                refuse(target)


def test_mount_points_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = project / "out/below/mounted"
    below.mkdir(parents=True)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(project / "out"))
    assert refusal("out") == f"the mount point {project}/out"
    refuse_dangerous("out/below")
    monkeypatch.setattr(dangerous, "_device", lambda path: int(path == str(below)))
    assert refusal("out/below") == f"the mount point {below}"


def test_git_repositories_behind_links_are_no_reason_to_refuse(project: Path, tmp_path: Path) -> None:
    (tmp_path / "repository/.git").mkdir(parents=True)
    (project / "out").mkdir()
    (project / "out/link").symlink_to(tmp_path / "repository")
    refuse_dangerous("out")


def test_other_names_are_no_git_repository(project: Path) -> None:
    (project / "out/.github").mkdir(parents=True)
    (project / "out/.gitignore").touch()
    refuse_dangerous("out")


def test_a_file_is_not_dangerous(project: Path) -> None:
    (project / "file").touch()
    refuse_dangerous("file", ["bundlepipe.yml"])
    assert refusal("bundlepipe.yml", "bundlepipe.yml") == "bundlepipe.yml"


def test_a_current_directory_that_was_removed_is_a_clear_error(project: Path) -> None:
    for path in ("deploy/app/config.yml", "bundlepipe.yml"):
        (project / path).unlink()
    for path in ("deploy/app", "deploy", "."):
        os.rmdir(project / path)
    with pytest.raises(OutputError, match=r"^out: cannot be resolved: the current directory was removed$"):
        refuse_dangerous("out")
    with pytest.raises(OutputError, match=r"^deploy/app: cannot be resolved"):
        refuse_dangerous(str(project.parent / "out"), ["deploy/app"])
    refuse_dangerous(str(project.parent / "out"))


def test_nul_is_a_clear_error() -> None:
    with pytest.raises(OutputError, match="holds a NUL"):
        refuse_dangerous("a\0b")


def test_what_cannot_be_searched_is_a_clear_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "out").mkdir()

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(OutputError, match=r"/out: cannot be searched for git repositories: Permission denied"):
        refuse_dangerous("out")
