"""The command `ci check`: whether the workflows in the repository are those that would be written now."""

from __future__ import annotations

import click

from bundlepipe.cli.commands.ci.project import load_project
from bundlepipe.cli.parsing.command import PATH, Command, Run
from bundlepipe.errors import DocumentError, printable


@click.command(
    cls=Command,
    examples={
        "Check all written workflows of a pipeline": "ci check",
        "Check one of them": "ci check .github/workflows/bundles.yml",
    },
)
@click.argument("files", nargs=-1, type=PATH, metavar="[FILE...]")
@click.pass_obj
def check(run: Run, files: tuple[str, ...]) -> None:
    """Find written workflows that are out of date, and show how they would change.

    FILE defaults to all YAML files of the repository whose first line says that 'bundlepipe ci' wrote them for this
    pipeline. The exit status is 1 if one of them is not what would be written now: settings have changed, it
    was edited, or another release of bundlepipe writes another file.
    """
    from bundlepipe.pipeline.ci.engines.written import compared, find_written

    project = load_project(run)
    paths = [project.placed(file) for file in files] or find_written(project.directory)
    if not paths:
        run.console.note(f"{run.tool.name}: there is no workflow that 'bundlepipe ci' wrote for this pipeline")
    faults = []
    for path, difference in compared(project.ci, paths, project.directory):
        if difference is None:
            run.console.line(f"{printable(path)}: up to date")
        else:
            run.console.block("".join(f"{line}\n" for line in [f"{printable(path)}:", *difference.diff]))
            faults.append(f"{printable(path)}: out of date: write it again with: {printable(difference.command)}")
    if faults:
        raise DocumentError(faults)
