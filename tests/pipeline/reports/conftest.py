"""Fixtures of the tests of reports."""

from __future__ import annotations

import pytest

from tests.support.project import Project
from tests.support.reports import CHAIN


@pytest.fixture
def chain(project: Project) -> Project:
    """Three bundles, each in the next one."""
    for name in ("leaf", "middle", "top"):
        project.write(f"{name}/config.yml", f"kind: {name}\n")
    project.pipeline(CHAIN)
    return project
