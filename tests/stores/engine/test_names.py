"""Temporary names where no Engine answers; that they are gone at the end is tested with the builders."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundlepipe.errors import ProgramMissing, Unreachable
from bundlepipe.stores.engine.names import temporary_name


@pytest.fixture(autouse=True)
def _no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")


def test_a_failure_is_not_hidden_by_that_of_the_removal() -> None:
    with pytest.raises(ProgramMissing, match="pack"), temporary_name():
        raise ProgramMissing("pack")


def test_a_name_that_cannot_be_removed_is_an_error_where_nothing_else_failed() -> None:
    with pytest.raises(Unreachable, match="cannot reach the Docker Engine"), temporary_name():
        pass
