"""236 MB of YAML text to a registry on loopback and back, beside gzip and tar."""

from __future__ import annotations

import itertools
from statistics import median

from benchmarks._content import write_project
from benchmarks._measure import DOIT, in_turn, ratio, report, run_once, scratch
from tests.support.services import Registry

FILES, SIZE, ROUNDS = 40, 5_900_000, 5


def main() -> None:
    """Print the ratios."""
    with scratch() as directory:
        write_project(directory, FILES, SIZE)
        run_once(["tar", "cf", "content.tar", "-C", "content", "."], directory)
        (directory / "registry").mkdir()
        registry = Registry(directory / "registry")
        environment = {"REGISTRY": registry.host}
        run_once([*DOIT, "push_image"], directory, environment)
        versions = itertools.count(2)
        try:
            push, gzip = in_turn(
                [
                    # A repository of its own each time, so that nothing is there.
                    lambda: run_once(
                        [*DOIT, "-n", "0", "push_image"],
                        directory,
                        {"REGISTRY": f"{registry.host}/v{next(versions)}"},
                    ),
                    lambda: run_once(["sh", "-c", "gzip -1 -c content.tar > content.tar.gz"], directory),
                ],
                ROUNDS,
            )
            pull, tar = in_turn(
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
    report("push 236 MB of YAML", f"{median(push):.2f} s, {ratio(push, gzip):.2f} x gzip -1", "0.4 x")
    report("pull it", f"{median(pull):.2f} s, {ratio(pull, tar):.2f} x tar xzf", "0.55 x")


if __name__ == "__main__":
    main()
