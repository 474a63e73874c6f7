"""The command `check`: check a pipeline file and all documents it names."""

from __future__ import annotations

import os

import click

from bundlepipe.cli.parsing.command import PATH, Command, Run
from bundlepipe.errors import DocumentError


@click.command(
    cls=Command,
    examples={
        "Check bundlepipe.yml and all documents it names": "check",
        "Show the kind of each document": "check --tty",
        "Print faults in machine-readable form": "check --json",
        "Check another pipeline": "check apps/shop/bundlepipe.yml",
    },
)
@click.argument("file", required=False, type=PATH)
@click.pass_obj
def check(run: Run, file: str | None) -> None:
    """Check a pipeline file and every document that it names, without network and without running anything.

    These are included pipeline files, configuration that is searched for images, kbld's configuration,
    locks, bundle.yml and Dockerfiles. It is also a fault if an output would replace existing files that
    would be lost. All faults are reported at once, each with line and column; with --json as a list of
    objects with file, line, column and message. FILE defaults to the bundlepipe.yml here, or in the nearest
    directory above.
    """
    from bundlepipe.documents.yaml.problem import parse_problem
    from bundlepipe.pipeline.checks.documents import check_documents

    file = file or _found(run)
    report = check_documents(file, os.environ)
    for path, what in report.checked.items():
        run.console.line(f"{path}: {what}")
    for path in report.absent:
        run.console.note(f"{run.tool.name}: {path}: does not exist, which is fine if a task makes it")
    for note in report.notes:
        run.console.note(f"{run.tool.name}: {note}")
    found = [
        parse_problem(problem, lambda name: name == file or os.path.exists(name), file) for problem in report.problems
    ]
    run.console.document([problem.as_json() for problem in found])
    if report.problems:
        raise DocumentError(report.problems)


def _found(run: Run) -> str:
    """Return the pipeline file, after changing to its directory, as doit would."""
    from bundlepipe.pipeline.pipeline import DEFAULT_PATH
    from bundlepipe.starting.project_search import directory_above

    above = None if os.path.exists(DEFAULT_PATH) else directory_above([DEFAULT_PATH])
    if above:
        run.console.note(f"{run.tool.name}: checking in {os.path.relpath(above)}, where {DEFAULT_PATH} is")
        os.chdir(above)
    return DEFAULT_PATH
