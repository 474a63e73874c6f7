"""Changes of files, as the library reports them, and what becomes of its failures."""

from __future__ import annotations

import os
import resource
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.watching.changes import Changes


@pytest.fixture
def changes() -> Iterator[Changes]:
    made = Changes()
    yield made
    made.close()


def seen(changes: Changes) -> set[str]:
    found: set[str] = set()
    while more := changes.next():
        found |= more
    return found


def test_changes_of_entries_are_seen_and_none_below(changes: Changes, tmp_path: Path) -> None:
    (tmp_path / "app/deep").mkdir(parents=True)
    (tmp_path / "app/file").write_text("")
    assert changes.watch([str(tmp_path / "app")])
    (tmp_path / "app/deep/file").write_text("")
    (tmp_path / "app/file").chmod(0o700)
    (tmp_path / "app/new").mkdir()
    assert seen(changes) == {str(tmp_path / "app" / name) for name in ("file", "new")}
    assert not changes.watch([str(tmp_path / "app")])


def test_nothing_is_lost_when_others_are_watched(changes: Changes, tmp_path: Path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    for path in (one, two):
        os.mkdir(path)
    changes.watch([one])
    Path(one, "file").write_text("")
    assert changes.watch([one, two])
    Path(two, "file").write_text("")
    assert seen(changes) == {f"{one}/file", f"{two}/file"}
    assert not changes.watch([two]), "no change in it was missed"


def test_a_directory_that_came_back_is_watched_again(changes: Changes, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    watched = [str(tmp_path), str(app)]
    changes.watch(watched)
    app.rmdir()
    app.mkdir()
    assert str(app) in seen(changes)
    assert changes.watch(watched), "changes in it may have been missed"
    (app / "file").write_text("")
    assert seen(changes) == {str(app / "file")}


def test_limits_of_the_system_are_an_error(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    changes = Changes()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(BundlepipeError) as failed:
            changes.watch([str(tmp_path)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert str(failed.value).startswith("watch: inputs in 1 directory cannot be watched: ")
    assert "Too many open files" in str(failed.value)
    assert "WATCHFILES_FORCE_POLLING=1" in str(failed.value)


def test_directories_may_vanish_while_they_are_about_to_be_watched(
    changes: Changes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def vanished(*paths: str, **options: Any) -> Generator[set[Any], None, None]:
        tries.append(len(paths))
        if len(tries) < 3:
            raise FileNotFoundError
        yield set()

    monkeypatch.setattr(watchfiles, "watch", vanished)
    changes.watch([str(tmp_path), str(tmp_path / "gone")])
    assert tries == [1, 1, 1]


def test_directories_that_never_stay_are_an_error(
    changes: Changes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanished(*paths: str, **options: Any) -> Generator[set[Any], None, None]:
        raise FileNotFoundError
        yield set()

    monkeypatch.setattr(watchfiles, "watch", vanished)
    with pytest.raises(BundlepipeError, match="directories vanish faster than they can be watched"):
        changes.watch([str(tmp_path)])
