"""The start of the command: `bundlepipe version` beside Python that imports click and does nothing."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from statistics import median

from benchmarks._measure import in_turn, ratio, report, run_once, scratch

ROUNDS = 41


def main() -> None:
    """Print the ratio."""
    program = str(Path(sysconfig.get_path("scripts"), "bundlepipe"))
    with scratch() as directory:
        commands = [
            lambda: run_once([sys.executable, "-c", "import click"], directory),
            lambda: run_once([program, "version"], directory),
        ]
        reference, version = in_turn(commands, ROUNDS, warm_up=3)
    report("python -c 'import click'", f"{median(reference) * 1000:.0f} ms", "(reference)")
    report("bundlepipe version", f"{median(version) * 1000:.0f} ms, {ratio(version, reference):.2f} x", "1.5 x")


if __name__ == "__main__":
    main()
