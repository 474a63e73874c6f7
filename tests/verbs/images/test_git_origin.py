from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.verbs.images.git_origin import find_git_origin
from tests.support.services import program


class Repository:
    """A git repository that no configuration of the user has an influence on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._git = program("git")
        self.git("init", "--quiet")
        self.git("config", "user.name", "someone")
        self.git("config", "user.email", "someone@example.org")
        self.git("config", "commit.gpgsign", "false")

    def git(self, *arguments: str) -> str:
        finished = subprocess.run(
            [self._git, *arguments], cwd=self.directory, check=True, capture_output=True, text=True
        )
        return finished.stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    # A hook that runs the tests sets these.
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "repository" / "app").mkdir(parents=True)
    (tmp_path / "repository" / "app" / "Dockerfile").write_text("FROM scratch\n")
    return Repository(tmp_path / "repository")


def origin(directory: Path) -> Any:
    found = find_git_origin(str(directory))
    assert found
    return found["git"]


def test_the_commit_of_a_directory_is_found(repository: Repository) -> None:
    sha = repository.commit()
    assert origin(repository.directory / "app") == {"dirty": False, "remoteURL": "<unknown>", "sha": sha}


def test_changes_make_a_commit_dirty(repository: Repository) -> None:
    repository.commit()
    (repository.directory / "app" / "new").write_text("x")
    assert origin(repository.directory / "app")["dirty"] is True


def test_only_a_tag_of_the_commit_is_named(repository: Repository) -> None:
    repository.commit()
    repository.git("tag", "v1")
    (repository.directory / "app" / "new").write_text("x")
    repository.commit()
    assert "tags" not in origin(repository.directory)
    repository.git("tag", "v2")
    assert origin(repository.directory)["tags"] == ["v2"]
    repository.git("tag", "--annotate", "--message", "x", "v3")
    assert origin(repository.directory)["tags"] == ["v3"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://someone:pa%40ss@example.org/team/app.git", "https://_redacted_@example.org/team/app.git"),
        ("https://token@example.org/team/app", "https://_redacted_@example.org/team/app"),
        ("https://some@one:pa@ss@example.org/a", "https://_redacted_@example.org/a"),
        ("https://example.org/team/@app", "https://example.org/team/@app"),
        ("ssh://git:secret@example.org:22/app", "ssh://_redacted_@example.org:22/app"),
        ("git@example.org:team/app.git", "git@example.org:team/app.git"),
        ("someone@example.org:team/app.git", "_redacted_@example.org:team/app.git"),
        ("/srv/git/a@b:c/app.git", "/srv/git/a@b:c/app.git"),
        ("/srv/git/app.git", "/srv/git/app.git"),
    ],
)
def test_the_remote_is_named_without_credentials(repository: Repository, url: str, shown: str) -> None:
    repository.commit()
    repository.git("remote", "add", "origin", url)
    assert origin(repository.directory)["remoteURL"] == shown


def test_a_repository_without_commit_has_no_origin(repository: Repository) -> None:
    assert find_git_origin(str(repository.directory)) is None


def test_a_directory_outside_of_a_repository_has_no_origin(repository: Repository, tmp_path: Path) -> None:
    assert find_git_origin(str(tmp_path)) is None


def test_without_git_there_is_no_origin(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit()
    monkeypatch.setenv("PATH", "")
    assert find_git_origin(str(repository.directory)) is None
