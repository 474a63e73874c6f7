"""What other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

# Seconds: what takes longer does not come.
_LONGEST = 60


def until(condition: Callable[[], object]) -> None:
    """Wait, at most for a minute."""
    deadline = time.monotonic() + _LONGEST
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Return whether a process runs; one that has ended may not have been awaited."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
