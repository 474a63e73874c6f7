"""Groups of commands, with lookup by click's rules or, under the names of other tools, by cobra's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from bundlepipe.cli.parsing.arguments import FlagError, command_first, parsed
from bundlepipe.cli.parsing.command import HELP_WIDTH, Run, Switch, extra, global_options, stands_in


class Commands(click.Group):
    """Commands that are imported on use.

    `places` maps names of commands to `MODULE:NAME` below this package, and a line for the help.
    `bare` is the command to run if none is named, `aliases` are additional names of commands,
    `hidden` are commands that are not listed.
    """

    def __init__(
        self,
        places: Mapping[str, tuple[str, str]],
        bare: str | None = None,
        aliases: Mapping[str, str] | None = None,
        hidden: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        context = {"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH}
        super().__init__(**{"context_settings": context, **settings})
        self._places = places
        self._bare = bare
        self._aliases = aliases or {}
        self._hidden = hidden or {}

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all listed commands."""
        return list(self._places)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a command; the bare one has no name."""
        if not name and self._bare:
            return _imported(self._bare)
        name = self._aliases.get(name, name)
        if name in self._hidden:
            return _imported(self._hidden[name])
        return _imported(self._places[name][0]) if name in self._places else None

    def _has(self, name: str) -> bool:
        return name in self._places or name in self._hidden

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self._places.items()])

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Parse, moving the name of the command first; `help NAME` is `NAME --help`."""
        arguments = command_first(args, [*self.get_params(context), *global_options()])
        if stands_in(context):
            arguments = self._found_as_cobra(context, arguments, args)
        elif arguments[:1] == ["help"]:
            arguments = [*arguments[1:], "--help"]
        if self._bare and (not arguments or arguments[0].startswith("-")):
            arguments = ["", *arguments]
        return super().parse_args(context, arguments)

    def _found_as_cobra(self, context: click.Context, arguments: list[str], given: list[str]) -> list[str]:
        """Return arguments that begin with a command; if none is named, do what imgpkg and kbld do then.

        `arguments` begin with the word that may be its name, and were `given` in another order.
        """
        name = arguments[0] if arguments else ""
        name = self._aliases.get(name, name)
        if self._has(name):
            return [name, *arguments[1:]]
        if name == "help" and context.parent is None:
            known = [*arguments[1:], "--help"]
            return known if self._has(self._aliases.get(known[0], known[0])) else ["--help"]
        if name in ("--version", "-v") and context.parent is None:
            return ["version", "--tty"]
        if self._bare:
            return ["", *given]
        flags, words = parsed(arguments, [*self.get_params(context), *global_options(), *_root_options(context)])
        if "--help" in flags:
            return ["--help"]
        if "--version" in flags:
            return ["version", "--tty"]
        if words:
            raise extra(context, words)
        raise self._without_command(context)

    def _without_command(self, context: click.Context) -> FlagError:
        if context.parent is not None:
            return FlagError(f"Use one of available subcommands: {', '.join(self._places)}", context)
        run = context.find_object(Run)
        assert run
        run.console.block(f"{self.get_help(context)}\n")
        return FlagError("Invalid command - see available commands/subcommands above", context)


def _root_options(context: click.Context) -> list[click.Option]:
    """Return the options that only the command without a name has."""
    return [] if context.parent else [Switch(["-v", "--version"])]


def _imported(place: str) -> click.Command:
    module, _, name = place.partition(":")
    command = getattr(import_module(f"bundlepipe.cli.commands.{module}"), name)
    assert isinstance(command, click.Command)
    return command
