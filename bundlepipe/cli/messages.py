"""Errors as the command line tells them: the cause of a fault below it, indented, as imgpkg does."""

from __future__ import annotations

import re

import click

from bundlepipe.cli.tool import Tool
from bundlepipe.errors import BundlepipeError, StoreError, printable

_REQUEST = re.compile(r"(?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+?(?=: )")


class Fetching(BundlepipeError):
    """An image could not be fetched; what is the matter with it follows as the cause."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__(f"Fetching image: {cause}")
        self.cause = cause


def message_of(error: BundlepipeError | OSError | click.ClickException, tool: Tool) -> str:
    """Return an error as one text; each cause is indented by two further."""
    if isinstance(error, click.ClickException):
        return _usage(error, tool)
    if isinstance(error, OSError):
        return f"{printable(str(error.filename or 'writing'))}: {error.strerror or error}"
    if isinstance(error, Fetching):
        return f"Fetching image:\n{_causes(str(error.cause), 1)}"
    return _causes(str(error), 0) if isinstance(error, StoreError) else str(error)


def _causes(text: str, depth: int) -> str:
    """Return the request that failed and, below it, how, where the text begins with a request."""
    match = _REQUEST.match(text)
    indent = "  " * depth
    if not match:
        return indent + text
    return f"{indent}{match[0]}:\n{indent}  {text[match.end() + 2 :]}"


def _usage(error: click.ClickException, tool: Tool) -> str:
    """Return what is wrong with the arguments, in the words of Go's tools where scripts know those."""
    match error:
        case click.NoSuchOption(option_name=name):
            long = name.startswith("--")
            text = f"unknown flag: {name}" if long else f"unknown shorthand flag: '{name.lstrip('-')}' in {name}"
            suggestions = f" (did you mean {' or '.join(error.possibilities)}?)" if error.possibilities else ""
            return text + suggestions
        case click.exceptions.NoSuchCommand(command_name=name):
            return f'unknown command "{name}" for "{tool.name}": \'{tool.name} --help\' lists the commands'
        case click.MissingParameter(param=click.Option(opts=names)):
            return f'required flag(s) "{names[-1].lstrip("-")}" not set'
    text = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else tool.name
    return f"{text}: '{path} --help' shows how it is used"
