"""The command of this checkout, run as a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run `command("imgpkg", "push", ...)` in `command.directory`, an empty one."""
    directory = tmp_path / "work"
    directory.mkdir()
    return Command(directory, tmp_path / "links")
