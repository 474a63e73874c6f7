"""The command `graph`: `doit graph`, found as `bundlepipe doit` finds its tasks."""

from __future__ import annotations

import json

from tests.support.command import Command


def test_it_prints_what_doit_prints(pipeline: Command) -> None:
    for arguments in ([], ["--json"], ["--of", "push_bundle:one", "--dot"], ["--html"], ["two"], ["refresh=two"]):
        ours, doits = pipeline("bundlepipe", "graph", *arguments), pipeline("bundlepipe", "doit", "graph", *arguments)
        assert (ours.status, ours.stdout) == (doits.status, doits.stdout)
    assert "-->" in pipeline("bundlepipe", "graph").stdout


def test_help_is_that_of_the_command(pipeline: Command) -> None:
    for arguments in (["graph", "-h"], ["graph", "--help"], ["help", "graph"]):
        told = pipeline("bundlepipe", *arguments)
        assert told.status == 0
        assert "bundlepipe graph [TASK ...]" in told.stdout
        assert "--of=TASK" in told.stdout
    assert "graph       Show the tasks of a pipeline" in pipeline("bundlepipe", "help").stdout


def test_errors_are_lines(pipeline: Command) -> None:
    told = pipeline("bundlepipe", "graph", "push_bundle:on")
    assert (told.status, told.stdout) == (3, "")
    assert told.stderr.startswith("ERROR: 'push_bundle:on': there is no such task")


def test_an_empty_argument_is_an_error_in_one_line(pipeline: Command) -> None:
    for arguments in (["graph", "-o", ""], ["doit", "list", ""]):
        told = pipeline("bundlepipe", *arguments)
        assert (told.status, told.stdout) == (1, "")
        message = "an argument is empty, as '' and \"$VARIABLE\" without a value are: leave it out"
        assert told.stderr == f"bundlepipe: Error: {message}\n"


def test_from_a_directory_below_the_file_is_written_there(pipeline: Command) -> None:
    pipeline.directory = pipeline.directory / "two"
    told = pipeline("bundlepipe", "graph", "-o", "graph.json")
    assert (told.status, told.stderr) == (0, "bundlepipe: running in .., where bundlepipe.yml is\n")
    graph = json.loads((pipeline.directory / "graph.json").read_text())
    assert [task["name"] for task in graph["tasks"]] == [
        "lock_bundle:one", "push_bundle:one", "lock_bundle:two", "push_bundle:two"
    ]  # fmt: skip
