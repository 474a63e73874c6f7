"""Every command beside imgpkg's, where imgpkg is on PATH: the same command lines, with one registry, in turn."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median

from benchmarks._comparison import Comparison, Row, duration, write
from benchmarks._measure import in_turn, ratio
from benchmarks._programs import GROUPS, HERE, SMALL, Program, Scene, Sizes, Work, scene

# What no command that talks to a registry can do without.
_START = Work("start", lambda _: ("python", "-c", "import urllib3, click"))


def main() -> None:
    """Measure, print the table, and record it if that is asked for."""
    arguments = _arguments()
    imgpkg = shutil.which("imgpkg")
    if not imgpkg:
        print("imgpkg is not on PATH: bundlepipe is measured alone")
    rows = []
    print(f"{'work':<40} {'bundlepipe':>10} {'imgpkg':>10} {'ratio':>7} {'start':>7}   budget", flush=True)
    with scene(SMALL if arguments.small else Sizes()) as place:
        for row in _rows(place, imgpkg, arguments.only, arguments.rounds):
            rows.append(row)
            _print(row)
        if arguments.record and imgpkg:
            python, cores = platform.python_version(), os.cpu_count() or 1
            write(Comparison(_version(imgpkg), python, cores, arguments.rounds, tuple(rows)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imgpkg", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each command (default: 7)")
    parser.add_argument("--only", action="append", choices=list(GROUPS), help="these works alone; may be repeated")
    parser.add_argument("--small", action="store_true", help="little content: shows that all works, not how fast")
    parser.add_argument("--record", action="store_true", help="write the figures to the file for the documentation")
    arguments = parser.parse_args()
    if arguments.record and (arguments.only or arguments.small or not shutil.which("imgpkg")):
        parser.error("--record is for all works at full size, with imgpkg on PATH")
    arguments.only = arguments.only or list(GROUPS)
    return arguments


def _rows(place: Scene, imgpkg: str | None, groups: Sequence[str], rounds: int) -> Iterator[Row]:
    programs = [HERE, *([Program("imgpkg", {"bundlepipe": imgpkg})] if imgpkg else [])]
    for group in groups:
        for work in GROUPS[group](place):
            runs = [(program, work) for program in programs] + ([(HERE, _START)] if work.small else [])
            samples = in_turn([partial(place.seconds, *run) for run in runs], rounds)
            ours = samples[0]
            theirs = samples[1] if imgpkg else []
            yield Row(
                work.title,
                round(median(ours), 4),
                round(median(theirs), 4) if theirs else 0,
                round(ratio(ours, theirs), 3) if theirs else 0,
                round(median(samples[-1]), 4) if work.small else None,
                work.budget,
            )


def _print(row: Row) -> None:
    imgpkg, compared = (duration(row.imgpkg), f"{row.ratio:.2f} x") if row.imgpkg else ("-", "-")
    start = "" if row.start is None else duration(row.start)
    # Ratios have no verdict without imgpkg.
    verdict = row.verdict if row.imgpkg or row.start is not None else ""
    print(
        f"{row.title:<40} {duration(row.seconds):>10} {imgpkg:>10} {compared:>7} {start:>7}   {row.allowed} {verdict}",
        flush=True,
    )


def _version(imgpkg: str) -> str:
    words = subprocess.run([imgpkg, "version"], check=True, capture_output=True, text=True).stdout.split()
    return words[words.index("version") + 1]


if __name__ == "__main__":
    main()
