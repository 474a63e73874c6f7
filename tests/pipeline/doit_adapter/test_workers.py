"""Worker processes end when their run does, even where nobody can tell them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import way
from tests.support.processes import is_running, until
from tests.support.project import Project

__all__ = ["way"]

processes = pytest.mark.parametrize("way", ["fork", "forkserver"], indirect=True)
# Each worker writes which process it is.
TASKS = """
import os, pathlib, signal, time

def begin(number):
    pathlib.Path(f"worker-{number}").write_text(str(os.getpid()))

def lose_exit():
    begin(0)
    try:
        signal.raise_signal(signal.SIGTERM)
    except SystemExit:
        while not os.path.exists("worker-1"):
            time.sleep(0.05)

def task_each():
    for number in range(3):
        yield {"name": str(number), "actions": [(begin, [number])]}

def task_last():
    return {"actions": ["sleep 2"], "task_dep": ["each"]}

def task_lost():
    return {"actions": [lose_exit]}

def task_beside():
    return {"actions": [(begin, [1]), "sleep 5"]}

def task_after_lost():
    return {"actions": [(begin, [2])], "task_dep": ["lost", "beside"]}

def be_killed():
    begin(0)
    os.kill(os.getpid(), signal.SIGKILL)

def task_killed():
    return {"actions": [be_killed]}
"""


@pytest.fixture
def project(project: Project) -> Project:
    """A project whose tasks are all its own."""
    project.pipeline("bundles: {}\n")
    return project


def run(project: Project, way: tuple[str, ...], *tasks: str) -> subprocess.Popen[str]:
    """Start doit with the tasks of this module."""
    project.write("dodo.py", project.read("dodo.py") + TASKS)
    return subprocess.Popen(
        [sys.executable, "-m", "doit", *way, *tasks],
        cwd=project.directory,
        env={**os.environ, **project.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@processes
def test_workers_end_after_a_run_that_was_killed(project: Project, way: tuple[str, ...]) -> None:
    with run(project, way, "last") as process:
        marks = [project.directory / f"worker-{number}" for number in range(3)]
        until(lambda: all(mark.exists() and mark.read_text() for mark in marks))
        workers = {int(mark.read_text()) for mark in marks}
        assert process.pid not in workers
        process.send_signal(signal.SIGKILL)
        until(lambda: not any(map(is_running, workers)))


@processes
@pytest.mark.parametrize("task", ["after_lost", "killed"])
def test_a_worker_that_ends_on_its_own_ends_the_run(project: Project, way: tuple[str, ...], task: str) -> None:
    process = run(project, way, task)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0, output
    worker = int((project.directory / "worker-0").read_text())
    until(lambda: not is_running(worker))
    if task == "killed":
        assert "a worker process ended by signal 9 before its task was done" in output
    assert "Traceback" not in output
