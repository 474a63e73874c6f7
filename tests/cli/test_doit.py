from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.support.command import Command

PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
defaults: {push: "layout.localhost/{name}:1"}
bundles:
  one: {files: [one], lock: {}}
  two: {files: [two], lock: {include: [{bundle: one}]}}
"""


@pytest.fixture
def pipeline(command: Command) -> Command:
    """A command in a directory with only a bundlepipe.yml."""
    (command.directory / "bundlepipe.yml").write_text(PIPELINE)
    for name in ("one", "two"):
        (command.directory / name).mkdir()
        (command.directory / name / "config.yml").write_text(f"a: {name}\n")
    return command


@pytest.mark.parametrize("options", [[], ["-n", "4"], ["-n", "2", "-P", "process"]])
def test_only_a_pipeline_file(pipeline: Command, options: list[str]) -> None:
    told = pipeline("bundlepipe", "doit", *options).output
    assert ".  push_bundle:one  layout.localhost/one:1 sha256:" in told
    assert ".  push_bundle:two  layout.localhost/two:1 sha256:" in told
    again = pipeline("bundlepipe", "doit", *options).output
    assert sorted(again.splitlines()) == [
        "-- lock_bundle:one",
        "-- lock_bundle:two",
        "-- push_bundle:one",
        "-- push_bundle:two",
    ]


def test_commands_and_options_are_doits_own(pipeline: Command) -> None:
    assert "push_bundle:two   push bundle two to " in pipeline("bundlepipe", "doit", "list", "--all").output
    assert "push_bundle" in pipeline("bundlepipe", "doit", "help", "push_bundle").output
    assert "doit -- automation tool" in pipeline("bundlepipe", "doit", "--help").output
    assert "bundlepipe doit run" in pipeline("bundlepipe", "doit", "--help").output
    assert pipeline("bundlepipe", "doit", "--version").output.startswith("0.37")
    assert "lock_bundle:one" in pipeline("bundlepipe", "doit", "info", "push_bundle:one").stdout
    assert "lock_bundle:one" in pipeline("bundlepipe", "doit", "lock_bundle:one", "refresh=all").output
    assert pipeline("bundlepipe", "doit", "clean", "-n").status == 0
    other = PIPELINE.replace("  two:", "  three:")
    (pipeline.directory / "other.yml").write_text(other)
    assert "push_bundle:three" in pipeline("bundlepipe", "doit", "list", "--all", "-f", "other.yml").output


def test_exit_status_is_doits(pipeline: Command) -> None:
    result = pipeline("bundlepipe", "doit", "no_such_task")
    assert result.status == 3
    assert "no_such_task" in result.stderr
    (pipeline.directory / "bundlepipe.yml").write_text("bundels: {}\n")
    result = pipeline("bundlepipe", "doit")
    assert result.status == 3
    assert result.stderr.startswith("ERROR: bundlepipe.yml:1:1: ")


def test_dodo_comes_first(pipeline: Command) -> None:
    (pipeline.directory / "dodo.py").write_text("def task_own():\n    return {'actions': ['echo own']}\n")
    assert pipeline("bundlepipe", "doit", "list").output.split() == ["own"]
    (pipeline.directory / "dodo.py").rename(pipeline.directory / "tasks.py")
    assert pipeline("bundlepipe", "doit", "list", "-f", "tasks.py").output.split() == ["own"]


def test_configuration_of_doit_counts(pipeline: Command) -> None:
    (pipeline.directory / "pyproject.toml").write_text('[tool.doit]\nreporter = "zero"\n')
    pipeline.silently("bundlepipe", "doit")


def test_nothing_to_load(command: Command) -> None:
    result = command("bundlepipe", "doit")
    assert (result.status, result.stdout) == (3, "")
    assert result.stderr == (
        "ERROR: there is neither a dodo.py nor a bundlepipe.yml here: 'bundlepipe init' writes both\n"
    )
    assert "bundlepipe doit list" in command("bundlepipe", "doit", "help").output


def test_files_and_directories_elsewhere(pipeline: Command) -> None:
    below = pipeline.directory / "below"
    below.mkdir()
    assert pipeline("bundlepipe", "doit", "list", cwd=below).status == 3
    assert "push_bundle:two" in pipeline("bundlepipe", "doit", "list", "--all", "-k", cwd=below).output
    listed = pipeline("bundlepipe", "doit", "-f", "../bundlepipe.yml", "-d", "..", "list", "--all", cwd=below)
    assert "push_bundle:two" in listed.output
    result = pipeline("bundlepipe", "doit", "list", "-d", "gone")
    assert result.stderr == "ERROR: gone: cannot run there: No such file or directory\n"
    (below / "tasks.py").write_text("def task_own():\n    return {'actions': None}\n")
    assert pipeline("bundlepipe", "doit", "list", env={"DOIT_FILE": "below/tasks.py"}).output.split() == ["own"]


def test_arguments_are_not_touched(command: Command) -> None:
    (command.directory / "dodo.py").write_text(
        "import sys\n"
        "def task_own():\n"
        "    return {'actions': [lambda rest: print(sys.argv, rest)], 'pos_arg': 'rest', 'verbosity': 2}\n"
    )
    arguments = ["own", "--", "--help", "-n", "x"]
    told = command("bundlepipe", "doit", *arguments).output
    assert told.splitlines()[-1] == f"{['doit', *arguments]} {['--help', '-n', 'x']}"


def test_tab_completion_is_that_of_doit(command: Command) -> None:
    script = command("bundlepipe", "doit", "tabcompletion").output
    assert "complete -o filenames -F _doit doit" in script


def test_faulty_configuration_of_doit(pipeline: Command) -> None:
    (pipeline.directory / "pyproject.toml").write_text("[tool.doit\n")
    error = pipeline("bundlepipe", "doit").failed
    assert error.startswith("bundlepipe: Error: pyproject.toml or doit.cfg, where doit's settings are: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_when_told(command: Command, number: signal.Signals) -> None:
    program = "touch started && exec sleep 60"
    (command.directory / "dodo.py").write_text(
        "from bundlepipe import DOIT_CONFIG\n"
        f"DOIT_CONFIG = {{**DOIT_CONFIG, 'default_tasks': ['wait']}}\n"
        "def task_wait():\n"
        f"    return {{'actions': [{program!r}]}}\n"
    )
    process = subprocess.Popen(
        ["bundlepipe", "doit"],
        cwd=command.directory,
        env=command.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while not (command.directory / "started").exists():
        assert process.poll() is None, process.communicate()
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert b"Traceback" not in errors
