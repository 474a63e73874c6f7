"""What a run prints when there are more tasks than a screen has lines, when something fails, and at its end."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys

import pytest

from tests.support.project import DODO, FOUR_WAYS, Project
from tests.support.proxy import Proxy, Respond
from tests.support.terminal import Terminal

SCREEN = 24
WAYS = pytest.mark.parametrize("parallel", [FOUR_WAYS["serial"], FOUR_WAYS["thread"], FOUR_WAYS["fork"]])
MANY = 30
TAIL = r" in \d+\.\d s, (no requests|1 request|\d+ requests, [\d.]+ \w+ sent, [\d.]+ \w+ received)$"


def _names(count: int) -> list[str]:
    return [f"b{number:02}" for number in range(count)]


def _declare(project: Project, count: int) -> None:
    """Declare so many bundles, each of which has the next one in it, and as many pulls and renders."""
    lines = {"bundles": "", "pulls": "", "renders": ""}
    for number, name in enumerate(_names(count)):
        project.write(f"{name}/config.yml", f"kind: {name}\n")
        include = f"{{bundle: b{number + 1:02}}}" if number + 1 < count else ""
        lines["bundles"] += f"  {name}: {{files: [{name}], lock: {{include: [{include}]}}}}\n"
        lines["pulls"] += f"  {name}: {{from: {{bundle: {name}}}, to: build/{name}}}\n"
        lines["renders"] += (
            f"  {name}: {{files: [{name}], locks: [{name}/.imgpkg/images.yml], output: build/{name}.yml}}\n"
        )
    project.pipeline("".join(f"{kind}:\n{text}" for kind, text in lines.items()))


ALL = ("push_bundle", "pull_bundle", "render_config")


def _summary(output: str) -> str:
    """Return the last line without what differs from run to run."""
    line = output.splitlines()[-1]
    assert re.search(TAIL, line), output
    return re.sub(TAIL, "", line)


@WAYS
def test_every_run_of_many_tasks_fits_on_a_screen(project: Project, parallel: tuple[str, ...]) -> None:
    _declare(project, MANY)
    first = project.doit(*parallel, *ALL)
    assert len(first.output.splitlines()) <= SCREEN, first.output
    assert _summary(first.stdout) == f"{4 * MANY} done"
    for group in ("lock_bundle", *ALL):
        assert f"\n.  {group}  {MANY} tasks: b00, b01, b02 and {MANY - 3} more" in first.stdout
    assert ".  push_bundle  30 tasks: b00, b01, b02 and 27 more  (no local record)\n" in first.stdout

    again = project.doit(*parallel, *ALL)
    assert again.stderr == ""
    assert _summary(again.stdout) == f"{4 * MANY} up to date"
    assert len(again.stdout.splitlines()) == 1

    project.write(f"b{MANY - 1:02}/config.yml", "kind: [\n")
    failed = project.doit(*parallel, "--continue", *ALL, status=2)
    assert len(failed.output.splitlines()) <= SCREEN, failed.output
    assert failed.stdout.count("b29/config.yml:2:1: not YAML") == 2
    assert re.search(r"^failed  lock_bundle:b29: b29/config\.yml:2:1: not YAML", failed.stdout, re.MULTILINE)
    assert re.search(r"^not reached  lock_bundle:b00, .* and 116 more$", failed.stdout, re.MULTILINE)
    assert "UnmetDependency" not in failed.output
    assert _summary(failed.stdout) == "1 failed, 119 not reached"


def test_a_run_that_turns_out_to_be_long_stops_to_give_each_task_a_line(project: Project) -> None:
    images = "".join(f"  i{number:02}: {{files: [site]}}\n" for number in range(40))
    project.pipeline(f"images:\n{images}bundles:\n  app: {{files: [app], lock: {{}}}}\n")
    project.write("site/index.html", "hello")
    project.write("app/config.yml", "".join(f"---\nimage: i{number:02}\n" for number in range(40)))
    first = project.doit("push_bundle")
    assert len(first.output.splitlines()) <= SCREEN + 2, first.output
    assert "\n.  push_image  40 tasks: i00, i01, i02 and 37 more  (no local record)\n" in first.stdout
    assert _summary(first.stdout) == "42 done"
    again = project.doit("push_bundle")
    assert len(again.stdout.splitlines()) == SCREEN - 1
    assert _summary(again.stdout) == "42 up to date"
    assert len(project.doit("-v", "2", "push_bundle").marks) == 42


def test_what_little_is_done_among_many_is_told_in_full(project: Project) -> None:
    _declare(project, MANY)
    project.doit(*ALL)
    project.write("b00/config.yml", "kind: Changed\n")
    run = project.doit(*ALL)
    assert run.marks == {
        "lock_bundle:b00": "=", "push_bundle:b00": ".", "pull_bundle:b00": ".", "render_config:b00": "."
    }  # fmt: skip
    assert _summary(run.stdout) == f"3 done, 1 unchanged, {4 * MANY - 4} up to date"
    assert len(run.stdout.splitlines()) == 5


@WAYS
@pytest.mark.parametrize("wish", ["-v", "environment"])
def test_all_lines_can_be_asked_for(project: Project, parallel: tuple[str, ...], wish: str) -> None:
    _declare(project, MANY)
    arguments = ("-v", "2", *parallel) if wish == "-v" else parallel
    environment = {"BUNDLEPIPE_SHOW": "all"} if wish == "environment" else {}
    first = project.doit(*arguments, *ALL, env=environment)
    assert len(first.executed) == 4 * MANY
    assert len(first.stdout.splitlines()) == 4 * MANY + 1
    again = project.doit(*arguments, *ALL, env=environment)
    assert list(again.marks.values()) == ["--"] * 4 * MANY
    assert _summary(again.stdout) == f"{4 * MANY} up to date"


def test_all_lines_of_users_tasks_can_be_asked_for_too(project: Project) -> None:
    _declare(project, 1)
    own = """
from doit.tools import run_once

def task_own():
    for number in range(30):
        yield {"name": str(number), "actions": ["true"], "uptodate": [run_once]}
"""
    project.write("dodo.py", DODO + own)
    brief = project.doit("-n", "0", "own", "push_bundle")
    # Their own lines are told when they start, as doit tells them.
    assert len([line for line in brief.stdout.splitlines() if line.startswith(".  own:")]) == 30
    assert brief.marks["push_bundle:b00"] == "."
    assert _summary(brief.stdout) == "32 done"
    assert _summary(project.doit("own", "push_bundle").stdout) == "32 up to date"
    again = project.doit("-v", "2", "-n", "0", "own", "push_bundle")
    expected = [*(f"own:{number}" for number in range(30)), "lock_bundle:b00", "push_bundle:b00"]
    assert list(again.marks) == expected


def test_another_wish_is_an_error(project: Project) -> None:
    _declare(project, 1)
    run = project.doit(env={"BUNDLEPIPE_SHOW": "some"}, status=3)
    expected = "ERROR: BUNDLEPIPE_SHOW=some: expected BUNDLEPIPE_SHOW=all, which shows a line for each task\n"
    assert (run.stdout, run.stderr) == ("", expected)


CYCLE = """
def task_one():
    return {"actions": ["true"], "task_dep": ["two"]}

def task_two():
    return {"actions": ["true"], "task_dep": ["one"]}
"""


@WAYS
def test_what_keeps_a_run_from_its_beginning_comes_last(project: Project, parallel: tuple[str, ...]) -> None:
    _declare(project, 1)
    project.write("dodo.py", DODO + CYCLE)
    run = project.doit(*parallel, "one", status=3)
    assert run.stdout == ""
    assert "ERROR: Cyclic/recursive dependencies" in run.stderr.splitlines()[-1]


def test_few_tasks_have_their_lines_and_no_summary(project: Project) -> None:
    _declare(project, 2)
    assert len(project.doit(*ALL).stdout.splitlines()) == 8
    again = project.doit(*ALL)
    assert again.stdout.splitlines()[-1].startswith("-- ") and len(again.stdout.splitlines()) == 8
    assert _summary(project.doit(*ALL, env={"BUNDLEPIPE_SHOW": "all"}).stdout) == "8 up to date"


def test_a_higher_terminal_shows_more(project: Project) -> None:
    _declare(project, MANY)
    project.doit(*ALL)
    command = [sys.executable, "-m", "doit", *ALL]
    for rows, lines in ((4 * MANY + 2, 4 * MANY), (4 * MANY + 1, 1)):
        terminal = Terminal(rows=rows)
        assert terminal.run(command, cwd=project.directory, env=project.environment) == 0
        assert len(terminal.screen) == lines


def test_what_fails_by_the_same_is_told_once(project: Project) -> None:
    names = _names(5)
    project.pipeline(
        "bundles:\n" + "".join(f"  {name}: {{files: [{name}], lock: {{config: [kbld.yml]}}}}\n" for name in names)
    )
    for name in names:
        project.write(f"{name}/config.yml", "kind: Fine\n")
    project.write("kbld.yml", "apiVersion: kbld.k14s.io/v1alpha1\nkind: Wrong\n")
    run = project.doit("--continue", "lock_bundle", status=2)
    lines = run.stdout.splitlines()
    message = lines[1]
    assert message and run.output.count(message) == 2
    assert lines[0].startswith("TaskFailed - taskid:lock_bundle:b0")
    assert f"failed  lock_bundle:b00, lock_bundle:b01, lock_bundle:b02 and 2 more: {message}" in lines
    assert _summary(run.stdout) == "5 failed"


def test_what_failed_by_something_else_is_told_by_itself(project: Project) -> None:
    names = _names(3)
    project.pipeline("bundles:\n" + "".join(f"  {name}: {{files: [{name}]}}\n" for name in names))
    for name in names:
        project.write(f"{name}/.imgpkg/images.yml", "kind: Wrong\n")
    run = project.doit("--continue", status=2)
    assert run.stdout.count("TaskFailed - ") == 3
    assert len([line for line in run.stdout.splitlines() if line.startswith("failed  push_bundle:b0")]) == 3


def test_of_many_different_failures_the_first_are_repeated(project: Project) -> None:
    names = _names(12)
    project.pipeline("bundles:\n" + "".join(f"  {name}: {{files: [{name}]}}\n" for name in names))
    for name in names:
        project.write(f"{name}/.imgpkg/images.yml", "kind: Wrong\n")
    run = project.doit("--continue", "-n", "0", status=2)
    assert run.stdout.count("TaskFailed - ") == 12
    failed = [line for line in run.stdout.splitlines() if line.startswith("failed  ")]
    assert len(failed) == 9
    assert re.fullmatch(r"failed  (push_bundle:b\d\d, ){2}push_bundle:b\d\d and 1 more: see above", failed[-1])
    assert _summary(run.stdout) == "12 failed"


def test_a_gateway_that_reaches_no_registry_is_told_on_a_screen(project: Project, proxy: Proxy) -> None:
    project.environment["REGISTRY"] = f"{proxy.host}/gateway"
    proxy.fault("*", "/v2/gateway/", Respond(503), times=math.inf)
    for name in _names(40):
        project.bundle(name)
    project.pipeline("bundles:\n" + "".join(f"  {name}: {{files: [{name}]}}\n" for name in _names(40)))
    run = project.doit("--continue", "push_bundle", status=2)
    assert _summary(run.stdout) == "40 failed"
    at_once = f"http://{proxy.host}: 503 Service Unavailable; other requests were retried without success"
    assert run.stdout.splitlines().count(at_once) == 1
    assert len(run.output.splitlines()) < 60


def test_a_failure_of_a_users_task_is_one_line_of_the_summary(project: Project) -> None:
    _declare(project, 1)
    own = """
def task_python():
    def act():
        raise ValueError("not this way")
    return {"actions": [act]}

def task_command():
    return {"actions": ["exit 3"], "meta": {"traffic": "mine", "why": 1}}

def task_after():
    return {"actions": ["true"], "task_dep": ["command"]}
"""
    project.write("dodo.py", DODO + own)
    run = project.doit("--continue", "-n", "0", "python", "after", "push_bundle", status=2)
    failed = [line for line in run.stdout.splitlines() if line.startswith("failed  ")]
    assert failed == [
        "failed  python: PythonAction Error: ValueError: not this way",
        "failed  command: Command failed: 'exit 3' returned 3",
    ]
    assert "not reached  after" in run.stdout.splitlines()
    assert "Traceback" in run.stdout
    assert _summary(run.stdout) == "2 done, 2 failed, 1 not reached"


@WAYS
def test_an_interrupted_run_tells_how_far_it_came(project: Project, parallel: tuple[str, ...]) -> None:
    _declare(project, 1)
    wait = """
def task_wait():
    return {"actions": ["touch waiting; exec sleep 60"], "task_dep": ["push_bundle:b00"]}

def task_after():
    return {"actions": ["true"], "task_dep": ["wait"]}
"""
    project.write("dodo.py", DODO + wait)
    project.doit()
    process = subprocess.Popen(
        [sys.executable, "-m", "doit", *parallel, "after"],
        cwd=project.directory,
        env={**os.environ, **project.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (project.directory / "waiting").exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=50)
    assert process.returncode != 0
    # Workers may not have told yet what they began.
    told = r"not reached  after\n2 up to date, 1 interrupted, 1 not reached in|after, wait\n2 up to date, 2 not"
    assert re.search(told, output), output


def test_an_interruption_just_before_a_wait_ends_it(project: Project) -> None:
    # Another thread takes the signal, so that nothing wakes the main one.
    take = """
import signal, threading, time

def take():
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    time.sleep(300)

def task_take():
    return {"actions": [take]}
"""
    _declare(project, 1)
    project.write("dodo.py", DODO + take)
    run = project.doit(*FOUR_WAYS["thread"], "take", status=None)
    assert _summary(run.stdout) == "1 interrupted"
    assert run.stderr == "interrupted: the next run does what is not finished\n"


@WAYS
def test_requests_of_threads_and_workers_are_counted(project: Project, proxy: Proxy, parallel: tuple[str, ...]) -> None:
    project.environment["REGISTRY"] = f"{proxy.host}/counted-{parallel[-1]}"
    _declare(project, 8)
    project.write("b07/data", os.urandom(100_000))
    project.write("b03/config.yml", "image: nowhere.localhost/b03\n")
    run = project.doit(*parallel, "--continue", *ALL, status=2)
    told = re.search(r"(\d+) requests, ([\d.]+) kB sent", run.stdout)
    assert told, run.output
    assert int(told[1]) == len(proxy.requests)
    assert 100 < float(told[2]) < 200


def test_images_of_many_copies_have_no_lines(project: Project) -> None:
    names = _names(30)
    project.pipeline(
        "bundles:\n" + "".join(f"  {name}: {{files: [{name}]}}\n" for name in names)
        + "copies:\n"
        + "".join(f'  {name}: {{from: {{bundle: {name}}}, to: "layout.localhost/to/{name}"}}\n' for name in names)
    )  # fmt: skip
    for name in names:
        project.bundle(name)
    run = project.doit("-n", "4", "-P", "process", "copy_bundle")
    assert run.stderr == ""
    assert len(run.stdout.splitlines()) <= SCREEN


@pytest.mark.parametrize("parallel", [FOUR_WAYS["serial"], FOUR_WAYS["thread"]])
def test_a_terminal_shows_how_far_a_long_run_has_come(project: Project, parallel: tuple[str, ...]) -> None:
    _declare(project, MANY)
    command = [sys.executable, "-m", "doit", *parallel, *ALL]
    terminal = Terminal(rows=24)
    assert terminal.run(command, cwd=project.directory, env=project.environment) == 0
    assert re.search(r"\d+ of 120 tasks: \d+ done", terminal.output)
    assert not [line for line in terminal.screen if " of 120 tasks" in line]
    assert _summary("\n".join(terminal.screen)) == "120 done"
    assert terminal.shows_cursor
    again = Terminal(rows=24)
    assert again.run(command, cwd=project.directory, env=project.environment) == 0
    assert not again.drew and len(again.screen) == 1


def test_what_draws_has_the_terminal_to_itself(project: Project) -> None:
    _declare(project, MANY)
    command = [sys.executable, "-m", "doit"]
    terminal = Terminal(rows=24)
    assert terminal.run([*command, *FOUR_WAYS["fork"], *ALL], cwd=project.directory, env=project.environment) == 0
    assert not terminal.drew
    own = "def task_own():\n    return {'actions': ['echo mine'], 'verbosity': 2}\n"
    project.write("dodo.py", DODO + own)
    project.doit("forget", "-a")
    terminal = Terminal(rows=24)
    assert terminal.run([*command, *ALL, "own"], cwd=project.directory, env=project.environment) == 0
    assert not terminal.drew and "mine" in terminal.screen
