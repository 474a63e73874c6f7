from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.command import LINUX, Command
from tests.support.services import program, require

HEAVY = {"docker", "doit", "jsonschema", "requests", "rich", "semver", "urllib3", "yaml", "deflate", "isal"}
TOOLS = ("bundlepipe", "imgpkg", "kbld")


def test_version_under_each_name(command: Command) -> None:
    assert command("bundlepipe", "version").output == "bundlepipe version 0.1.0\n"
    assert command("imgpkg", "version").output == "imgpkg version 0.44.0\n"
    assert command("kbld", "version").output == "kbld version 0.45.0\n"


def test_tty_narrates_success(command: Command) -> None:
    assert command("bundlepipe", "version", "--tty").output == "bundlepipe version 0.1.0\n\nSucceeded\n"


def test_json_holds_all_that_would_have_been_printed(command: Command) -> None:
    output = command("imgpkg", "version", "--json").output
    assert json.loads(output) == {
        "Tables": None,
        "Blocks": ["imgpkg version 0.44.0\n"],
        "Lines": ["Succeeded"],
    }
    assert output.startswith('{\n    "Tables": null,\n    "Blocks": [\n        "imgpkg') and output.endswith("}")
    assert command("bundlepipe", "version", "--json").output.endswith("}\n")


@pytest.mark.parametrize("arguments", [["--tty", "version"], ["version", "--tty=true"], ["version", "--tty=1"]])
def test_options_are_taken_as_cobra_takes_them(command: Command, arguments: list[str]) -> None:
    assert command("imgpkg", *arguments).output.endswith("\n\nSucceeded\n")


@pytest.mark.parametrize("tool", TOOLS)
def test_unknown_flag(command: Command, tool: str) -> None:
    assert command(tool, "version", "--unheard-of").failed == f"{tool}: Error: unknown flag: --unheard-of\n"
    assert command(tool, "version", "-z").failed == f"{tool}: Error: unknown shorthand flag: 'z' in -z\n"


def test_unknown_command(command: Command) -> None:
    error = 'bundlepipe: Error: unknown command "pish" for "bundlepipe": \'bundlepipe --help\' lists the commands\n'
    assert command("bundlepipe", "pish").failed == error
    for tool in ("imgpkg", "kbld"):
        error = f"{tool}: Error: command '{tool}' does not accept extra arguments 'pish'\n"
        assert command(tool, "pish", "--tty").failed == error
        assert command(tool, "pish", "-z").failed == f"{tool}: Error: unknown shorthand flag: 'z' in -z\n"


def test_bad_truth_value(command: Command) -> None:
    error = command("bundlepipe", "version", "--tty=maybe").failed
    assert error.startswith("bundlepipe: Error: 'maybe' is not a value for --tty: expected true or false")
    assert command("imgpkg", "version", "--tty=maybe").failed == (
        'imgpkg: Error: invalid argument "maybe" for "--tty" flag: strconv.ParseBool: parsing "maybe": invalid syntax\n'
    )


@pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])
def test_help_names_the_commands(command: Command, tool: str) -> None:
    listed = command(tool, "--help").output
    assert listed == command(tool, "help").output
    bare = command(tool)
    if tool == "bundlepipe":
        assert (bare.status, bare.stdout, bare.stderr) == (0, listed, "")
    else:
        error = "imgpkg: Error: Invalid command - see available commands/subcommands above\n"
        assert (bare.status, bare.stdout, bare.stderr) == (1, f"{listed}\n", error)
    assert f"Usage: {tool}" in listed
    for name in ("push", "pull", "copy", "describe", "tag", "version"):
        assert f"\n  {name} " in listed


def test_help_of_a_command_has_examples(command: Command) -> None:
    text = command("imgpkg", "help", "version").output
    assert text == command("imgpkg", "version", "-h").output
    assert "\nExamples:\n  # Print the version\n  imgpkg version\n" in text


def test_examples_of_local_homes_are_of_the_own_name(command: Command) -> None:
    """To imgpkg, `tar:shop.tar` is a reference."""
    assert "  bundlepipe describe -b tar:shop.tar\n" in command("bundlepipe", "describe", "--help").output
    assert "tar:" not in command("imgpkg", "describe", "--help").output


def test_arguments_are_not_among_options_in_help(command: Command) -> None:
    text = command("bundlepipe", "help", "check").output
    assert text.startswith("Usage: bundlepipe check [OPTIONS] [FILE]\n")
    assert "\nEverywhere:\n  --debug " in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(command: Command, shell: str) -> None:
    if shell == "bash":
        require(shell)  # which is asked for its version
    assert "_IMGPKG_COMPLETE" in command("imgpkg", "completion", shell).output


@pytest.mark.parametrize(
    "arguments", [["version"], ["--help"], ["push", "--help"], ["copy", "-b", "x/y"], ["resolve", "-h"]]
)
def test_nothing_heavy_is_imported_before_it_is_needed(arguments: list[str]) -> None:
    program = (
        "import sys; from bundlepipe.cli.program import run\n"
        f"run('bundlepipe', {arguments!r})\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("bundlepipe pu", ["plain,push", "plain,pull"]),
        ("bundlepipe tag re", ["plain,resolve"]),
        ("bundlepipe pull --rec", ["plain,--recursive"]),
        ("bundlepipe push -f co", ["file,co"]),
        ("bundlepipe pull -o co", ["dir,co"]),
        ("bundlepipe schema pi", ["plain,pipeline"]),
    ],
)
def test_completion(command: Command, words: str, completed: list[str]) -> None:
    env = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_BUNDLEPIPE_COMPLETE": "bash_complete"}
    assert command("bundlepipe", env=env).output.splitlines() == completed


@LINUX
def test_bash_completes(command: Command) -> None:
    bash = program("bash")
    script = (
        'eval "$(imgpkg completion bash)"; COMP_WORDS=(imgpkg pu); COMP_CWORD=1; '
        '_imgpkg_completion imgpkg pu imgpkg; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run([bash, "-c", script], env=command.environment(), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["push", "pull"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_streams(command: Command, closed: str) -> None:
    line = f"bundlepipe version {closed}"
    done = subprocess.run(["sh", "-c", line], env=command.environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", ["bundlepipe schema pipeline", "bundlepipe help", "imgpkg version", "kbld --help"])
@pytest.mark.parametrize("errors", ["", " 2>&1"])
def test_output_that_nobody_reads(command: Command, line: str, errors: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        ["sh", "-c", f"exec {line}{errors}"],
        env=command.environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@LINUX
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("option", ["", "--json"])
def test_output_that_cannot_be_written(command: Command, option: str, unbuffered: str) -> None:
    line = f"bundlepipe version {option} >/dev/full"
    env = command.environment({"PYTHONUNBUFFERED": unbuffered})
    done = subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ("bundlepipe: Error: standard output, or the current directory: No space left on device\n")


def test_internal_names_are_not_suggested(command: Command) -> None:
    failed = command("bundlepipe", "pull", "--no-recursiv").failed
    assert failed == "bundlepipe: Error: unknown flag: --no-recursiv (did you mean --recursive?)\n"


def test_argument_that_is_missing(command: Command) -> None:
    assert command("bundlepipe", "completion").failed == (
        "bundlepipe: Error: bash|fish|zsh is missing: 'bundlepipe completion --help' shows how it is used\n"
    )
    assert command("imgpkg", "completion").failed == "imgpkg: Error: accepts 1 arg(s), received 0\n"


def test_help_of_what_there_is_not(command: Command) -> None:
    assert command("imgpkg", "help", "pish").output == command("imgpkg", "--help").output
    assert command("kbld", "help", "pish").output == command("kbld", "--help").output


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_version_as_a_flag(command: Command, flag: str) -> None:
    assert command("imgpkg", flag).output == "imgpkg version 0.44.0\n\nSucceeded\n"
    assert command("kbld", flag).output == "kbld version 0.45.0\n\nSucceeded\n"
    assert "unknown" in command("imgpkg", "push", flag).failed
