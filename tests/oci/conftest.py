"""What tests of unpacking and publishing share."""

from __future__ import annotations

import faulthandler
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_test_hangs() -> Iterator[None]:
    """End the whole run, with the stack of every thread, where a test is stuck."""
    assert sys.__stderr__
    faulthandler.dump_traceback_later(300, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def no_thread_stays(no_test_hangs: None) -> Iterator[None]:
    """Fail where a thread that unpacks outlives its test."""
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "unpack"] == []


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A new, empty directory."""
    path = tmp_path / "output"
    path.mkdir()
    return path
