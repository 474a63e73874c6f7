"""apply_config: when it runs, what it prints, and how it is interrupted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.kubernetes import StandIn
from tests.support.project import Project
from tests.support.terminal import Terminal

RENDERS = """\
renders:
  app: {files: [src/app.yml], output: app.yml, apply: {OPTIONS}}
  web: {files: [src/web.yml], output: web.yml, apply: {OPTIONS}}
"""
RENDERED = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
APP = "apply_config:app"


@pytest.fixture
def kubectl(project: Project) -> StandIn:
    """A kubectl that configures; the project applies app.yml and web.yml, which are rendered already."""
    stand_in = StandIn(project.directory / "bin", "echo configmap/a configured; echo configmap/b unchanged")
    project.environment["PATH"] = f"{stand_in.directory}:{os.environ['PATH']}"
    _declare(project)
    for name in ("app", "web"):
        project.write(f"src/{name}.yml", RENDERED)
    project.doit("render_config")
    return stand_in


def _declare(project: Project, options: str = "") -> None:
    project.pipeline(RENDERS.replace("OPTIONS", options))


def test_an_apply_streams_its_lines_and_sums_them_up(project: Project, kubectl: StandIn) -> None:
    _declare(project, "context: kind-dev, dryRun: server")
    run = project.doit("-n", "0", APP)
    assert kubectl.calls == [["apply", "--context=kind-dev", "--filename=app.yml", "--dry-run=server"]]
    assert run.stderr.splitlines() == [f"   {APP}  configmap/a configured", f"   {APP}  configmap/b unchanged"]
    summary = "app.yml to kind-dev: 1 configured, 1 unchanged, a dry run of the server"
    assert run.stdout.splitlines() == ["-- render_config:app", f".  {APP}  {summary}  (no local record)"]


def test_what_changes_nothing_is_marked_so(project: Project, kubectl: StandIn) -> None:
    kubectl.plays("echo configmap/a unchanged")
    assert project.doit(APP).marks[APP] == "="


def test_it_runs_again_when_the_file_or_an_option_changed_or_on_request(project: Project, kubectl: StandIn) -> None:
    assert project.doit(APP).executed == {APP}
    assert project.doit(APP).executed == set()
    os.utime(project.directory / "src/app.yml")
    assert project.doit(APP).executed == set()
    project.write("src/app.yml", f"# new\n{RENDERED}")
    assert "(app.yml changed)" in project.doit(APP).stdout
    _declare(project, "namespace: n")
    assert "(namespace changed)" in project.doit(APP).stdout
    assert project.doit(APP).executed == set()
    assert "(refresh requested)" in project.doit(APP, "refresh=app").stdout
    assert APP in project.doit("-a", APP).executed
    assert len(kubectl.calls) == 5


def test_a_failed_apply_is_one_line_and_runs_again(project: Project, kubectl: StandIn) -> None:
    project.doit(APP)
    project.write("src/app.yml", f"# new\n{RENDERED}")
    kubectl.plays("echo error: no >&2; exit 1")
    for _ in range(2):
        run = project.doit(APP, status=1)
        assert "app.yml: cannot be applied: kubectl failed with exit status 1: error: no\n" in run.output
        assert "Traceback" not in run.output
    assert len(kubectl.calls) == 3


def test_without_kubectl_it_fails_by_one_line(project: Project, kubectl: StandIn) -> None:
    (kubectl.directory / "kubectl").unlink()
    run = project.doit(APP, status=1, env={"PATH": str(kubectl.directory)})
    assert "app.yml: cannot be applied: there is no kubectl on PATH: install it" in run.output
    assert "Traceback" not in run.output


def test_a_kubeconfig_that_another_task_makes_is_made_first(project: Project, kubectl: StandIn) -> None:
    _declare(project, "kubeconfig: made/kube.yml")
    action = "mkdir -p made && touch made/kube.yml"
    project.write(
        "dodo.py",
        project.read("dodo.py")
        + f"\ndef task_kubeconfig():\n    return {{'actions': [{action!r}], 'targets': ['made/kube.yml']}}\n",
    )
    assert project.doit(APP).ran == ["kubeconfig", APP]
    assert "--kubeconfig=made/kube.yml" in kubectl.calls[0]


def test_lines_of_tasks_side_by_side_stay_whole(project: Project, kubectl: StandIn, way: tuple[str, ...]) -> None:
    kubectl.plays("i=0; while [ $i -lt 300 ]; do echo line $i of $2; i=$((i+1)); done")
    lines = project.doit(*way, APP, "apply_config:web").stderr.splitlines()
    for name in ("app", "web"):
        expected = [f"   apply_config:{name}  line {number} of --filename={name}.yml" for number in range(300)]
        assert [line for line in lines if f":{name}  " in line] == expected
    assert len(lines) == 600


def test_on_a_terminal_they_are_lines_too(project: Project, kubectl: StandIn) -> None:
    assert kubectl.directory.exists()
    terminal = Terminal()
    command = [sys.executable, "-m", "doit", "-n", "0", APP]
    assert terminal.run(command, cwd=project.directory, env=project.environment) == 0
    assert not terminal.drew
    assert terminal.screen[1:3] == [f"   {APP}  configmap/a configured", f"   {APP}  configmap/b unchanged"]
    assert terminal.screen[3].startswith(f".  {APP}")


PARALLEL = [("-n", "0"), ("-n", "4", "-P", "thread"), ("-n", "2", "-P", "process")]


@pytest.mark.parametrize("reporter", [(), ("-r", "console")])
@pytest.mark.parametrize("parallel", PARALLEL)
def test_a_termination_ends_kubectl(
    project: Project, kubectl: StandIn, parallel: tuple[str, ...], reporter: tuple[str, ...]
) -> None:
    kubectl.plays('echo $$ > "pid-$$"; mv "pid-$$" "running-$$"; exec sleep 60')
    process = subprocess.Popen(
        [sys.executable, "-m", "doit", *parallel, *reporter, APP],
        cwd=project.directory,
        env={**os.environ, **project.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    pid = _running(project.directory)
    process.terminate()
    # Who stops a job may say so more than once, and may be impatient.
    process.terminate()
    process.communicate(timeout=50)
    assert process.returncode == 128 + signal.SIGTERM
    for _ in range(500):
        if not _is_running(pid):
            break
        time.sleep(0.01)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("parallel", PARALLEL[:2])
@pytest.mark.parametrize("reaches", ["all", "doit alone"])
def test_an_interruption_ends_kubectl(
    project: Project, kubectl: StandIn, parallel: tuple[str, ...], reaches: str
) -> None:
    kubectl.plays('echo $$ > "pid-$$"; mv "pid-$$" "running-$$"; exec sleep 60')
    process = subprocess.Popen(
        [sys.executable, "-m", "doit", *parallel, APP],
        cwd=project.directory,
        env={**os.environ, **project.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    pid = _running(project.directory)
    if reaches == "all":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=50)
    assert process.returncode != 0
    assert re.fullmatch(
        "-- render_config:app\n1 up to date, 1 interrupted in [0-9.]+ s, no requests\n"
        "interrupted: the next run does what is not finished\n",
        output,
    )
    deadline = time.monotonic() + 60
    # Who has lost its parent is there until init has seen that it ended.
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_running(pid)


def _running(directory: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path in directory.glob("running-*"):
            return int(path.name.removeprefix("running-"))
        time.sleep(0.01)
    raise AssertionError("kubectl did not start")
