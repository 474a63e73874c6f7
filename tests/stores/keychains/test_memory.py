"""What was found before: as long as it will do, and shared by threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.keychains.memory import Memory


def test_what_was_found_is_kept_for_its_key() -> None:
    memory, found = Memory(), iter([Credentials("first"), Credentials("second"), None])

    def user(key: str) -> str | None:
        credentials = memory.get(key, None, lambda: next(found))
        return credentials.username if credentials else None

    assert [user(key) for key in ("a", "b", "a", "b", "c", "c")] == ["first", "second", "first", "second", None, None]


def test_what_has_expired_is_searched_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    memory = Memory()
    old, new = Credentials("user", "old", expires=200.0), Credentials("user", "new", expires=300.0)
    assert memory.get("key", None, lambda: old) is old
    now = 199.9
    assert memory.get("key", None, lambda: new) is old
    now = 200.0
    assert memory.get("key", None, lambda: new) is new


def test_what_was_refused_is_searched_for_again() -> None:
    memory, old, new = Memory(), Credentials("user", "old"), Credentials("user", "new")
    memory.get("key", None, lambda: old)

    assert memory.get("key", old, lambda: new) is new
    assert memory.get("key", old, lambda: old) is new, "it was found already"
    assert memory.get("key", new, lambda: old) is old


def test_many_threads_search_once() -> None:
    memory, start, searches = Memory(), threading.Barrier(6), list(range(6))

    def search() -> Credentials:
        return Credentials(str(searches.pop(0)))

    def work(_: int) -> str:
        start.wait()
        found = memory.get("key", None, search)
        assert found is not None
        return found.username

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(work, range(6))) == {"0"}
    assert len(searches) == 5


def test_what_a_search_raises_is_not_kept() -> None:
    memory = Memory()
    with pytest.raises(ZeroDivisionError):
        memory.get("key", None, lambda: Credentials(str(1 // 0)))

    assert memory.get("key", None, Credentials) == Credentials()
