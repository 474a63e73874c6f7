"""This checkout beside another commit of it: the same command lines, in turn; ratios below 1 are faster than before.

Both versions are installed into new environments, so that nothing but the code differs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks._comparison import duration
from benchmarks._measure import in_turn, ratio, run_once
from benchmarks._programs import GROUPS, SMALL, Groups, Program, Scene, Sizes, Work, installed, scene
from benchmarks.noop import FILES, load_generator

ROOT = Path(__file__).parents[1]
BUNDLES = (1, 200, 1_000)
# Longer than file systems and bundlepipe need to tell times apart.
_SETTLED_SECONDS = "2.5"


def main() -> None:
    """Install both versions, measure, and print the ratios."""
    arguments = _arguments()
    commit = _commit(arguments.revision)
    with scene(SMALL if arguments.small else Sizes()) as place:
        print(f"installing this checkout and {commit[:12]}", flush=True)
        programs = [_install("now", ROOT, place), _install("before", _tree(commit, place.directory), place)]
        groups: Groups = {**GROUPS, "doit": partial(_nothing_to_do, programs, (1, 20) if arguments.small else BUNDLES)}
        print(f"{'work':<44} {'before':>8} {'now':>8} {'ratio':>7}", flush=True)
        for work in _works(place, groups, arguments.only):
            now, before = in_turn([partial(place.seconds, program, work) for program in programs], arguments.rounds)
            measured = f"{duration(median(before)):>8} {duration(median(now)):>8} {ratio(now, before):>5.2f} x"
            counted = _instructions(place, programs, work) if arguments.instructions and work.small else ""
            print(f"{work.title:<44} {measured}{counted}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("revision", metavar="REV", help="the other commit, as git names it")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each command (default: 7)")
    parser.add_argument("--only", action="append", choices=["doit", *GROUPS], help="these works alone; may be repeated")
    parser.add_argument("--small", action="store_true", help="little content: shows that all works, not how fast")
    parser.add_argument(
        "--instructions",
        action="store_true",
        help="also count instructions of small works, which do not depend on the load; needs valgrind",
    )
    arguments = parser.parse_args()
    if arguments.instructions and not shutil.which("valgrind"):
        parser.error("--instructions needs valgrind, which is not on PATH")
    return arguments


def _commit(revision: str) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{revision}: git has no such commit in {ROOT}{': ' if done.stderr else ''}{done.stderr.strip()}")
    return done.stdout.strip()


def _tree(commit: str, directory: Path) -> Path:
    """Return the files of a commit; unlike a worktree they leave nothing behind in the repository if this is killed."""
    tree = directory / "tree"
    tree.mkdir()
    run_once(["git", "archive", "--format=tar", f"--output={directory / 'tree.tar'}", commit], ROOT)
    run_once(["tar", "xf", "tree.tar", "-C", "tree"], directory)
    return tree


def _install(label: str, tree: Path, place: Scene) -> Program:
    environment = place.directory / f"environment-{label}"
    run_once([sys.executable, "-m", "venv", str(environment)], place.directory)
    # As doitw does: by default, pip caches in HOME.
    cache = {"PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(ROOT / ".cache/pip"))}
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_once([*pip, str(tree)], place.directory, cache)
    return installed(label, environment / "bin")


def _works(place: Scene, groups: Groups, only: list[str] | None) -> Iterator[Work]:
    for group in only or ["small", "doit", "copy", "files", "text"]:
        yield from groups[group](place)


def _nothing_to_do(programs: list[Program], sizes: tuple[int, ...], place: Scene) -> Iterator[Work]:
    """List the tasks of pipelines and run them with nothing to do, each version in projects of its own."""
    projects = {bundles: f"bundles-{bundles}" for bundles in sizes}
    states = [
        (program, place.directory / project / program.label) for project in projects.values() for program in programs
    ]
    for bundles, project in projects.items():
        for program in programs:
            load_generator().write_monorepo(place.directory / project / program.label, bundles, FILES, flat=True)
    # Twice: what was written a moment ago is hashed once more before its stamps are trusted.
    for wait in (_SETTLED_SECONDS, "0"):
        for program, directory in states:
            run_once([program.paths["doit"]], directory)
        run_once(["sleep", wait], place.directory)
    for bundles, project in projects.items():
        several = "1 bundle" if bundles == 1 else f"{bundles:,} bundles"
        yield Work(f"doit list, {several}", lambda _: ("doit", "list"), small=True, project=project)
        yield Work(f"doit with nothing to do, {several}", lambda _: ("doit",), small=True, project=project)


def _instructions(place: Scene, programs: list[Program], work: Work) -> str:
    now, before = (place.instructions(program, work) for program in programs)
    return f"   {now / before:.3f} x {before / 1e6:,.0f} M instructions"


if __name__ == "__main__":
    main()
