"""Secrets of tests are found where they must not be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.registries import ALICE
from tests.support.secrets import leaks

ROOT = Path(__file__).parents[1]


def test_output_with_a_secret_is_named() -> None:
    sections = [("stdout", "nothing"), ("log", f"the password is {ALICE.password!r}"), ("stderr", "")]

    assert leaks(sections) == ["log"]


def test_a_test_that_prints_a_secret_fails(tmp_path: Path) -> None:
    path = tmp_path / "test_leak.py"
    path.write_text(
        "import logging\n"
        "from tests.support.registries import ALICE\n"
        "def test_that_is_silent(): pass\n"
        "def test_that_logs(): logging.getLogger().warning(ALICE.password)\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml"]
    command += ["-o", f"cache_dir={tmp_path}/cache", str(path)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    assert "1 failed, 1 passed" in finished.stdout
    assert "a secret is in: Captured log call" in finished.stdout
    assert ALICE.password not in finished.stdout + finished.stderr
