"""Content pushed to a registry on loopback and pulled again, in turn with what tar and gzip take for it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from benchmarks._content import write_project
from benchmarks._measure import DOIT, in_turn, run_once, scratch
from tests.support.services import Registry


@dataclass(frozen=True)
class RoundTrip:
    """Seconds of each run."""

    push: list[float]
    pack: list[float]
    pull: list[float]
    extract: list[float]


def measure(files: int, size: int, pack: str, rounds: int) -> RoundTrip:
    """Measure the round trip of this many files; `pack` is the shell command that makes content.tar.gz."""
    with scratch() as directory:
        write_project(directory, files, size)
        run_once(["tar", "cf", "content.tar", "-C", "content", "."], directory)
        (directory / "registry").mkdir()
        registry = Registry(directory / "registry")
        environment = {"REGISTRY": registry.host}
        numbers = itertools.count()

        def push() -> float:
            # A repository of its own each time, so that nothing is there.
            return run_once(
                [*DOIT, "-n", "0", "push_image"], directory, {"REGISTRY": f"{registry.host}/v{next(numbers)}"}
            )

        # Directories of their own too: a file system that has just lost thousands of files is slow to make new ones.
        def pull() -> float:
            output = f"out-{next(numbers)}"
            return run_once([*DOIT, "-n", "0", "pull_bundle"], directory, {**environment, "OUT": output})

        def extract() -> float:
            output = f"out-{next(numbers)}"
            (directory / output).mkdir()
            return run_once(["tar", "xzf", "content.tar.gz", "-C", output], directory)

        try:
            run_once([*DOIT, "push_image"], directory, environment)
            pushes, packs = in_turn([push, lambda: run_once(["sh", "-c", pack], directory)], rounds)
            pulls, extractions = in_turn([pull, extract], rounds)
        finally:
            registry.stop()
    return RoundTrip(pushes, packs, pulls, extractions)
