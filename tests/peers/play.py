"""Playing a case: its scene is set, a command runs, and what comes of it is observed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from tests.peers.cases import Case
from tests.peers.outcome import Outcome, observe
from tests.peers.scene import Scene, Stage

# Runs the command of a case in a scene; returns exit status, stdout and stderr.
Run = Callable[[Case, Scene], tuple[int, str, str]]

# Seconds: what has not ended by then does not end.
_LONG = 120


def play(case: Case, stage: Stage, run: Run, number: int = 0) -> Outcome:
    """Return what comes of a case; it may be played again on a stage, with another number of one digit."""
    name = f"{case.name}-{number}"
    work = stage.directory / name / "work"
    work.mkdir(parents=True)
    scene = Scene(work, stage, name, f"{case.name}-0")
    with scene.homes:
        case.prepare(scene)
        return observe(scene, *run(case, scene))


def program(path: str | os.PathLike[str]) -> Run:
    """Return what runs the command by a program, as a process."""

    def run(case: Case, scene: Scene) -> tuple[int, str, str]:
        done = subprocess.run(
            [path, *map(scene.fill, case.arguments)],
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
