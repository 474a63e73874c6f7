"""Errors as the command line tells them: the cause of a fault below it, indented, as imgpkg does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bundlepipe.cli.tool import Tool
from bundlepipe.errors import BundlepipeError, ResolutionError, StoreError, printable, quoted

_REQUEST = re.compile(r"(?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+?(?=: )")


class FetchFailed(BundlepipeError):
    """An image could not be fetched: `cause` says why."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__(f"Fetching image: {cause}")
        self.cause = cause


@contextmanager
def fetching() -> Iterator[None]:
    """Make FetchFailed of a request in here that asks for something and fails; for what is given it is not that."""
    try:
        yield
    except StoreError as error:
        if str(error).startswith(("GET ", "HEAD ")):
            raise FetchFailed(error) from error
        raise


def message_of(error: BundlepipeError | OSError | click.ClickException, tool: Tool) -> str:
    """Return an error as one text; each cause is indented by two further."""
    if isinstance(error, click.ClickException):
        return _usage(error, tool)
    if isinstance(error, OSError):
        return f"{printable(str(error.filename or 'writing'))}: {error.strerror or error}"
    if isinstance(error, FetchFailed):
        return f"Fetching image:\n{_causes(str(error.cause), 1)}"
    if isinstance(error, ResolutionError):
        return "".join(
            f"\n- Resolving image {quoted(it.reference)}: {it.reason} ({it.where})" for it in error.unresolved
        )
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
        case click.BadOptionUsage(option_name=name) if name.startswith("-"):
            return f"flag needs an argument: {name}" + _help_for(error, tool)
        case click.exceptions.NoSuchCommand(command_name=name):
            return f'unknown command "{name}" for "{tool.name}": \'{tool.name} --help\' lists the commands'
        case click.MissingParameter(param=click.Option(opts=names)):
            return f'required flag(s) "{names[-1].lstrip("-")}" not set'
    return error.format_message().rstrip(".") + _help_for(error, tool)


def _help_for(error: click.ClickException, tool: Tool) -> str:
    context = getattr(error, "ctx", None)
    return f": '{context.command_path if context else tool.name} --help' shows how it is used"
