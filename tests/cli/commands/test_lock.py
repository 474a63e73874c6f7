"""lock merge: by itself, and as git's merge driver."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bundlepipe.documents.lock_file.content import LockFile, LockKey
from bundlepipe.documents.yaml.conflict_markers import without_conflicts
from bundlepipe.oci.digest import Digest
from tests.support.command import Command
from tests.support.services import require

A, B, C = (Digest.of(text) for text in (b"a", b"b", b"c"))
ENTRIES = {LockKey(f"registry.example/{name}:1"): A for name in "bdfh"}
DRIVER = "bundlepipe lock merge %O %A %B %P"


def entry(name: str) -> LockKey:
    return LockKey(f"registry.example/{name}:1")


class Repository:
    """A repository whose lock file is committed on branches."""

    def __init__(self, directory: Path, path: str) -> None:
        self._directory = directory
        self._environment = {"PATH": path, "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1"}
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "a")
        self.git("config", "user.email", "a@example.com")
        self.lock = directory / "bundlepipe.lock"

    def git(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self._directory, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def commit(self, branch: str, entries: dict[LockKey, Digest]) -> None:
        self.git("checkout", "-q", "-B", branch, "main") if branch != "main" else None
        self.lock.write_bytes(LockFile(entries).to_bytes())
        self.git("add", "-A")
        self.git("commit", "-qm", branch)

    def entries(self) -> dict[LockKey, Digest]:
        return dict(LockFile.parse(self.lock.read_bytes(), "bundlepipe.lock").entries)


@pytest.fixture
def repository(command: Command) -> Repository:
    require("git")
    return Repository(command.directory, command.environment()["PATH"])


def use_driver(repository: Repository) -> None:
    (repository.lock.parent / ".gitattributes").write_text("bundlepipe.lock merge=bundlepipe\n")
    repository.git("config", "merge.bundlepipe.driver", DRIVER)


CHANGES: dict[str, dict[LockKey, Digest | None]] = {
    "adds the first": {entry("a"): C},
    "adds another": {entry("c"): C},
    "adds the last": {entry("z"): C},
    "moves the first": {entry("b"): B},
    "moves one": {entry("d"): B},
    "moves the next": {entry("f"): B},
    "moves the last": {entry("h"): B},
    "removes one": {entry("f"): None},
}


def changed(change: dict[LockKey, Digest | None]) -> dict[LockKey, Digest]:
    return {key: digest for key, digest in {**ENTRIES, **change}.items() if digest}


@pytest.mark.parametrize("ours", CHANGES)
def test_git_alone_merges_changes_of_different_entries(repository: Repository, ours: str) -> None:
    repository.commit("main", ENTRIES)
    for number, theirs in enumerate(CHANGES):
        if not CHANGES[ours].keys() & CHANGES[theirs].keys():
            repository.commit(f"theirs{number}", changed(CHANGES[theirs]))
            repository.commit("ours", changed(CHANGES[ours]))
            repository.git("merge", "-qm", "both", f"theirs{number}")
            assert repository.entries() == changed({**CHANGES[ours], **CHANGES[theirs]}), theirs


def test_the_driver_merges_what_is_added_at_one_place(repository: Repository) -> None:
    repository.commit("main", ENTRIES)
    repository.commit("theirs", {**ENTRIES, entry("e1"): B})
    repository.commit("ours", {**ENTRIES, entry("e0"): B})
    repository.git("merge", "theirs", status=1)
    assert "<<<<<<< HEAD" in repository.lock.read_text()
    repository.git("merge", "--abort")
    use_driver(repository)
    repository.git("merge", "-qm", "both", "theirs")
    assert repository.entries() == {**ENTRIES, entry("e0"): B, entry("e1"): B}


def test_the_driver_resolves_a_conflict_that_was_left(repository: Repository) -> None:
    repository.commit("main", ENTRIES)
    repository.commit("theirs", {**ENTRIES, entry("e1"): B})
    repository.commit("ours", {**ENTRIES, entry("e0"): B})
    repository.git("merge", "theirs", status=1)
    use_driver(repository)
    repository.git("checkout", "-m", "bundlepipe.lock")
    assert repository.entries() == {**ENTRIES, entry("e0"): B, entry("e1"): B}


def test_files_that_both_sides_began_are_merged(repository: Repository) -> None:
    use_driver(repository)
    repository.git("add", ".gitattributes")
    repository.git("commit", "-qm", "main")
    repository.commit("theirs", {entry("a"): A})
    repository.commit("ours", {entry("b"): A})
    repository.git("merge", "-qm", "both", "theirs")
    assert repository.entries() == {entry("a"): A, entry("b"): A}


def test_what_both_moved_is_a_conflict_of_that_entry(repository: Repository) -> None:
    use_driver(repository)
    repository.commit("main", ENTRIES)
    repository.commit("theirs", {**ENTRIES, entry("d"): B, entry("e1"): B})
    repository.commit("ours", {**ENTRIES, entry("d"): C, entry("e0"): B})
    told = repository.git("merge", "theirs", status=1)
    assert "bundlepipe: Error: bundlepipe.lock: both sides moved registry.example/d:1, ours to sha" in told
    assert f"ours to {C}, theirs to {B}: keep one of the two entries" in told
    assert repository.git("diff", "--name-only", "--diff-filter=U") == "bundlepipe.lock\n"
    text = repository.lock.read_text()
    assert (
        f"<<<<<<< ours\n- reference: registry.example/d:1\n  digest: {C}\n=======\n"
        f"- reference: registry.example/d:1\n  digest: {B}\n>>>>>>> theirs\n"
    ) in text
    assert text.count("<<<<<<<") == 1 and "e0" in text and "e1" in text


def test_branches_that_merged_each_other_before_lose_nothing(repository: Repository) -> None:
    use_driver(repository)
    repository.commit("main", ENTRIES)
    repository.commit("left", {**ENTRIES, entry("d"): B})
    repository.commit("right", {**ENTRIES, entry("d"): C})
    for branch, other, kept in (("left", "right^0", B), ("right", "left~1", C)):
        repository.git("checkout", "-q", branch)
        repository.git("merge", other, status=1)
        repository.lock.write_bytes(LockFile({**ENTRIES, entry("d"): kept}).to_bytes())
        repository.git("commit", "-qam", "criss-cross")
    for branch, added in (("right", "k"), ("left", "n")):
        repository.git("checkout", "-q", branch)
        repository.lock.write_bytes(LockFile({**repository.entries(), entry(added): A}).to_bytes())
        repository.git("commit", "-qam", added)
    assert len(repository.git("merge-base", "--all", "left", "right").split()) == 2
    repository.git("merge", "right", status=1)
    text = repository.lock.read_text()
    assert text.count("<<<<<<<") == 1
    conflict = text[text.index("<<<<<<<") : text.index(">>>>>>>")]
    assert "registry.example/d:1" in conflict and conflict.count("reference:") == 2
    repository.lock.write_text(without_conflicts(text))
    assert repository.entries() == {**{key: A for key in ENTRIES if key != entry("d")}, entry("k"): A, entry("n"): A}


def test_a_side_that_is_no_lock_file_is_merged_by_lines(repository: Repository) -> None:
    use_driver(repository)
    repository.commit("main", ENTRIES)
    repository.commit("theirs", {**ENTRIES, entry("d"): B, entry("z"): B})
    repository.lock.write_text(repository.lock.read_text().replace(f"digest: {B}", "digest: none"))
    repository.git("commit", "-qam", "faulty")
    repository.commit("ours", {**ENTRIES, entry("d"): C, entry("a"): B})
    told = repository.git("merge", "theirs", status=1)
    assert "bundlepipe.lock, theirs:" in told and "bundlepipe.lock: merged line by line, since one side" in told
    text = repository.lock.read_text()
    assert f"<<<<<<< ours\n  digest: {C}\n=======\n  digest: none\n>>>>>>> theirs\n" in text
    assert "registry.example/a:1" in text and "registry.example/z:1" in text


def test_without_git_both_sides_stand_whole_between_marks(command: Command) -> None:
    for name in ("base", "theirs"):
        (command.directory / name).write_bytes(LockFile(ENTRIES).to_bytes())
    (command.directory / "ours").write_text("<<<<<<< HEAD")
    failed = command("bundlepipe", "lock", "merge", "base", "ours", "theirs", env={"PATH": "/nowhere"}).failed
    assert "ours:1:1: a merge conflict that git left here" in failed
    both = f"<<<<<<< ours\n<<<<<<< HEAD\n=======\n{LockFile(ENTRIES).to_bytes().decode()}>>>>>>> theirs\n"
    assert (command.directory / "ours").read_text() == both


def test_a_file_that_cannot_be_read_leaves_ours_alone(command: Command) -> None:
    for name in ("base", "ours"):
        (command.directory / name).write_bytes(LockFile(ENTRIES).to_bytes())
    before = (command.directory / "ours").read_bytes()
    merge = ("bundlepipe", "lock", "merge", "base", "ours", "theirs")
    assert "theirs: cannot be read: No such file" in command(*merge).failed
    assert "THEIRS is missing" in command(*merge[:-1]).failed
    assert (command.directory / "ours").read_bytes() == before
