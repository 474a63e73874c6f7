"""Programs that no test can count on, stood in for by ones on PATH that record how they are called."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Call:
    """How a stand-in was called."""

    arguments: list[str]
    directory: str


class StandIns:
    """Puts stand-ins first on PATH; `calls(NAME)` tells how one was called."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        directory.mkdir()
        monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")

    def add(self, name: str, script: str = "") -> None:
        """Let `name` record its arguments and then be a shell script."""
        path = self._directory / name
        record = shlex.quote(str(self._record(name)))
        path.write_text(
            "#!/bin/sh\n"
            f"{{ pwd; for argument; do printf '%s\\n' \"$argument\"; done; echo end-of-call; }} >> {record}\n"
            f"{script}\n"
        )
        path.chmod(0o755)

    def calls(self, name: str) -> list[Call]:
        """Return the calls of a stand-in, in their order."""
        record = self._record(name)
        calls = record.read_text().split("end-of-call\n")[:-1] if record.exists() else []
        return [Call(lines[1:], lines[0]) for lines in (call.splitlines() for call in calls)]

    def _record(self, name: str) -> Path:
        return self._directory / f"{name}.calls"
