"""Runs that end early are reported: by an exception, a signal, or output that cannot be written."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.project import DODO, Project
from tests.support.reports import LOTS, ONLY_REPORTER, REPORTED, report_of, tasks_of
from tests.support.services import program


def test_a_run_that_doit_aborts_is_reported(chain: Project) -> None:
    own = """
def task_spoil():
    return {"actions": ["rm -f .bundlepipe/doit.db && mkdir .bundlepipe/doit.db"]}

def task_after():
    return {"actions": ["true"], "task_dep": ["spoil"]}
"""
    chain.write("dodo.py", DODO + own)
    chain.doit("-n", "0", "after", env={"BUNDLEPIPE_REPORT": "report.json,junit.xml,summary.md"}, status=2)
    report = report_of(chain)
    assert report["outcome"] == "failed"
    assert ["what spoil did cannot be recorded" in error for error in report["errors"]] == [True]
    assert tasks_of(report)["after"]["state"] == "notReached"
    suites = ElementTree.fromstring(chain.read("junit.xml"))
    assert [case.get("name") for case in suites.findall(".//testcase[error]")][-1] == "run 1"
    assert "what spoil did cannot be recorded" in chain.read("summary.md")


@pytest.mark.parametrize("parallel", [("-n", "0"), ("-n", "4"), ("-n", "4", "-P", "thread")], ids=" ".join)
@pytest.mark.parametrize(
    ("task", "error"),
    [("checks", "ZeroDivisionError: division by zero"), ("result", "TypeError: Object of type object is not JSON")],
)
def test_a_run_that_ends_in_an_exception_failed(
    chain: Project, parallel: tuple[str, ...], task: str, error: str
) -> None:
    own = """
def result():
    return {"value": object()}

def task_checks():
    return {"actions": ["true"], "uptodate": [lambda: 1 / 0]}

def task_result():
    return {"actions": [result]}
"""
    chain.write("dodo.py", DODO + own)
    chain.doit(*parallel, task, env={"BUNDLEPIPE_REPORT": "report.json,junit.xml,summary.md"}, status=3)
    report = report_of(chain)
    assert report["outcome"] == "failed"
    assert [text.startswith(error) for text in report["errors"]] == [True]
    assert "Traceback (most recent call last):" in report["errors"][0]
    suites = ElementTree.fromstring(chain.read("junit.xml"))
    (case,) = suites.findall(".//testsuite[@name='run']/testcase/error")
    assert (case.get("message") or "").startswith(error)
    assert error in chain.read("summary.md")


@pytest.mark.parametrize("parallel", [("-n", "0"), ("-n", "2"), ("-n", "2", "-P", "thread")], ids=" ".join)
def test_a_teardown_that_fails_is_reported(chain: Project, parallel: tuple[str, ...]) -> None:
    own = """
def task_own():
    return {"actions": ["true"], "teardown": ["exit 7"]}
"""
    chain.write("dodo.py", DODO + own)
    chain.doit(*parallel, "own", env=REPORTED)
    report = report_of(chain)
    # doit does not pass on the error itself.
    assert report["errors"] == ["ERROR: task 'own' teardown action"]
    assert (report["outcome"], tasks_of(report)["own"]["state"]) == ("failed", "done")


@pytest.mark.parametrize("parallel", [("-n", "0"), ("-n", "2", "-P", "thread"), ("-n", "2")], ids=" ".join)
@pytest.mark.parametrize("dodo", [DODO, ONLY_REPORTER], ids=["pipeline", "only the reporter"])
def test_a_run_whose_reader_has_gone_is_reported(chain: Project, parallel: tuple[str, ...], dodo: str) -> None:
    chain.write("dodo.py", dodo + LOTS)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = run_with_output(chain, writing, *parallel, "lots")
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")
    report = report_of(chain)
    assert report["outcome"] == "interrupted"
    assert report["counts"]["notReached"] > 0


@pytest.mark.parametrize("parallel", [("-n", "0"), ("-n", "2", "-P", "thread"), ("-n", "2")], ids=" ".join)
@pytest.mark.parametrize("dodo", [DODO, ONLY_REPORTER], ids=["pipeline", "only the reporter"])
def test_a_run_whose_output_cannot_be_written_is_reported(chain: Project, parallel: tuple[str, ...], dodo: str) -> None:
    chain.write("dodo.py", dodo + LOTS)
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb") as full:
        ended = run_with_output(chain, full.fileno(), *parallel, "lots")
    message = f"the output cannot be written: {os.strerror(errno.ENOSPC)}"
    assert (ended.returncode, ended.stderr) == (1, f"ERROR: {message}\n")
    report = report_of(chain)
    assert (report["outcome"], report["errors"]) == ("failed", [message])


def test_only_the_summary_is_lost_if_nobody_reads_it(chain: Project) -> None:
    # All that is printed is at the end: the run itself succeeds.
    chain.write("dodo.py", ONLY_REPORTER + "def task__hidden():\n    return {'actions': ['true']}\n")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run_with_output(chain, writing, "_hidden", BUNDLEPIPE_SHOW="all")
    finally:
        os.close(writing)
    assert report_of(chain)["outcome"] == "succeeded"


def run_with_output(project: Project, output: int, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run doit with a descriptor as standard output, and a report."""
    return subprocess.run(
        [sys.executable, "-m", "doit", *arguments],
        check=False,
        cwd=project.directory,
        env={**os.environ, **project.environment, **REPORTED, **env},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_is_reported(chain: Project, way: tuple[str, ...], number: int) -> None:
    wait = """
def task_wait():
    return {"actions": ["touch waiting; exec sleep 60"], "task_dep": ["push_bundle:leaf"]}

def task_after():
    return {"actions": ["true"], "task_dep": ["wait"]}
"""
    chain.write("dodo.py", chain.read("dodo.py") + wait)
    process = interrupted(chain, number, *way, "after")
    assert process.returncode != 0
    report = report_of(chain)
    assert report["outcome"] == "interrupted"
    tasks = tasks_of(report)
    # Workers may not have told yet what they began.
    assert tasks["wait"]["state"] in ("interrupted", "notReached")
    assert tasks["after"]["state"] == "notReached"
    assert tasks["push_bundle:leaf"]["state"] == "done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("parallel", [("-n", "0"), ("-n", "2", "-P", "thread"), ("-n", "2", "-P", "process")])
def test_an_interrupted_run_without_a_pipeline_is_reported(
    chain: Project, parallel: tuple[str, ...], number: int
) -> None:
    # A program of a user's own goes on, with the output; a worker must not.
    wait = """
import os, pathlib, time

def wait():
    pathlib.Path("worker").write_text(str(os.getpid()))
    pathlib.Path("waiting").touch()
    time.sleep(60)

def task_wait():
    return {"actions": [wait] if %r else ["echo $$ > worker; touch waiting; exec sleep 5"]}
"""
    chain.write("dodo.py", ONLY_REPORTER + wait % ("process" in parallel))
    process = interrupted(chain, number, *parallel, "wait", only_main=True)
    assert process.returncode != 0
    report = report_of(chain)
    assert (report["outcome"], report["counts"]["interrupted"] + report["counts"]["notReached"]) == ("interrupted", 1)
    # It may be a zombie until its parent has waited for it.
    worker = int(chain.read("worker"))
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
        assert state == "Z" or "process" not in parallel


def test_a_hangup_that_nohup_ignores_ends_nothing(chain: Project) -> None:
    wait = """
def task_wait():
    return {"actions": ["touch waiting; while ! test -e enough; do sleep 0.05; done"]}
"""
    chain.write("dodo.py", ONLY_REPORTER + wait)
    process = interrupted(chain, signal.SIGHUP, "wait", before=[program("nohup")])
    assert process.returncode == 0
    assert report_of(chain)["outcome"] == "succeeded"


def interrupted(
    project: Project, number: int, *arguments: str, only_main: bool = False, before: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Run doit, and send a signal to its processes, or to the first of them, when a task has begun; return its end."""
    with subprocess.Popen(
        [*before, sys.executable, "-m", "doit", *arguments],
        cwd=project.directory,
        env={**os.environ, **project.environment, **REPORTED},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not (project.directory / "waiting").exists():
            assert process.poll() is None
        if only_main:
            os.kill(process.pid, number)
        else:
            os.killpg(process.pid, number)
        project.write("enough", "")
        process.communicate(timeout=50)
    return process
