"""The content that benchmarks push: text like that of Kubernetes configuration, the same on every run."""

from __future__ import annotations

import random
from pathlib import Path

_LINES = (
    "apiVersion: v1",
    "kind: Service",
    "metadata:",
    "  name: simple-app",
    "spec:",
    "  ports:",
    "  - port: 80",
    "    targetPort: 8080",
    "  selector:",
    "    app: x",
)

PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
images:
  content: {files: [content], push: "${REGISTRY}/content:${VERSION:-1}"}
pulls:
  content: {from: "${REGISTRY}/content:1", to: "${OUT:-out}"}
"""
DODO = """\
from bundlepipe import DOIT_CONFIG, Pipeline
pipeline = Pipeline.load("bundlepipe.yml")
"""


def write_project(directory: Path, files: int, size: int) -> None:
    """Write a pipeline with one image of this many files of about `size` bytes each, and a pull of it."""
    (directory / "dodo.py").write_text(DODO)
    (directory / "bundlepipe.yml").write_text(PIPELINE)
    write_files(directory / "content", files, size, -(-files // 100))


def write_files(directory: Path, files: int, size: int, folders: int) -> None:
    """Write this many files of about `size` bytes each, evenly into this many folders."""
    chance = random.Random(1)
    for number in range(files):
        folder = directory / f"part-{number * folders // files:03}"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"file-{number:05}.yml").open("w") as file:
            remaining = size
            while remaining > 0:
                lines = [f"{chance.choice(_LINES)} {chance.randrange(10_000)}\n" for _ in range(min(5_000, size // 20))]
                text = "".join(lines)[:remaining]
                remaining -= len(text)
                file.write(text)
