"""Run the command under one of its names, and return its exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click
from click.exceptions import NoArgsIsHelpError

from bundlepipe.cli.messages import message_of
from bundlepipe.cli.parsing.arguments import asks_for
from bundlepipe.cli.parsing.command import Run
from bundlepipe.cli.parsing.groups import Commands
from bundlepipe.cli.printing.console import Console
from bundlepipe.cli.tool import BUNDLEPIPE, IMGPKG, KBLD, Tool, tool_of
from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.doit_adapter.closed_output import UnwritableOutput, end_quietly

_IMGPKG_COMMANDS = {
    "push": ("push:push", "Push files as a bundle or an image"),
    "pull": ("pull:pull", "Pull the files of a bundle or an image into a directory"),
    "copy": ("copy:copy", "Copy a bundle or images, with everything they name, to a repository or a tar file"),
    "describe": ("describe:describe", "Show the images of a bundle"),
    "tag": ("tag:tag", "List and resolve tags"),
}
_COMPLETION = {"completion": ("about:completion", "Print the script for shell completion of commands")}
_VERSION = {"version": ("about:version", "Print the version")}
_COMMANDS = {
    BUNDLEPIPE.name: {
        "init": ("init:init", "Write a bundlepipe.yml and a dodo.py for a directory"),
        "doit": ("doit:doit", "Run doit, with the tasks of bundlepipe.yml if there is no dodo.py"),
        "plan": ("plan:plan", "Show what a run of doit would do, without doing it"),
        "watch": ("doit:watch", "Run doit, and again whenever inputs change"),
        "graph": ("graph:graph", "Show the tasks of a pipeline and what they need, as a picture, page or text"),
        "check": ("check:check", "Check all documents of a pipeline, without network"),
        "doctor": ("doctor:doctor", "Find out why a registry does not respond"),
        **_IMGPKG_COMMANDS,
        "diff": ("diff:diff", "Show what differs between two bundles or images"),
        "resolve": ("kbld.resolve:resolve", "Resolve the images in configuration to digests"),
        "inspect": ("kbld.inspect:inspect", "List the images in resolved configuration"),
        "ci": ("ci.group:ci", "Run the tasks as a graph of jobs on a CI engine"),
        "lock": ("lock:lock", "Merge lock files of pipelines"),
        "schema": ("schema:schema", "Print the JSON Schema of a document"),
        **_COMPLETION,
        **_VERSION,
    },
    IMGPKG.name: {**_IMGPKG_COMMANDS, **_COMPLETION, **_VERSION},
    KBLD.name: {"inspect": ("kbld.inspect:inspect", "List the images in resolved configuration"), **_VERSION},
}
# Only for kbld, which does not list them either.
_HIDDEN = {
    "package": "kbld.relocation:package",
    "unpackage": "kbld.relocation:unpackage",
    "relocate": "kbld.relocation:relocate",
}
_ALIASES = {**dict.fromkeys(("i", "is", "insp"), "inspect"), "pkg": "package", "unpkg": "unpackage"}
_ABOUT = {
    BUNDLEPIPE.name: "OCI bundles of Kubernetes configuration: push, pull and copy them, or make them by doit tasks.",
    IMGPKG.name: "Bundles and images of files, as imgpkg pushes, pulls and copies them. This is bundlepipe.",
    KBLD.name: "Images in configuration, resolved to digests as kbld does it. This is bundlepipe.",
}


def run(program: str, arguments: Sequence[str]) -> int:
    """Run the command under the name of a program; return the exit status."""
    _open_closed_streams()
    end_quietly()
    # Documents are UTF-8 whatever the terminal uses, and file names may be any bytes.
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    this = Run(tool_of(program))
    try:
        status = command_of(this.tool).main(list(arguments), this.tool.name, standalone_mode=False, obj=this)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except (BundlepipeError, OSError, click.ClickException) as error:
        if isinstance(error, click.UsageError) and this.tool is BUNDLEPIPE and asks_for(arguments, "--json"):
            # Scripts read the document also if the arguments are wrong; imgpkg and kbld print none then.
            this.console = Console(as_json=True)
        return _fail(this, error)
    except UnwritableOutput as ending:
        return _fail(this, OSError(errno.EIO, ending.reason))
    except click.Abort:
        from bundlepipe.concurrency.termination import end_interrupted

        end_interrupted(lambda: this.console.note(f"{this.tool.name}: interrupted"))
        return 130


def _open_closed_streams() -> None:
    """Replace standard streams that were closed before the start with the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  (open as long as the process runs)


def command_of(tool: Tool) -> Commands:
    """Return the command with all subcommands of a tool."""
    return Commands(
        _COMMANDS[tool.name],
        bare="kbld.resolve:resolve" if tool is KBLD else None,
        aliases=_ALIASES if tool is KBLD else None,
        hidden=_HIDDEN if tool is KBLD else None,
        name=tool.name,
        help=_ABOUT[tool.name],
    )


def _fail(this: Run, error: BundlepipeError | OSError | click.ClickException) -> int:
    this.console.fail(f"{this.tool.name}: Error: {message_of(error, this.tool)}")
    return this.failure_status
