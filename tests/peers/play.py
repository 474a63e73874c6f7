"""Playing a case: its scene is set, a command runs, and what comes of it is observed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from tests.peers.cases import Case
from tests.peers.outcome import Outcome, files_of, observe
from tests.peers.scene import Scene, Stage

# Runs a command line of a case in a scene; returns exit status, stdout and stderr.
Run = Callable[[Case, Scene, list[str]], tuple[int, str, str]]

# Seconds: what has not ended by then does not end.
_LONG = 120


def play(case: Case, stage: Stage, run: Run, number: int = 0) -> Outcome:
    """Return what comes of a case; it may be played again on a stage, with another number of one digit."""
    name = f"{case.name}-{number}"
    work = stage.directory / name / "work"
    work.mkdir(parents=True)
    scene = Scene(work, stage, name, f"{case.name}-0")
    with scene.stores:
        case.prepare(scene)
        before = files_of(scene)
        return observe(scene, before, *_run_all(case, scene, run))


def _run_all(case: Case, scene: Scene, run: Run) -> tuple[int, str, str]:
    """Run the command lines of a case until one fails; return the last status, and what all printed."""
    printed, status = ["", ""], 0
    for line in case.lines():
        status, *streams = run(case, scene, [scene.fill(argument) for argument in line])
        printed = [before + after for before, after in zip(printed, streams, strict=True)]
        if status:
            break
    return status, printed[0], printed[1]


def program(path: str | os.PathLike[str]) -> Run:
    """Return what runs the command by a program, as a process."""

    def run(case: Case, scene: Scene, arguments: list[str]) -> tuple[int, str, str]:
        done = subprocess.run(
            [path, *arguments],
            cwd=scene.directory,
            env=scene.environment(case.environment),
            input=scene.fill(case.stdin),
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONG,
        )
        return done.returncode, done.stdout, done.stderr

    return run
