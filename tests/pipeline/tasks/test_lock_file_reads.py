"""The entries of a lock file, as several threads read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundlepipe.documents.lock_file.content import LockFile, LockKey
from bundlepipe.oci.digest import Digest
from bundlepipe.pipeline.tasks import lock_file

DIGEST = Digest.of(b"a")
NEW, OLD = {("registry.example/x:1", "", ""): str(DIGEST)}, {("registry.example/x:0", "", ""): str(DIGEST)}


class Raced(dict[str, Any]):
    """What was read, where another thread stores an older state right after each store."""

    def __setitem__(self, place: str, seen: Any) -> None:
        """Store, and lose the race."""
        super().__setitem__(place, seen)
        super().__setitem__(place, (b"older", OLD))


def test_another_thread_that_read_an_older_file_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.lock").write_bytes(LockFile({LockKey("registry.example/x:1"): DIGEST}).to_bytes())
    monkeypatch.setattr(lock_file, "_seen", Raced())
    monkeypatch.setattr(lock_file, "_first", {})
    assert lock_file.read_entries("x.lock") == NEW
    assert lock_file.entries_at_first("x.lock") == NEW


def test_who_changes_the_answer_changes_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.lock").write_bytes(LockFile({LockKey("registry.example/x:1"): DIGEST}).to_bytes())
    lock_file.read_entries("x.lock").clear()
    assert lock_file.read_entries("x.lock") == NEW
