"""version."""

from __future__ import annotations

import click

from bundlepipe import __version__
from bundlepipe.cli.command import Command, Run


@click.command(cls=Command, examples={"Print the version": "version"})
@click.pass_obj
def version(run: Run) -> None:
    """Print the version: under the name of another tool the one that is stood in for, then bundlepipe's own."""
    stood_in_for = f"{run.tool.name} version {run.tool.release}\n" if run.tool.release else ""
    # At once: who reads the first line alone may be gone before a second is written.
    run.console.block(f"{stood_in_for}bundlepipe version {__version__}\n")
