"""The reference of the command agrees with the command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from bundlepipe.cli.parsing.command import Command, Option, Run
from bundlepipe.cli.parsing.groups import Commands
from bundlepipe.cli.program import command_of
from bundlepipe.cli.tool import BUNDLEPIPE, IMGPKG, KBLD, Tool
from bundlepipe.pipeline.plugins.ci.plan_command import CIPlanCommand
from bundlepipe.pipeline.plugins.ci.run_command import PLAN_OPTION

REFERENCE = (Path(__file__).parents[2] / "docs/reference/command.md").read_text()
_SECTION = re.compile(r"^### (?P<title>.+)\n(?P<text>(?:(?!^#).*\n)*)", re.MULTILINE)
_OPTION = re.compile(r"`(--?[a-zA-Z][a-z-]*)")
SECTIONS = {match["title"]: match["text"] for match in _SECTION.finditer(REFERENCE)}


def commands_of(tool: Tool) -> dict[str, click.Command]:
    context = click.Context(command_of(tool), obj=Run(tool))
    found: dict[str, click.Command] = {}

    def add(prefix: str, group: Commands) -> None:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, Commands):
                add(f"{name} ", command)
            else:
                found[prefix + name] = command

    root = command_of(tool)
    add("", root)
    return found


def _long(options: Iterable[Mapping[str, Any]]) -> set[str]:
    return {f"--{option['long']}" for option in options}


# Commands whose options doit parses.
_OF_DOIT = {"ci plan": _long(CIPlanCommand.cmd_options), "ci run": _long([PLAN_OPTION])}


def listed(section: str) -> set[str]:
    rows = [line.split("|")[1] for line in SECTIONS[section].splitlines() if line.startswith("| `")]
    return {name for row in rows for name in _OPTION.findall(row)}


def options_of(command: click.Command, section: str) -> set[str]:
    options = (option for option in command.params if isinstance(option, Option) and option.section == section)
    return {name for option in options if not option.hidden for name in option.opts}


@pytest.mark.parametrize("name", sorted(commands_of(BUNDLEPIPE)))
def test_options_of_commands(name: str) -> None:
    command = commands_of(BUNDLEPIPE)[name]
    own = _OF_DOIT[name] if name in _OF_DOIT else options_of(command, "Options")
    assert listed(name) == own if name in SECTIONS else name == "version"
    if isinstance(command, Command):
        assert options_of(command, "Everywhere") == listed("Everywhere")
        assert options_of(command, "Registries") == _registry_options(name)
        assert command.examples
    assert command.help


def _registry_options(name: str) -> set[str]:
    """Return what the reference says that a command has of them: all, those of kbld, or none."""
    if name in ("push", "pull", "copy", "describe", "diff", "tag list", "tag resolve", "doctor"):
        return listed("Registries")
    rows = [line for line in SECTIONS["Registries"].splitlines() if "(`k`)" in line]
    return {option for row in rows for option in _OPTION.findall(row)} if name in ("resolve", "inspect") else set()


def test_hidden_commands_of_kbld() -> None:
    root = command_of(KBLD)
    context = click.Context(root, obj=Run(KBLD))
    has: set[str] = set()
    for name in ("package", "unpackage", "relocate"):
        command = root.get_command(context, name)
        assert isinstance(command, Command)
        assert command.help
        assert command.examples
        assert name not in root.list_commands(context)
        has |= options_of(command, "Options")
    assert has == listed("package, unpackage and relocate")


def test_tools_have_the_commands_that_the_table_says() -> None:
    rows = [
        line.split("|")[1:] for line in REFERENCE.partition("## Arguments")[0].splitlines() if line.startswith("| `")
    ]
    for tool, column in ((BUNDLEPIPE, 1), (IMGPKG, 2), (KBLD, 3)):
        has = {name for row in rows if row[column].strip() == "yes" for name in re.findall(r"`([a-z ]+)`", row[0])}
        assert has - {"help"} == set(commands_of(tool))
