"""Render errors for the command line: each cause indented below its fault, as imgpkg does."""

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
    """Convert an error of a fetch in this block to FetchFailed; not for a source that is already given."""
    try:
        yield
    except StoreError as error:
        if str(error).startswith(("GET ", "HEAD ")):
            raise FetchFailed(error) from error
        raise


def message_of(error: BundlepipeError | OSError | click.ClickException, tool: Tool) -> str:
    """Return an error as one text; each cause is indented by two more."""
    if isinstance(error, click.ClickException):
        return _usage(error, tool)
    if tool is not BUNDLEPIPE and isinstance(error, BundlepipeError) and error.drop_in is not None:
        return in_lines(error.drop_in)
    if isinstance(error, OSError):
        # Without a name it has no part in the message.
        where = error.filename or "standard output, or the current directory"
        return f"{printable(str(where))}: {error.strerror or error}"
    if isinstance(error, FetchFailed):
        return f"Fetching image:\n{_causes(str(error.cause), 1)}"
    if isinstance(error, ResolutionError):
        return "".join(f"\n- {_unresolved(it, tool)}" for it in error.unresolved)
    if isinstance(error, DocumentError) and len(error.problems) > 1:
        # Each starts a line, where editors look for positions.
        return "".join(f"\n{problem}" for problem in error.problems)
    return _causes(str(error), 0) if isinstance(error, StoreError) else str(error)


def _unresolved(found: Unresolved, tool: Tool) -> str:
    if tool is KBLD:
        return f"Resolving image '{found.reference}': {found.drop_in or found.reason}"
    return f"Resolving image {quoted(found.reference)}: {found.reason} ({found.where})"


def _causes(text: str, depth: int) -> str:
    """Return the failed request and, below it, the reason, if the text begins with a request."""
    match = _REQUEST.match(text)
    indent = "  " * depth
    if not match:
        return indent + text
    return f"{indent}{match[0]}:\n{indent}  {text[match.end() + 2 :]}"


def in_lines(text: str) -> str:
    """Return a message of imgpkg or kbld as they print it: each cause below its fault.

    Causes begin with a capital after a colon, outside of brackets, in the first line.
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
    """Return the message for wrong arguments, with the text of Go's tools if scripts know that."""
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
