"""Shared by the tests of commands that run doit."""

from __future__ import annotations

import pytest

from tests.support.command import Command
from tests.support.project import NESTED_BUNDLES


@pytest.fixture
def pipeline(command: Command) -> Command:
    """A command in a directory with only a bundlepipe.yml."""
    (command.directory / "bundlepipe.yml").write_text(NESTED_BUNDLES)
    for name in ("one", "two"):
        (command.directory / name).mkdir()
        (command.directory / name / "config.yml").write_text(f"a: {name}\n")
    return command
