"""The command `version`."""

from __future__ import annotations

import click

from bundlepipe import __version__
from bundlepipe.cli.parsing.command import Command, Run


@click.command(cls=Command, examples={"Print the version": "version"})
@click.pass_obj
def version(run: Run) -> None:
    """Print the version; under the name of another tool, that tool's version."""
    run.console.block(f"{run.tool.name} version {run.tool.release or __version__}\n")
