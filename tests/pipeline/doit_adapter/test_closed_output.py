"""Output that nobody reads any more ends a run without a word, as it ends other programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.conftest import way
from tests.support.project import Project

__all__ = ["way"]

SIGPIPE_STATUS = 141
# Prints until somebody stops it, in whatever way doit runs it, while a program of the pipeline runs and runs.
ENDLESS = """
import itertools

def chatter():
    for number in itertools.count():
        print(number)

def task_chatter():
    return {"actions": [chatter], "verbosity": 2}
"""
SLOW = "renders:\n  slow: {files: [{run: [sh, -c, 'touch begun; exec sleep 300']}], output: build/slow.yml}\n"


@pytest.fixture
def project(project: Project) -> Project:
    """A project with something to tell."""
    project.pipeline("images:\n" + "".join(f"  image-{number}: {{files: [site]}}\n" for number in range(3)))
    project.write("site/index.html", "hello")
    return project


def _unread(project: Project, *arguments: str, both: bool = False) -> subprocess.CompletedProcess[str]:
    """Run doit with a standard output, or both streams, that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return _doit(project, arguments, stdout=writing, stderr=writing if both else subprocess.PIPE)
    finally:
        os.close(writing)


def _doit(project: Project, arguments: Sequence[str], *, stdout: int, stderr: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "doit", *arguments],
        check=False,
        cwd=project.directory,
        env={**os.environ, **project.environment},
        stdout=stdout,
        stderr=stderr,
        text=True,
        timeout=120,
    )


COMMANDS = [
    ("push_image",),
    ("-r", "console", "push_image"),
    ("list", "--all"),
    ("info", "push_image:image-0"),
    ("clean", "-n", "push_image"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("both", [False, True])
def test_output_that_nobody_reads_ends_doit_without_a_word(
    project: Project, arguments: tuple[str, ...], both: bool
) -> None:
    ended = _unread(project, *arguments, both=both)
    assert (ended.returncode, ended.stderr or "") == (SIGPIPE_STATUS, "")


def test_a_stream_that_a_dodo_py_closed_is_its_own(project: Project) -> None:
    project.write("dodo.py", "import sys\nsys.stderr.close()\n" + project.read("dodo.py"))
    assert "push_image:image-0" in project.doit("push_image").stdout


def test_output_that_a_dodo_py_began_ends_without_a_word_too(project: Project) -> None:
    project.write("dodo.py", "print('begun')\n" + project.read("dodo.py"))
    ended = _unread(project, "push_image")
    assert (ended.returncode, ended.stderr) == (SIGPIPE_STATUS, "")


@pytest.mark.parametrize("arguments", [("dumpdb",), ("-r", "json", "push_image")], ids=" ".join)
def test_output_in_one_piece_that_nobody_reads_ends_without_a_word(
    project: Project, arguments: tuple[str, ...]
) -> None:
    project.doit("push_image")
    ended = _unread(project, *arguments)
    # It is written when all is done, and what fits into a buffer so late that the exit status stands.
    assert ended.returncode in (0, SIGPIPE_STATUS)
    assert not ended.stderr


def test_a_run_whose_reader_has_gone_ends_in_every_way(project: Project, way: tuple[str, ...]) -> None:
    project.write("dodo.py", project.read("dodo.py") + ENDLESS)
    ended = _unread(project, *way, "chatter", "push_image")
    assert (ended.returncode, ended.stderr) == (SIGPIPE_STATUS, "")
    # Some of the tasks may have ended before; the next run does the others.
    project.doit("push_image")
    assert not project.doit("push_image").executed


def test_what_runs_is_given_up_when_the_reader_goes(project: Project) -> None:
    project.pipeline(SLOW)
    waits = "    while not os.path.exists('begun'):\n        time.sleep(0.01)\n"
    chatter = "import os, time\n" + ENDLESS.replace("    for number", f"{waits}    for number")
    project.write("dodo.py", project.read("dodo.py") + chatter)
    with subprocess.Popen(
        [sys.executable, "-m", "doit", "render_config", "chatter"],
        cwd=project.directory,
        env={**os.environ, **project.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        # The program, which has the pipe for its errors as well, has ended by then.
        said = process.stderr.read()
        assert process.wait(60) == SIGPIPE_STATUS
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_as_the_null_device(project: Project, arguments: tuple[str, ...], closed: str) -> None:
    command = ["sh", "-c", f'exec "$0" -m doit "$@" {closed}', sys.executable, *arguments]
    ended = subprocess.run(
        command,
        check=False,
        cwd=project.directory,
        env={**os.environ, **project.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    # By its status, info tells that the task is to run.
    assert (ended.returncode, ended.stderr) == (int(arguments[0] == "info"), "")


def test_a_closed_connection_is_no_closed_output(project: Project) -> None:
    more = """
import os

def write():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        os.write(writing, b"unread")
    except BrokenPipeError:
        print("seen")
    finally:
        os.close(writing)

def task_write():
    return {"actions": [write], "verbosity": 2}
"""
    project.write("dodo.py", project.read("dodo.py") + more)
    assert "seen" in project.doit("write", "push_image").stdout.splitlines()
