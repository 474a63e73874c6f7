"""Ends that are asked for, while others are on their way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doit.exceptions import TaskFailed

from bundlepipe.concurrency.cancellation import uninterrupted
from bundlepipe.concurrency.termination import end_at_once_if_interrupted, ending_behind, interrupt_between_steps
from bundlepipe.errors import StoreError
from bundlepipe.pipeline.running.action import Action
from tests.support.project import DODO, Project

# Seconds: what has not ended by then does not end.
LONG = 60


def _run(directory: Path, script: str) -> subprocess.CompletedProcess[str]:
    path = directory / "script.py"
    path.write_text(script)
    return subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=LONG, check=False)


def test_workers_are_told_to_end_until_they_do(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import multiprocessing, signal, sys, time
from bundlepipe.concurrency.termination import cancel_all_work

def work(is_ready):
    told = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7) if len(told) == 2 else told.append("again"))
    is_ready.set()
    while True:
        time.sleep(3600)

if __name__ == "__main__":
    is_ready = multiprocessing.Event()
    worker = multiprocessing.Process(target=work, args=(is_ready,))
    worker.start()
    is_ready.wait()
    cancel_all_work()
    print("given up")
""",
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "given up\n", "")


# Moments of a start of workers, as code of a dodo.py that sends a signal then.
MOMENTS = {
    "forked": "os.register_at_fork(after_in_parent=tell)",
    "in the worker": "os.register_at_fork(after_in_child=lambda: (tell(), os.kill(os.getpid(), NUMBER)))",
    "in the middle of a put": """
start = multiprocessing.queues.Queue._start_thread
def interrupted(self):
    tell()
    start(self)
    open("put", "w").close()
multiprocessing.queues.Queue._start_thread = interrupted
""",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS)
def test_told_to_end_while_it_starts_workers_a_run_ends_all_of_them(
    project: Project, number: signal.Signals, moment: str
) -> None:
    own = f"""
import multiprocessing.queues, os
NUMBER, process = {int(number)}, os.getpid()

def tell():
    os.kill(process, NUMBER)

{MOMENTS[moment]}

def task_wait():
    for number in range(2):
        yield {{"name": number, "actions": ["exec sleep 300"]}}
"""
    project.pipeline("")
    project.write("dodo.py", DODO + own)
    # Whoever is left would hold the streams.
    run = project.doit("-n", "2", "-P", "process", "wait", status=None)
    assert run.status == (-number if number == signal.SIGINT else 128 + number)
    assert "Exception ignored" not in run.stderr
    if moment == "in the middle of a put":
        assert (project.directory / "put").exists()


def test_an_interrupt_at_the_end_of_an_interrupted_run_leaves_no_traceback(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import signal, threading
from bundlepipe.concurrency.termination import report_interrupts_briefly

report_interrupts_briefly()
threading._register_atexit(lambda: signal.raise_signal(signal.SIGINT))
raise KeyboardInterrupt
""",
    )
    assert result.returncode == -signal.SIGINT
    assert result.stderr == "interrupted: the next run does what is not finished\n"


def test_a_command_that_is_interrupted_twice_leaves_no_traceback(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import signal, sys, threading
import click
from bundlepipe.cli import main, program
from bundlepipe.concurrency import termination

class Command:
    def main(self, *_, **options):
        raise click.Abort

cancel = termination.cancel_all_work
def cancelled():
    cancel()
    signal.raise_signal(signal.SIGINT)

program.command_of = lambda _: Command()
termination.cancel_all_work = cancelled
threading._register_atexit(lambda: signal.raise_signal(signal.SIGINT))
sys.argv = ["bundlepipe", "version"]
main.main()
""",
    )
    assert (result.returncode, result.stderr) == (-signal.SIGINT, "bundlepipe: interrupted\n")


def test_an_interrupt_cancels_work_though_nobody_can_be_told(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import threading
from bundlepipe.concurrency.cancellation import Cancellation, cancellable, pause
from bundlepipe.concurrency.termination import report_interrupts_briefly

is_working = threading.Event()
def work():
    is_working.set()
    pause(60)

def run():
    try:
        cancellable(Cancellation(), work)
    except BaseException as error:
        print(type(error).__name__)

report_interrupts_briefly()
threading.Thread(target=run).start()
is_working.wait()
raise KeyboardInterrupt
"""
    )
    for redirected in ("2>/dev/full", "2>&-"):
        command = ["sh", "-c", f"exec {sys.executable} {script} {redirected}"]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LONG, check=False)
        assert result.stdout == "Cancelled\n", redirected


def test_another_interrupt_ends_the_wait_for_workers(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import multiprocessing, os, signal, threading, time
from bundlepipe.concurrency.termination import report_interrupts_briefly

def work(is_ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    is_ready.set()
    while True:
        time.sleep(3600)

if __name__ == "__main__":
    report_interrupts_briefly()
    is_ready = multiprocessing.Event()
    worker = multiprocessing.Process(target=work, args=(is_ready,))
    worker.start()
    is_ready.wait()
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    raise KeyboardInterrupt
""",
    )
    assert result.returncode == -signal.SIGINT
    # A worker that is left would hold the streams.
    assert result.stderr == "interrupted: the next run does what is not finished\n"


def test_the_handler_of_a_host_program_stays() -> None:
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        own = signal.getsignal(signal.SIGINT)
        end_at_once_if_interrupted()
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_must_not_be_interrupted_is_done_first() -> None:
    done = []

    def work() -> None:
        with uninterrupted:
            with uninterrupted:
                signal.raise_signal(signal.SIGINT)
            done.append("the rest")

    interrupt_between_steps()
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert done == ["the rest"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_program_that_is_just_being_started_is_ended(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import os, signal, subprocess
from bundlepipe.concurrency.termination import end_orderly
from bundlepipe.concurrency.processes import run_program

start = subprocess.Popen._execute_child
def interrupted(self, *arguments):
    start(self, *arguments)
    print(self.pid, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

subprocess.Popen._execute_child = interrupted
end_orderly()
run_program(["sleep", "300"], print)
""",
    )
    assert (result.returncode, result.stderr) == (128 + signal.SIGTERM, "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(result.stdout), 0)


@pytest.mark.parametrize("reporter", ["console", "executed-only"])
def test_every_reporter_ends_an_interrupted_run_by_a_line(project: Project, reporter: str) -> None:
    own = "import os, signal\ndef task_end():\n    return {'actions': [lambda: os.kill(os.getpid(), signal.SIGINT)]}\n"
    project.pipeline("")
    project.write("dodo.py", DODO + own)
    run = project.doit("-r", reporter, "-n", "2", "-P", "process", "end", status=None)
    assert run.stderr.splitlines()[-1] == "interrupted: the next run does what is not finished"
    assert "Traceback" not in run.stderr


def test_workers_that_never_end_are_killed(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import multiprocessing, signal, time
from bundlepipe.concurrency import termination

def work(is_ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    is_ready.set()
    while True:
        time.sleep(3600)

if __name__ == "__main__":
    termination._PATIENCE, termination._SIGNALS = 0.01, 3
    is_ready = multiprocessing.Event()
    worker = multiprocessing.Process(target=work, args=(is_ready,))
    worker.start()
    is_ready.wait()
    termination.cancel_all_work()
""",
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_termination_does_not_come_in_the_middle_of_an_interruption(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import signal
from bundlepipe.concurrency.termination import end_orderly

end_orderly()
try:
    try:
        raise KeyboardInterrupt
    finally:
        signal.raise_signal(signal.SIGTERM)
        print("tidied up")
except KeyboardInterrupt:
    raise SystemExit(3)
""",
    )
    assert (result.returncode, result.stdout, result.stderr) == (3, "tidied up\n", "")


def test_a_termination_does_not_wait_for_an_interruption_for_ever(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import signal
from bundlepipe.concurrency import termination

termination._GRACE = 0
termination.end_orderly()
try:
    raise KeyboardInterrupt
except KeyboardInterrupt:
    for _ in range(100000):
        signal.raise_signal(signal.SIGTERM)
""",
    )
    assert (result.returncode, result.stdout, result.stderr) == (128 + signal.SIGTERM, "", "")


def test_who_is_told_to_end_again_while_threads_tidy_up_does_so(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import signal, threading, time
from bundlepipe.concurrency.cancellation import Cancellation, cancellable
from bundlepipe.concurrency import termination

termination._GRACE = 3600
termination.end_orderly()
threading.Thread(target=cancellable, args=(Cancellation(), lambda: time.sleep(3600)), daemon=True).start()
time.sleep(0.2)
termination.cancel_all_work()
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
signal.alarm(1)
""",
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def _masked(ending: type[BaseException], failure: Exception) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        try:
            raise ending
        finally:
            raise failure

    return work


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(
    "failure", [RuntimeError("cannot release un-acquired lock"), OSError("disk full"), StoreError("gone")]
)
def test_what_fails_while_an_interruption_tidies_up_does_not_hide_it(
    ending: type[BaseException], failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = Action()
    monkeypatch.setattr(action, "work", _masked(ending, failure))
    with pytest.raises(ending):
        action.execute()


def test_a_failure_after_an_exit_that_was_dealt_with_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> dict[str, Any]:
        try:
            sys.exit("inner")
        except SystemExit as error:
            raise StoreError("the program said no") from error

    action = Action()
    monkeypatch.setattr(action, "work", work)
    assert isinstance(action.execute(), TaskFailed)


def test_a_failure_while_an_interruption_is_dealt_with_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> dict[str, Any]:
        raise StoreError("gone")

    action = Action()
    monkeypatch.setattr(action, "work", work)
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert isinstance(action.execute(), TaskFailed)


def test_other_failures_have_no_ending_behind_them() -> None:
    failure = StoreError("gone")
    failure.__context__ = KeyError("x")
    failure.__context__.__context__ = failure
    assert ending_behind(failure) is None
    assert ending_behind(None) is None
