"""The picture of the quickstart's tasks after a change, drawn by `doit graph` itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples/quickstart"
PICTURE = ROOT / "docs/pictures/tasks.svg"
# What runs of the example leave in it.
_MADE = (".bundlepipe", ".imgpkg", "build", "__pycache__")
_CHANGED = "deploy/app/deployment.yml"


def drawn() -> dict[Path, str]:
    """Return the picture by its path."""
    with TemporaryDirectory() as directory:
        copy = Path(directory, EXAMPLE.name)
        shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns(*_MADE))
        _doit(copy, "push_bundle", "pull_bundle")
        with (copy / _CHANGED).open("a") as file:
            file.write("# a comment\n")
        return {PICTURE: _doit(copy, "graph", "--svg")}


def _doit(directory: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("REGISTRY", "VERSION")}
    command = [sys.executable, "-m", "doit", *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout
