"""Write a monorepo of N nested bundles: a binary tree in which each bundle includes its children.

    python generate.py DIRECTORY [--bundles 200] [--files 10] [--flat]

With --flat the bundles stand side by side and their images.yml are written once and for
all, so that nothing is locked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

DODO = """\
from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline.load("bundlepipe.yml")
"""
ROOT = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
include: [apps/*/bundlepipe.yml]
defaults:
  push: "${REGISTRY:-layout.localhost}/{name}:${VERSION:-dev}"
"""
EMPTY_LOCK = """\
---
apiVersion: imgpkg.carvel.dev/v1alpha1
images: []
kind: ImagesLock
"""


def write_monorepo(directory: Path, bundles: int, files: int, *, flat: bool = False) -> None:
    """Write the files of a monorepo with this many bundles of this many configuration files each."""
    (directory / "apps").mkdir(parents=True, exist_ok=True)
    (directory / "dodo.py").write_text(DODO)
    (directory / "bundlepipe.yml").write_text(ROOT)
    for number in range(bundles):
        _write_bundle(directory / "apps" / _name(number), number, bundles, files, flat)


def _name(number: int) -> str:
    return f"app-{number:03}"


def _write_bundle(directory: Path, number: int, bundles: int, files: int, flat: bool) -> None:
    config = directory / "config"
    config.mkdir(parents=True)
    for file in range(files):
        (config / f"part-{file:02}.yml").write_text(_config_map(_name(number), file))
    lines = ["apiVersion: bundlepipe.dev/v1alpha1", "kind: Pipeline", "bundles:"]
    if flat:
        (config / ".imgpkg").mkdir()
        (config / ".imgpkg" / "images.yml").write_text(EMPTY_LOCK)
        lines.append(f"  {_name(number)}: {{files: [config]}}")
    else:
        children = [_name(child) for child in (2 * number + 1, 2 * number + 2) if child < bundles]
        include = ", ".join(f"{{bundle: {child}}}" for child in children)
        lines.append(f"  {_name(number)}: {{files: [config], lock: {{include: [{include}]}}}}")
    (directory / "bundlepipe.yml").write_text("\n".join(lines) + "\n")


def _config_map(name: str, number: int) -> str:
    return f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}-{number}
data:
  greeting: hello from part {number} of {name}
"""


def main() -> None:
    """Read the command line and write the monorepo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--bundles", type=int, default=200)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--flat", action="store_true")
    arguments = parser.parse_args()
    write_monorepo(arguments.directory, arguments.bundles, arguments.files, flat=arguments.flat)


if __name__ == "__main__":
    main()
