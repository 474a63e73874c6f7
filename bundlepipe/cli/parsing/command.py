"""The base class of all commands: shared options, parsing, and the form of their help."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import click

from bundlepipe.cli.parsing.arguments import FlagError, normalised, parsed
from bundlepipe.cli.parsing.go_values import csv_fields
from bundlepipe.cli.printing.console import Console
from bundlepipe.cli.tool import BUNDLEPIPE, IMGPKG, Tool
from bundlepipe.concurrency.cancellation import Cancellation, cancellable
from bundlepipe.concurrency.termination import end_orderly

HELP_WIDTH = 100


# Completed as files and directories; whether they can be read or written is checked on use.
PATH = click.Path(readable=False)
DIRECTORY = click.Path(file_okay=False, readable=False)


class Option(click.Option):
    """An option; `section` is its section in the help, `only_for` are the tools that have it."""

    def __init__(
        self,
        declarations: Sequence[str],
        section: str = "Options",
        only_for: Collection[str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(declarations, **settings)
        self.section = section
        self.only_for = only_for


class Switch(Option):
    """A boolean option, which `--NAME=false` switches off again, as in Go's tools."""

    def __init__(self, declarations: Sequence[str], **settings: Any) -> None:
        both = [f"{name}/--no-{name.removeprefix('--')}" if name.startswith("--") else name for name in declarations]
        super().__init__(both, **{"default": False, **settings})

    def get_help_record(self, context: click.Context) -> tuple[str, str] | None:
        """Return the names, in the form that changes the default, and the help."""
        if self.hidden:
            return None
        names = ", ".join(sorted(self.opts, key=len))
        return (f"{names}=false" if self.default is True else names), self.help or ""


def global_options() -> list[Option]:
    """Return new instances of the options that every command has; all but two are arguments of `Console`."""
    section = "Everywhere"
    return [
        Switch(
            ["--debug"],
            section=section,
            only_for=(BUNDLEPIPE.name, IMGPKG.name),
            help="Show HTTP traffic with registries on stderr, without secrets",
        ),
        Switch(["--json", "as_json"], section=section, help="Print everything as one JSON document"),
        Switch(["--tty"], section=section, help="Print as on a terminal"),
        Switch(["--color"], section=section, default=True, help="Print without colours, as NO_COLOR does"),
        Option(["--column", "columns"], section, multiple=True, metavar="NAME", help="Print only these columns"),
        Switch(["-y", "--yes"], section=section, help="Accepted for scripts; there are no prompts"),
    ]


_GLOBAL_NAMES = ("debug", "as_json", "tty", "color", "columns", "yes")


class _Context(click.Context):
    """A context whose command may have no name."""

    @property
    def command_path(self) -> str:
        """The tool and the command, as a user calls them."""
        return super().command_path.rstrip()


class Command(click.Command):
    """A command: parses arguments as Go's tools do, has the global options, and shows examples in its help.

    `examples` maps descriptions to command lines without the name of the tool; `own_examples` are shown
    only under the name bundlepipe. `failure_status` is the exit status of an error.
    """

    context_class = _Context

    def __init__(
        self,
        *args: Any,
        examples: Mapping[str, str] | None = None,
        own_examples: Mapping[str, str] | None = None,
        failure_status: int = 1,
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self.failure_status = failure_status
        self.examples = examples or {}
        self.own_examples = own_examples or {}
        self.params = [*self.params, *global_options()]
        self.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH}

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        """Return the parameters of the command under the current name of the tool."""
        run = context.find_object(Run)
        return [
            each
            for each in super().get_params(context)
            if run is None or (names := getattr(each, "only_for", None)) is None or run.tool.name in names
        ]

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Parse, after converting the arguments to click's syntax."""
        context.ensure_object(Run).failure_status = self.failure_status
        try:
            if stands_in(context):
                return self._parse_as_cobra(context, args)
            return super().parse_args(context, normalised(args, self.get_params(context)))
        except click.UsageError as error:
            error.ctx = error.ctx or context
            raise

    def _parse_as_cobra(self, context: click.Context, args: list[str]) -> list[str]:
        """Parse as imgpkg and kbld do: first options, then required ones, then other words."""
        parameters = self.get_params(context)
        flags, words = parsed(args, parameters)
        if any(isinstance(each, click.Argument) for each in parameters):
            if "--help" not in flags:
                _check_choice(context, parameters, words)
            return super().parse_args(context, [*flags, "--", *words])
        rest = super().parse_args(context, flags)
        if words:
            raise extra(context, words)
        return rest

    def invoke(self, context: click.Context) -> Any:
        """Run the command with the console that its options select, then report success."""
        chosen = {name: context.params.pop(name, False) for name in _GLOBAL_NAMES}
        run = context.ensure_object(Run)
        run.debug = chosen["debug"]
        run.console = Console(
            tty=chosen["tty"],
            stands_in=run.tool is not BUNDLEPIPE,
            as_json=chosen["as_json"],
            color=chosen["color"],
            columns=comma_separated(chosen["columns"]),
        )
        end_orderly()
        # An interruption cancels what the thread waits for: pauses, connections, programs.
        result = cancellable(Cancellation(), partial(super().invoke, context))
        # A status of its own is no success to report.
        run.console.succeed(says_so=not result)
        return result

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of this command, then those that all have."""
        for title, options in self._sections(context).items():
            records = [record for option in options if (record := option.get_help_record(context))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if examples := self._examples(context):
            with formatter.section("Examples"):
                name = self.example_name(context)
                for text, example in examples.items():
                    formatter.write(f"{'':>{formatter.current_indent}}# {text}\n")
                    formatter.write(f"{'':>{formatter.current_indent}}{name} {example}\n")

    def _examples(self, context: click.Context) -> Mapping[str, str]:
        return self.examples if stands_in(context) else {**self.examples, **self.own_examples}

    def example_name(self, context: click.Context) -> str:
        """Return the start of examples: the name of the tool."""
        return context.find_root().command_path

    def _sections(self, context: click.Context) -> dict[str, list[click.Parameter]]:
        sections: dict[str, list[click.Parameter]] = {"Options": []}
        # Arguments are in the usage line, and described in the text; newer releases of click also list them.
        for option in (each for each in self.get_params(context) if isinstance(each, click.Option)):
            sections.setdefault(getattr(option, "section", "Everywhere"), []).append(option)
        return sections


class Run:
    """The state of one run of the program: its tool, its console, and the exit status if it fails."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self.console = Console(stands_in=tool is not BUNDLEPIPE)
        self.debug = False
        self.failure_status = 1

    @property
    def prints_results(self) -> bool:
        """Whether the result is printed as a JSON document: imgpkg prints its lines as JSON."""
        return self.console.as_json and self.tool is BUNDLEPIPE

    @property
    def trace(self) -> Callable[[str], None] | None:
        """The writer of HTTP traces; None without --debug."""
        return (lambda text: self.console.write(text, sys.stderr)) if self.debug else None


def _check_choice(context: click.Context, parameters: Sequence[click.Parameter], words: Sequence[str]) -> None:
    """Raise FlagError unless there is one word, and it is one of the choices."""
    if len(words) != 1:
        raise FlagError(f"accepts 1 arg(s), received {len(words)}")
    for each in parameters:
        if isinstance(each.type, click.Choice) and words[0] not in each.type.choices:
            raise FlagError(f'invalid argument "{words[0]}" for "{context.command_path}"')


def stands_in(context: click.Context) -> bool:
    """Return whether the command was called by another tool's name, and has to parse arguments like it."""
    run = context.find_object(Run)
    return run is not None and run.tool is not BUNDLEPIPE and not context.resilient_parsing


def extra(context: click.Context, words: Sequence[str]) -> FlagError:
    """Return the error for superfluous words, with cobrautil's text."""
    return FlagError(f"command '{context.command_path}' does not accept extra arguments '{words[0]}'", context)


def comma_separated(values: Sequence[str]) -> list[str]:
    """Return the values of an option that may be repeated or have several with commas between (pflag's StringSlice)."""
    return [text for value in values for text in csv_fields(value)]


def paths(values: Sequence[str]) -> list[str]:
    """Return the paths of such an option; the name of an existing file may contain commas."""
    return [path for text in values for path in ([text] if os.path.lexists(text) else comma_separated([text]))]
