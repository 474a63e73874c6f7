"""The append-only database: nothing that a run finished is lost."""

from __future__ import annotations

import multiprocessing
import os
import random
from pathlib import Path

import pytest
from doit.dependency import JSONCodec

from bundlepipe.pipeline.plugins.backend import AppendOnlyDB


def _open(path: Path) -> AppendOnlyDB:
    return AppendOnlyDB(str(path), JSONCodec())


def _save(database: AppendOnlyDB, task: str, value: object) -> None:
    database.set(task, "_values_:", value)
    database.set(task, "deps:", [])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "doit.db"


def test_a_record_is_durable_when_its_last_part_is_set(path: Path) -> None:
    database = _open(path)
    database.set("a", "_values_:", {"digest": "x"})
    assert _open(path).get("a", "_values_:") is None
    database.set("a", "deps:", ["f"])
    again = _open(path)
    assert again.get("a", "_values_:") == {"digest": "x"} and again.get("a", "deps:") == ["f"]
    assert again.in_("a") and not again.in_("b")


def test_what_doit_sets_outside_of_runs_is_durable_at_the_end(path: Path) -> None:
    database = _open(path)
    database.set("a", "ignore:", "1")
    database.dump()
    assert _open(path).get("a", "ignore:") == "1"


def test_forgetting(path: Path) -> None:
    database = _open(path)
    for task in "abc":
        _save(database, task, 1)
    database.remove("a")
    assert database.get("a", "_values_:") is None and not database.in_("a")
    assert not _open(path).in_("a") and _open(path).in_("b")
    database.remove_all()
    assert not any(_open(path).in_(task) for task in "abc")


def test_an_unchanged_record_is_not_written_again(path: Path) -> None:
    database = _open(path)
    _save(database, "a", 1)
    size = path.stat().st_size
    again = _open(path)
    _save(again, "a", 1)
    again.dump()
    assert path.stat().st_size == size


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_line_that_a_kill_cut_short_costs_only_itself(path: Path, cut: int) -> None:
    database = _open(path)
    _save(database, "a", {"deep": {"x": 1}})
    _save(database, "b", {"deep": {"x": 1}})
    path.write_bytes(path.read_bytes()[:-cut])
    cut_short = _open(path)
    assert cut_short.get("a", "_values_:") == {"deep": {"x": 1}}
    _save(cut_short, "c", 3)
    again = _open(path)
    assert again.get("a", "_values_:") == {"deep": {"x": 1}} and again.get("c", "_values_:") == 3
    assert again.get("b", "_values_:") in (None, {"deep": {"x": 1}})


def test_superseded_lines_are_compacted(path: Path) -> None:
    database = _open(path)
    for number in range(500):
        _save(database, "a", number)
    database.dump()
    assert path.read_bytes().count(b"\n") == 1
    _save(database, "b", 1)
    assert _open(path).get("a", "_values_:") == 499 and _open(path).in_("b")


def _append_many(path: Path, prefix: str) -> None:
    database = _open(path)
    for number in range(300):
        _save(database, f"{prefix}{number}", number)
        _save(database, f"{prefix}", number)
    database.dump()


def test_concurrent_runs_lose_nothing(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_append_many, args=(path, prefix)) for prefix in ("x", "y", "z")]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    database = _open(path)
    for prefix in ("x", "y", "z"):
        assert all(database.get(f"{prefix}{number}", "_values_:") == number for number in range(300))


def _save_for_ever(path: Path, ready: multiprocessing.connection.Connection) -> None:
    database = _open(path)
    number = 0
    while True:
        _save(database, f"t{number % 50}", number)
        os.write(ready.fileno(), b".")
        number += 1
        if number % 400 == 0:
            database.dump()


def test_a_killed_run_keeps_what_it_had_finished(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    chance = random.Random(7)
    for _ in range(6):
        path.unlink(missing_ok=True)
        receive, send = context.Pipe(duplex=False)
        run = context.Process(target=_save_for_ever, args=(path, send))
        run.start()
        send.close()
        wanted = chance.randrange(20, 1500)
        seen = 0
        while seen < wanted:
            seen += len(os.read(receive.fileno(), 4096))
        run.kill()
        run.join()
        while more := len(os.read(receive.fileno(), 4096)):
            seen += more
        receive.close()
        database = _open(path)
        latest = {number % 50: number for number in range(seen)}
        assert all(database.get(f"t{key}", "_values_:") >= number for key, number in latest.items())
