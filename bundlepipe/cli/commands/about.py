"""The commands `version` and `completion`: click's shell completion scripts, under the name that cobra uses."""

from __future__ import annotations

import click

from bundlepipe import __version__
from bundlepipe.cli.parsing.command import Command, Run


@click.command(cls=Command, examples={"Print the version": "version"})
@click.pass_obj
def version(run: Run) -> None:
    """Print the version; under the name of another tool, that tool's version."""
    run.console.block(f"{run.tool.name} version {run.tool.release or __version__}\n")


@click.command(
    cls=Command,
    examples={
        "Complete in this shell": "completion bash > /tmp/completion && . /tmp/completion",
        "Complete in every zsh": "completion zsh >> ~/.zshrc",
    },
)
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]), metavar="bash|fish|zsh")
@click.pass_obj
def completion(run: Run, shell: str) -> None:
    """Print the script with which a shell (bash, zsh or fish) completes commands, options and files."""
    from click.shell_completion import get_completion_class

    name = run.tool.name
    kind = get_completion_class(shell)
    assert kind is not None
    context = click.get_current_context().find_root()
    run.console.block(kind(context.command, {}, name, f"_{name.upper()}_COMPLETE").source() + "\n")
