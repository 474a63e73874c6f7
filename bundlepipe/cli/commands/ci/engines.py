"""The commands `ci github`, `gitlab`, `buildkite` and `argo`: what an engine takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from bundlepipe.cli.commands.ci.project import Project, load_project, refuse_empty_plan
from bundlepipe.cli.parsing.command import PATH, Command, Option, Run
from bundlepipe.cli.parsing.outputs import force_option
from bundlepipe.errors import BundlepipeError, OutputError, printable

_STANDARD = ("-", "/dev/stdout")


def _output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    text = "Write to FILE instead of the standard output"
    return click.option("-o", "--output", cls=Option, type=PATH, metavar="FILE", help=text)(force_option(function))


def _plan_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    text = f"Write {what} of this plan, which 'bundlepipe ci plan' saved"
    return click.option("--plan", cls=Option, type=PATH, metavar="FILE", help=text)


@click.command(
    cls=Command,
    examples={
        "Write the workflow of a repository": "ci github -o .github/workflows/bundles.yml",
        "Print it": "ci github",
    },
)
@_output_option
@click.pass_obj
def github(run: Run, output: str | None, force: bool) -> None:
    """Write a workflow for GitHub Actions.

    On a pull request it shows what is affected, without secrets. On a push it plans, does each shard of the plan as a
    job of a matrix, and merges the reports. The key 'ci' of bundlepipe.yml has its settings.
    """
    _write_committed(run, "github", output, force=force)


@click.command(
    cls=Command,
    examples={
        "Write the pipeline of a repository": "ci gitlab -o .gitlab-ci.yml",
        "Write the child pipeline of a plan": "ci gitlab --plan plan.json -o child.yml",
    },
)
@_output_option
@_plan_option("the child pipeline")
@click.pass_obj
def gitlab(run: Run, output: str | None, plan: str | None, force: bool) -> None:
    """Write a pipeline for GitLab CI, which plans and runs a child pipeline.

    Its job 'plan' calls this command again, with --plan, for the child pipeline: a job for each shard, and one that
    merges the reports. The key 'ci' of bundlepipe.yml has the settings.
    """
    if plan is None:
        _write_committed(run, "gitlab", output, force=force)
    else:
        text = _write_planned(run, "gitlab", plan, output, force=force)
        _tell_of_limits(run, text)


@click.command(
    cls=Command,
    examples={
        "Write the pipeline of a repository": "ci buildkite -o .buildkite/pipeline.yml",
        "Upload the steps of a plan": "ci buildkite --plan plan.json | buildkite-agent pipeline upload",
    },
)
@_output_option
@_plan_option("the steps")
@click.pass_obj
def buildkite(run: Run, output: str | None, plan: str | None, force: bool) -> None:
    """Write a pipeline for Buildkite, which plans, uploads steps and reports.

    Its step 'plan' calls this command again, with --plan, for the steps to upload: one for each shard. The key 'ci' of
    bundlepipe.yml has the settings.
    """
    if plan is None:
        _write_committed(run, "buildkite", output, force=force)
    else:
        _write_planned(run, "buildkite", plan, output, force=force)


@click.command(
    cls=Command,
    examples={
        "Write the workflow of a repository": "ci argo -o argo/bundles.yml",
        "Submit it": "ci argo | argo submit - -p repository=https://git.example/team/apps.git",
    },
)
@_output_option
@click.pass_obj
def argo(run: Run, output: str | None, force: bool) -> None:
    """Write a Workflow for Argo Workflows.

    It plans, does each shard of the plan as a pod, and merges the reports, with plans and reports in the cluster's
    artifact repository. The key 'ci' of bundlepipe.yml has its settings.
    """
    _write_committed(run, "argo", output, force=force)


def _write_committed(run: Run, engine: str, output: str | None, *, force: bool) -> None:
    from bundlepipe.pipeline.ci.engines.written import place_of, written_text

    project = load_project(run)
    path = _path(project, output)
    place = place_of(project.placed(output) if path and output else None, project.directory)
    _put(run, path, written_text(engine, project.ci, place), force=force)


def _write_planned(run: Run, engine: str, plan: str, output: str | None, *, force: bool) -> str:
    from bundlepipe.pipeline.ci.engines.common import Place
    from bundlepipe.pipeline.ci.engines.written import text_of_plan
    from bundlepipe.pipeline.ci.reading import read_graph

    refuse_empty_plan(plan)
    project = load_project(run)
    graph = read_graph(project.seen(plan))
    text = text_of_plan(engine, project.ci, graph, Place(directory=project.directory))
    _put(run, _path(project, output), text, force=force)
    return text


def _path(project: Project, output: str | None) -> str | None:
    """Return the path to write to, None for the standard output."""
    if output == "":
        raise BundlepipeError("-o: the name of the file is empty: name a file, or - for the output")
    return None if output is None or output in _STANDARD else project.seen(output)


def _put(run: Run, path: str | None, text: str, *, force: bool) -> None:
    from bundlepipe.filesystem.files import is_stream, write_to_stream
    from bundlepipe.pipeline.ci.engines.written import workflow_output

    if path is None:
        run.console.block(text)
        return
    _refuse_definitions(path)
    try:
        if is_stream(path):
            write_to_stream(path, text.encode())
        else:
            workflow_output(path, force=force).write(text.encode())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _refuse_definitions(path: str) -> None:
    """Raise OutputError for a file that the tasks were loaded from: git may have it, and the project would be gone."""
    from bundlepipe.pipeline.plugins.loader import PROJECT_FILES
    from bundlepipe.pipeline.watching.looking import definitions

    loaded = {os.path.realpath(file) for file in definitions(os.path.abspath(PROJECT_FILES[0])).definitions}
    if os.path.realpath(path) in loaded:
        raise OutputError(f"{printable(path)}: defines the tasks of this project: name another file")


def _tell_of_limits(run: Run, text: str) -> None:
    from bundlepipe.pipeline.ci.engines.gitlab import exceeded

    for told in exceeded(text):
        run.console.note(f"{run.tool.name}: {told}")
