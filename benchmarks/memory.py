"""Peak memory of push and pull, for a small and a large layer: it should not depend on the size."""

from __future__ import annotations

from pathlib import Path

from benchmarks._content import write_project
from benchmarks._measure import DOIT, peak_megabytes, report, scratch
from tests.support.services import Registry

SIZES = {"20 MB": 4, "590 MB": 100}
FILE_SIZE = 5_900_000


def main() -> None:
    """Print the peaks."""
    with scratch() as directory:
        (directory / "registry").mkdir()
        registry = Registry(directory / "registry")
        try:
            for size, files in SIZES.items():
                push, pull = _push_and_pull(directory, registry, files)
                measured = f"push {push:.0f} MB, pull {pull:.0f} MB"
                report(f"peak memory for {size} of text", measured, "90 MB, flat")
        finally:
            registry.stop()


def _push_and_pull(directory: Path, registry: Registry, files: int) -> tuple[float, float]:
    project = directory / f"project-{files}"
    project.mkdir()
    write_project(project, files, FILE_SIZE)
    environment = {"REGISTRY": f"{registry.host}/{files}"}
    push = peak_megabytes([*DOIT, "-n", "0", "push_image"], project, environment)
    return push, peak_megabytes([*DOIT, "-n", "0", "pull_bundle"], project, environment)


if __name__ == "__main__":
    main()
