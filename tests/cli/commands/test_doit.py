from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.command import Command
from tests.support.project import NESTED_BUNDLES


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
    other = NESTED_BUNDLES.replace("  two:", "  three:")
    (pipeline.directory / "other.yml").write_text(other)
    assert "push_bundle:three" in pipeline("bundlepipe", "doit", "list", "--all", "-f", "other.yml").output


def test_a_plan_is_that_of_doit(pipeline: Command) -> None:
    told = pipeline("bundlepipe", "plan").output
    assert told == pipeline("bundlepipe", "doit", "plan").output
    assert told.splitlines()[-1].startswith("4 to run, ")
    assert pipeline("bundlepipe", "plan", "push_bundle:one").output.splitlines()[-1].startswith("2 to run, ")
    assert "show what a run would do" in pipeline("bundlepipe", "plan", "--help").output


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
        "ERROR: there is neither a dodo.py nor a bundlepipe.yml here, nor in a directory above: 'bundlepipe init' "
        "writes both\n"
    )
    assert "bundlepipe doit list" in command("bundlepipe", "doit", "help").output


def test_the_pipeline_above_is_found(pipeline: Command) -> None:
    deep = pipeline.directory / "one/deep"
    deep.mkdir()
    result = pipeline("bundlepipe", "doit", "push_bundle:one", cwd=deep)
    assert result.stderr == "bundlepipe doit: running in ../.., where bundlepipe.yml is\n"
    assert ".  lock_bundle:one  one/.imgpkg/images.yml 0 images" in result.stdout
    assert (pipeline.directory / ".bundlepipe").is_dir()
    assert not (deep / ".bundlepipe").exists()
    assert "-- push_bundle:one" in pipeline("bundlepipe", "doit", "push_bundle:one").output
    # Settings are those beside the pipeline, not those of a directory below.
    (pipeline.directory / "pyproject.toml").write_text('[tool.doit]\nreporter = "zero"\n')
    (deep / "pyproject.toml").write_text('[tool.doit]\nreporter = "console"\n')
    assert pipeline("bundlepipe", "doit", cwd=deep).stdout == ""
    (pipeline.directory / "pyproject.toml").write_text('[tool.doit]\nloader = "bundlepipe"\n')
    assert "-- push_bundle:one" in pipeline("bundlepipe", "doit", "push_bundle:one", cwd=deep).stdout


def test_a_dodo_above_is_found_and_told_where_doit_was_called(command: Command) -> None:
    below = command.directory / "below"
    below.mkdir()
    (command.directory / "dodo.py").write_text(
        "import os, doit\n"
        "def task_own():\n"
        "    print(os.getcwd(), doit.get_initial_workdir())\n"
        "    return {'actions': None}\n"
    )
    result = command("bundlepipe", "doit", "list", cwd=below)
    assert result.stdout.splitlines()[0].split() == [str(command.directory), str(below)]
    assert result.stderr == "bundlepipe doit: running in .., where dodo.py is\n"
    (below / "bundlepipe.yml").write_text(NESTED_BUNDLES)
    assert "push_bundle" in command("bundlepipe", "doit", "list", cwd=below).output


@pytest.mark.parametrize("top", ["git", "home", "everybody's"])
def test_nothing_is_looked_for_above_what_is_ones_own(pipeline: Command, top: str) -> None:
    deep = pipeline.directory / "top/deep"
    deep.mkdir(parents=True)
    env = {}
    if top == "git":
        (pipeline.directory / "top/.git").touch()
    elif top == "home":
        env["HOME"] = str(pipeline.directory / "top")
    else:
        pipeline.directory.chmod(0o1777)
    assert pipeline("bundlepipe", "doit", "list", cwd=deep, env=env).status == 3
    assert pipeline("bundlepipe", "check", cwd=deep, env=env).status == 1
    assert "push_bundle" in pipeline("bundlepipe", "doit", "list", "-k", cwd=deep, env=env).output


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("pyproject.toml", '[tool.doit]\ndefault_tasks = ["lock_bundle:one"]\n'),
        ("doit.cfg", "[GLOBAL]\ndefault_tasks = lock_bundle:one\n"),
    ],
)
@pytest.mark.parametrize("loader", [True, False])
def test_default_tasks_of_settings_count(pipeline: Command, name: str, settings: str, *, loader: bool) -> None:
    said = 'loader = "bundlepipe"\n' if name == "pyproject.toml" else "loader = bundlepipe\n"
    (pipeline.directory / name).write_text(settings + (said if loader else ""))
    assert pipeline("bundlepipe", "doit").output.startswith(".  lock_bundle:one ")
    assert not (pipeline.directory / "build/registry").exists()


def test_faulty_default_tasks_are_told(pipeline: Command) -> None:
    (pipeline.directory / "pyproject.toml").write_text("[tool.doit]\ndefault_tasks = 7\n")
    result = pipeline("bundlepipe", "doit")
    assert (result.status, result.stdout) == (3, "")
    assert "default_tasks, where doit's settings are: expected a list of names of tasks" in result.stderr


def test_settings_for_a_command_win_over_the_usual_ones(pipeline: Command) -> None:
    settings = '[tool.doit.commands.run]\nreporter = "zero"\ndep_file = "run.db"\nbackend = "json"\n'
    (pipeline.directory / "pyproject.toml").write_text(settings)
    pipeline.silently("bundlepipe", "doit")
    assert (pipeline.directory / "run.db").read_text().startswith("{")
    assert not (pipeline.directory / ".bundlepipe/doit.db").exists()
    # Those of another command do not.
    (pipeline.directory / "pyproject.toml").write_text(settings.replace("commands.run", "commands.clean"))
    assert "=  push_bundle:one" in pipeline("bundlepipe", "doit", "-a").output
    assert (pipeline.directory / ".bundlepipe/doit.db").exists()


def test_files_and_directories_elsewhere(pipeline: Command) -> None:
    below = pipeline.directory / "below"
    below.mkdir()
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


@pytest.mark.parametrize(
    ("settings", "key", "expected"),
    [
        ("[tool]\ndoit = 3\n", "tool.doit", "expected a table"),
        ('[tool.doit]\ncommands = "x"\n', "tool.doit.commands", "expected a table"),
        ('[tool.doit.commands]\nlist = "x"\n', "tool.doit.commands.list", "expected a table"),
        ('[tool.doit.commands.run]\nreporter = "nope"\n', "tool.doit.commands.run.reporter", "expected one of "),
        ('[tool.doit]\nreporter = ["zero"]\n', "tool.doit.reporter", "expected one of "),
        ("[tool.doit]\nnum_process = [1]\n", "tool.doit.num_process", "expected a whole number"),
        ('[tool.doit.commands.run]\nnum_process = "x"\n', "tool.doit.commands.run.num_process", "expected a whole"),
    ],
)
def test_wrong_settings_are_told_with_their_key(pipeline: Command, settings: str, key: str, expected: str) -> None:
    (pipeline.directory / "pyproject.toml").write_text(settings)
    error = pipeline("bundlepipe", "doit").failed
    assert error.startswith(f"bundlepipe: Error: pyproject.toml: {key}: {expected}")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "key", "expected"),
    [
        ("[GLOBAL]\nreporter = nope\n", "[GLOBAL] reporter", "expected one of "),
        ("[run]\nnum_process = x\n", "[run] num_process", "expected a whole number"),
    ],
)
def test_wrong_settings_in_the_older_file_are_told_too(
    pipeline: Command, settings: str, key: str, expected: str
) -> None:
    (pipeline.directory / "doit.cfg").write_text(settings)
    error = pipeline("bundlepipe", "doit").failed
    assert error.startswith(f"bundlepipe: Error: doit.cfg: {key}: {expected}")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_a_reporter_that_settings_bring_themselves_is_known(pipeline: Command, *, is_known: bool) -> None:
    own = '[tool.doit.plugins.reporter]\nmine = "doit.reporter:ZeroReporter"\n' if is_known else ""
    (pipeline.directory / "pyproject.toml").write_text(f'[tool.doit]\nloader = "bundlepipe"\nreporter = "mine"\n{own}')
    result = pipeline("bundlepipe", "doit", "list")
    assert result.status == (0 if is_known else 1), result.stderr
    # doit itself, which reads its settings before it asks whom they are for.
    result = pipeline(sys.executable, "-m", "doit")
    assert result.status == (0 if is_known else 3), result.stderr
    assert result.stderr.startswith("ERROR: pyproject.toml: tool.doit.reporter: expected one of ") != is_known


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


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("plan --bogus", "unknown option --bogus: 'bundlepipe plan --help' lists the options"),
        ("watch --pdb", "unknown option --pdb: 'bundlepipe watch --help' lists the options"),
        ("graph --of", "option --of requires argument: 'bundlepipe graph --help' lists the options"),
        (
            "plan push_bundle --offline",
            "unknown option --offline behind a task: options of the command stand before the tasks: 'bundlepipe ",
        ),
        ("doit plan --bogus", "unknown option --bogus: 'bundlepipe doit help plan' lists the options"),
        ("plan push_bundel", "'push_bundel': there is no such task, and no task makes it; the nearest of "),
        ("plan --why push_bundel", "'push_bundel': there is no such task, and no task makes it; the nearest of "),
        ("watch push_bundel", "'push_bundel': there is no such task, and no task makes it; the nearest of "),
        ("plan --why push_bundle push_image", "--why push_bundle is about this task alone: leave out push_image"),
    ],
)
def test_faulty_command_lines_are_told_in_a_line(pipeline: Command, line: str, told: str) -> None:
    failed = pipeline("bundlepipe", *line.split())
    assert failed.status == 3 and failed.stdout == ""
    assert failed.stderr.startswith(f"ERROR: {told}") and failed.stderr.count("\n") == 1
