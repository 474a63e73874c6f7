"""Fixtures for the tests of verbs: stores, and no pauses between attempts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundlepipe.stores.http import retries
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """Stores with `layout.localhost` backed by a directory of this test."""
    return Stores({"layout.localhost": RegistrySettings(layout=str(tmp_path / "registry"))})


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: where every attempt fails, the pauses between them are most of a test."""
    monkeypatch.setattr(retries, "_FIRST_DELAY", 0.001)
