"""What users' Python actions print arrives, each line whole and with its task, in threads as without."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.project import Project

TASKS = 5
LINES = 20
DODO = """\
import sys, threading
from bundlepipe import {imported}

pipeline = Pipeline()
TASKS, LINES = {tasks}, {lines}
# All actions are in the middle of printing at the same time; one by one, nobody is waited for.
together = threading.Barrier(TASKS if "thread" in sys.argv else 1)

def say(name):
    for number in range(LINES):
        sys.stdout.write(f"{{name}} says ")
        together.wait(60)
        print(number)
    print(f"{{name}} complains", file=sys.stderr)
    together.wait(60)
    if name == "task 0":
        raise ValueError("on purpose")

def task_say():
    for number in range(TASKS):
        yield {{"name": str(number), "actions": [(say, [f"task {{number}}"])]}}

def task_later():
    return {{
        "actions": [lambda: print("later"), lambda: print("and later", file=sys.stderr), "echo from a program"],
        "task_dep": ["say:1", "say:2"],
    }}
"""
OPTIONS = ("--continue", "-n", str(TASKS), "-P", "thread")
REPORTERS = ["", "console", "executed-only"]


@pytest.fixture
def project(project: Project) -> Project:
    """A project whose tasks all print at the same time."""
    project.write("dodo.py", DODO.format(imported="DOIT_CONFIG, Pipeline", tasks=TASKS, lines=LINES))
    return project


def _said(output: str, name: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(f"{name} ")]


def _expected(name: str) -> list[str]:
    return [f"{name} says {number}" for number in range(LINES)]


@pytest.mark.parametrize("reporter", REPORTERS)
def test_all_lines_arrive_whole_and_in_order(project: Project, reporter: str) -> None:
    chosen = ("-r", reporter) if reporter else ()
    run = project.doit(*OPTIONS, *chosen, "-v", "2", "say", "later", status=2)
    for number in range(TASKS):
        assert _said(run.stdout, f"task {number}") == _expected(f"task {number}")
        assert f"task {number} complains" in run.stderr.splitlines()
    assert {"later", "from a program"} <= set(run.stdout.splitlines())
    assert "and later" in run.stderr.splitlines()


def test_a_configuration_of_the_users_own_is_served_as_well(project: Project) -> None:
    config = f'DOIT_CONFIG = {{"num_process": {TASKS}, "par_type": "thread", "verbosity": 2, "continue": True}}\n'
    text = DODO.format(imported="Pipeline", tasks=TASKS, lines=LINES).replace('"thread" in sys.argv', "True")
    project.write("dodo.py", text + config)
    run = project.doit("say", status=2)
    assert all(_said(run.stdout, f"task {number}") == _expected(f"task {number}") for number in range(TASKS))


@pytest.mark.parametrize("reporter", REPORTERS[:2])
@pytest.mark.parametrize("verbosity", ["0", "1"])
def test_a_failed_task_shows_its_own_lines_and_no_others(project: Project, verbosity: str, reporter: str) -> None:
    chosen = ("-r", reporter) if reporter else ()
    run = project.doit(*OPTIONS, *chosen, "-v", verbosity, "say", status=2)
    assert [line for line in run.stdout.splitlines() if " says " in line] == _expected("task 0")
    complaints = {line for line in run.stderr.splitlines() if "complains" in line}
    assert complaints == (set() if verbosity == "0" else {f"task {number} complains" for number in range(TASKS)})
    assert ("task 0 complains" in run.stdout.splitlines()) == (verbosity == "0")
    assert "ValueError: on purpose" in run.output


def test_the_json_reporter_has_the_output_of_each_task(project: Project) -> None:
    run = project.doit(*OPTIONS, "-r", "json", "say", status=2)
    results = {task["name"]: task for task in json.loads(run.stdout)["tasks"]}
    for number in range(TASKS):
        assert results[f"say:{number}"]["out"].splitlines() == _expected(f"task {number}")
        assert results[f"say:{number}"]["err"] == f"task {number} complains\n"


@pytest.mark.parametrize("verbosity", ["0", "1", "2"])
def test_threads_print_what_a_run_without_them_prints(project: Project, verbosity: str) -> None:
    threads, serial = (
        project.doit("--continue", "-v", verbosity, *options, "say", "later", status=2)
        for options in (("-n", str(TASKS), "-P", "thread"), ("-n", "0"))
    )
    # Frames of our own are on the way to the action; how long it takes differs.
    without_frames = re.compile(r'  File ".*\n(    .*\n)+| in \d+\.\d s')
    for stream in ("stdout", "stderr"):
        lines = [sorted(without_frames.sub("", getattr(run, stream)).splitlines()) for run in (threads, serial)]
        assert lines[0] == lines[1]


SPECIAL = """\
import asyncio, contextlib, io, logging, sys, threading, traceback
from concurrent.futures import ThreadPoolExecutor
from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline()
handled = logging.getLogger("handled")

def nested():
    thread = threading.Thread(target=print, args=("in a thread",))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(print, ["in a pool", "in a pool"]))
    asyncio.run(asyncio.to_thread(print, "by asyncio"))

def log():
    handled.addHandler(logging.StreamHandler())
    handled.warning("first")

def log_again():
    handled.warning("second")

def lines():
    sys.stdout.write("a\\nb\\nc")
    print("d", end="", flush=True)

def caught():
    try:
        raise ValueError("caught")
    except ValueError:
        traceback.print_exc()

def redirected():
    with contextlib.redirect_stdout(io.StringIO()) as found:
        print("unseen")
    print("seen", len(found.getvalue()))

def wrong():
    sys.stdout.write(b"bytes")

def stream():
    try:
        sys.stdout.fileno()
    except io.UnsupportedOperation:
        print("no descriptor,", "terminal" if sys.stdout.isatty() else "no terminal,", sys.stdout.encoding)

def fail():
    return False

def task_t():
    for function in (nested, log, log_again, lines, caught, redirected, wrong, stream):
        yield {"name": function.__name__, "actions": [function, fail]}

def task_shown():
    return {"actions": [lambda: print("shown without capture")], "io": {"capture": False}, "verbosity": 2}

def task_teardown():
    return {"actions": [lambda: print("action")], "teardown": [lambda: print("torn down")], "verbosity": 2}
"""


def _outputs(project: Project, *names: str, options: tuple[str, ...] = ("-n", "2", "-P", "thread")) -> dict[str, str]:
    """Return what doit shows of tasks that fail, by task and stream."""
    project.write("dodo.py", SPECIAL)
    run = project.doit(
        "--continue", *options, "-v", "0", "-r", "console", *(f"t:{name}" for name in names), status=None
    )
    parts = re.split(r"t:(\w+ <std\w+>):\n", run.stdout)
    return {key: text.partition("####")[0] for key, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_threads_of_an_action_print_as_it_does(project: Project) -> None:
    found = _outputs(project, "nested")["nested <stdout>"]
    assert sorted(found.split("\n")) == ["", "", "by asyncio", "in a pool", "in a pool", "in a thread"]


def test_logging_goes_to_the_task_that_logs(project: Project) -> None:
    found = _outputs(project, "log", "log_again", options=("-n", "1", "-P", "thread"))
    assert found["log <stderr>"] == "first\n\n"
    assert found["log_again <stderr>"] == "second\n\n"


@pytest.mark.parametrize("name", ["lines", "caught", "redirected"])
def test_streams_do_what_those_of_doit_do(project: Project, name: str) -> None:
    threads, serial = _outputs(project, name), _outputs(project, name, options=("-n", "0"))
    assert any(text.strip() for text in threads.values())
    assert threads == serial


def test_a_captured_stream_says_what_it_is(project: Project) -> None:
    assert _outputs(project, "stream")["stream <stdout>"].startswith("no descriptor, no terminal, utf-8\n")


def test_bytes_are_refused_as_by_any_text_stream(project: Project) -> None:
    project.write("dodo.py", SPECIAL)
    run = project.doit("-n", "2", "-P", "thread", "t:wrong", status=2)
    assert "TypeError: write() argument must be str, not bytes" in run.output


def test_uncaptured_output_and_teardown_are_shown(project: Project) -> None:
    project.write("dodo.py", SPECIAL)
    lines = project.doit("-n", "2", "-P", "thread", "shown", "teardown").stdout.splitlines()
    assert {"shown without capture", "action", "torn down"} <= set(lines)


OVERLAPPING = """\
import contextlib, io, sys, threading
from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline()
first_redirects, second_redirects, first_is_back = (threading.Event() for _ in range(3))

def first():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        first_redirects.set()
        assert second_redirects.wait(60)
    first_is_back.set()

def second():
    first_redirects.wait(60)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        second_redirects.set()
        assert first_is_back.wait(60)
    print("second is back")

def say(name):
    print("hello from", name)
    print("complaint of", name, file=sys.stderr)

def task_first():
    return {"actions": [first]}

def task_second():
    # The action is to begin while the other one redirects.
    return {"actions": [first_redirects.wait, second, (say, ["second"])]}

def task_third():
    return {"actions": [(say, ["third"])], "task_dep": ["first", "second"]}

def task_fourth():
    return {"actions": [(say, ["fourth"]), "echo hello from a program"], "task_dep": ["third"]}
"""


@pytest.mark.parametrize("verbosity", ["1", "2"])
def test_redirections_that_overlap_swallow_nothing_of_later_tasks(project: Project, verbosity: str) -> None:
    project.write("dodo.py", OVERLAPPING)
    run = project.doit("-n", "2", "-P", "thread", "-v", verbosity, "first", "second", "third", "fourth")
    for name in ("second", "third", "fourth"):
        assert (f"hello from {name}" in run.stdout.splitlines()) == (verbosity == "2")
        assert f"complaint of {name}" in run.stderr.splitlines()
    assert ("hello from a program" in run.stdout.splitlines()) == (verbosity == "2")


WHOLE = """\
import io, sys
from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline()

def say():
    out = sys.stdout
    out.writelines(["first\\n", "second\\n"])
    out.buffer.write("third: ".encode() + b"\\xc3")
    out.buffer.write(b"\\xa9\\n")
    out.buffer.write(bytearray(b"no text: \\xff\\n"))
    out.buffer.flush()
    wrapper = io.TextIOWrapper(out.buffer, encoding="utf-8")
    print("wrapped", file=wrapper)
    wrapper.close()
    out.buffer.write(b"after the wrapper\\n")
    out.reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")
    print(out.writable(), out.closed, out.encoding, out.errors)
    try:
        out.buffer.write("text")
    except TypeError:
        print("text is refused")
    out.buffer.write(b"cut \\xc3")

def task_say():
    return {"actions": [say], "io": {"capture": False}, "verbosity": 2}
"""


def test_an_uncaptured_stream_is_a_whole_text_stream(project: Project) -> None:
    project.write("dodo.py", WHOLE)
    options = ("-r", "zero", "say")
    threads = project.doit("-n", "2", "-P", "thread", *options, env={"PYTHONIOENCODING": "utf-8"}).stdout.splitlines()
    assert threads == [
        "first",
        "second",
        "third: \u00e9",
        r"no text: \xff",
        "wrapped",
        "after the wrapper",
        "True False utf-8 backslashreplace",
        "text is refused",
        r"cut \xc3",
    ]
