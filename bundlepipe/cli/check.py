"""check."""

from __future__ import annotations

import os

import click

from bundlepipe.cli.command import PATH, Command, Run
from bundlepipe.errors import DocumentError


@click.command(
    cls=Command,
    examples={
        "Check bundlepipe.yml and all that it names": "check",
        "Tell of each document what it is": "check --tty",
        "Check another pipeline": "check apps/shop/bundlepipe.yml",
    },
)
@click.argument("file", default="bundlepipe.yml", type=PATH)
@click.pass_obj
def check(run: Run, file: str) -> None:
    """Check a pipeline file and every document that it names, without network and without running anything.

    Those are pipeline files that it includes, configuration that is searched for images, kbld's
    configuration, locks, bundle.yml and Dockerfiles. All faults are told at once, each with line
    and column.
    """
    from bundlepipe.pipeline.checked_documents import check_documents

    report = check_documents(file, os.environ)
    for path, what in report.checked.items():
        run.console.line(f"{path}: {what}")
    for path in report.absent:
        run.console.note(f"{run.tool.name}: {path}: is not there, which is fine if a task makes it")
    if report.problems:
        raise DocumentError(report.problems)
