"""5,000 files of 23 MB in all to a registry on loopback and back, beside tar and gzip."""

from __future__ import annotations

import itertools
from statistics import median

from benchmarks._content import write_project
from benchmarks._measure import DOIT, in_turn, ratio, report, run_once, scratch
from tests.support.services import Registry

FILES, SIZE, ROUNDS = 5_000, 4_600, 7


def main() -> None:
    """Print the ratios."""
    with scratch() as directory:
        write_project(directory, FILES, SIZE)
        (directory / "registry").mkdir()
        registry = Registry(directory / "registry")
        environment = {"REGISTRY": registry.host}
        run_once([*DOIT, "push_image"], directory, environment)
        versions = itertools.count(2)
        try:
            push, pack = in_turn(
                [
                    lambda: run_once(
                        [*DOIT, "-n", "0", "push_image"], directory, {"REGISTRY": f"{registry.host}/v{next(versions)}"}
                    ),
                    lambda: run_once(["sh", "-c", "tar c -C content . | gzip -1 > content.tar.gz"], directory),
                ],
                ROUNDS,
            )
            pull, extract = in_turn(
                [
                    lambda: run_once(
                        ["sh", "-c", f"rm -rf out; exec {' '.join(DOIT)} -n 0 pull_bundle"], directory, environment
                    ),
                    lambda: run_once(["sh", "-c", "rm -rf x; mkdir x; exec tar xzf content.tar.gz -C x"], directory),
                ],
                ROUNDS,
            )
        finally:
            registry.stop()
    report("push 5,000 files (23 MB)", f"{median(push):.2f} s, {ratio(push, pack):.2f} x tar | gzip -1", "0.45 s")
    report("pull them", f"{median(pull):.2f} s, {ratio(pull, extract):.2f} x tar xzf", "0.5 s")


if __name__ == "__main__":
    main()
