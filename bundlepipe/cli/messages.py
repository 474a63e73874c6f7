"""Errors as the command line tells them: the cause of a fault below it, indented, as imgpkg does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bundlepipe.cli.parsing.arguments import FlagError
from bundlepipe.cli.tool import BUNDLEPIPE, KBLD, Tool
from bundlepipe.errors import (
    BundlepipeError,
    DocumentError,
    ResolutionError,
    StoreError,
    Unresolved,
    printable,
    quoted,
)

_REQUEST = re.compile(r"(?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+?(?=: )")
_COLON_OR_BRACKET = re.compile(r"[()\[\]{}]|: [A-Z]")


class FetchFailed(BundlepipeError):
    """An image could not be fetched: `cause` says why."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__(f"Fetching image: {cause}", drop_in=f"Fetching image: {cause.drop_in or cause}")
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
    if tool is not BUNDLEPIPE and isinstance(error, BundlepipeError) and error.drop_in is not None:
        return in_lines(error.drop_in)
    if isinstance(error, OSError):
        # Without a name it is what nobody named.
        where = error.filename or "standard output, or the current directory"
        return f"{printable(str(where))}: {error.strerror or error}"
    if isinstance(error, FetchFailed):
        return f"Fetching image:\n{_causes(str(error.cause), 1)}"
    if isinstance(error, ResolutionError):
        return "".join(f"\n- {_unresolved(it, tool)}" for it in error.unresolved)
    if isinstance(error, DocumentError) and len(error.problems) > 1:
        # Each begins a line, where editors look for places.
        return "".join(f"\n{problem}" for problem in error.problems)
    return _causes(str(error), 0) if isinstance(error, StoreError) else str(error)


def _unresolved(found: Unresolved, tool: Tool) -> str:
    if tool is KBLD:
        return f"Resolving image '{found.reference}': {found.drop_in or found.reason}"
    return f"Resolving image {quoted(found.reference)}: {found.reason} ({found.where})"


def _causes(text: str, depth: int) -> str:
    """Return the request that failed and, below it, how, where the text begins with a request."""
    match = _REQUEST.match(text)
    indent = "  " * depth
    if not match:
        return indent + text
    return f"{indent}{match[0]}:\n{indent}  {text[match.end() + 2 :]}"


def in_lines(text: str) -> str:
    """Return a message of imgpkg or kbld as they print it: each cause below what it is the cause of.

    Causes begin with a capital behind a colon, outside of brackets, in the first line.
    """
    first, newline, rest = text.partition("\n")
    lines, depth, start = [], 0, 0
    for match in _COLON_OR_BRACKET.finditer(first):
        if match[0] in "([{":
            depth += 1
        elif match[0] in ")]}":
            depth -= 1
        elif depth == 0:
            lines.append(first[start : match.start() + 1])
            start = match.end() - 1
    lines.append(first[start:])
    return "\n".join("  " * index + line for index, line in enumerate(lines)) + newline + rest


def _usage(error: click.ClickException, tool: Tool) -> str:
    """Return what is wrong with the arguments, in the words of Go's tools where scripts know those."""
    match error:
        case FlagError(message=message):
            return message
        case click.NoSuchOption(option_name=name):
            long = name.startswith("--")
            text = f"unknown flag: {name}" if long else f"unknown shorthand flag: '{name.lstrip('-')}' in {name}"
            known = [each for each in error.possibilities or () if not each.startswith("--no-")]
            return text + (f" (did you mean {' or '.join(known)}?)" if known else "")
        case click.BadOptionUsage(option_name=name) if name.startswith("-"):
            return f"flag needs an argument: {name}" + _help_for(error, tool)
        case click.exceptions.NoSuchCommand(command_name=name):
            path = error.ctx.command_path if error.ctx else tool.name
            return f'unknown command "{name}" for "{path}": \'{path} --help\' lists the commands'
        case click.MissingParameter(param=click.Option(opts=names)):
            return f'required flag(s) "{names[-1].lstrip("-")}" not set'
        case click.MissingParameter(param=click.Argument() as argument):
            return f"{argument.make_metavar(error.ctx or click.Context(click.Command(None)))} is missing" + _help_for(
                error, tool
            )
    return error.format_message().rstrip(".") + _help_for(error, tool)


def _help_for(error: click.ClickException, tool: Tool) -> str:
    context = getattr(error, "ctx", None)
    return f": '{context.command_path if context else tool.name} --help' shows how it is used"
