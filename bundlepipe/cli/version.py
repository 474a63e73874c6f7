"""version."""

from __future__ import annotations

import click

from bundlepipe import __version__
from bundlepipe.cli.command import Command, Run


@click.command(cls=Command, examples={"Print the version": "version"})
@click.pass_obj
def version(run: Run) -> None:
    """Print the version: under the name of another tool the one that is stood in for, then bundlepipe's own."""
    if run.tool.release:
        run.console.block(f"{run.tool.name} version {run.tool.release}\n")
    run.console.block(f"bundlepipe version {__version__}\n")
