"""Arguments as Go's tools take them, put into the form that click takes.

imgpkg and kbld parse with cobra and pflag (their documentation): `--flag=false` switches off, `-b=x`
is `-b x`, and options may stand before the name of the command that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import click


def normalised(arguments: Sequence[str], parameters: Sequence[click.Parameter]) -> list[str]:
    """Return the arguments of a command with these parameters as click takes them; UsageError for a bad truth value."""
    options = _by_name(parameters)
    rest = iter(arguments)
    result: list[str] = []
    for argument in rest:
        if argument == "--":
            return [*result, argument, *rest]
        name, equals, value = argument.partition("=")
        option = options.get(name) if argument.startswith("-") else None
        if option is None:
            result.append(argument)
        elif option.is_flag:
            result.append(_switch(option, name, value) if equals else argument)
        elif equals:
            result += [name, value]
        else:
            result += [argument, *_next(rest)]
    return result


def command_first(arguments: Sequence[str], parameters: Sequence[click.Parameter]) -> list[str]:
    """Return the arguments of a group with the command's name before all options.

    An option that is not known here is the command's, and takes the next argument with it, as
    cobra assumes: `imgpkg -b example.com/app pull -o out`. `parameters` are the group's own.
    """
    options = _by_name(parameters)
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument.startswith("-") and argument != "-":
            continue
        before = arguments[index - 1] if index else ""
        if _takes_next(before, options):
            continue
        return [argument, *arguments[:index], *arguments[index + 1 :]]
    return list(arguments)


def _takes_next(argument: str, options: Mapping[str, click.Option]) -> bool:
    if not argument.startswith("-") or argument in ("-", "--") or "=" in argument:
        return False
    option = options.get(argument)
    if option is not None:
        return not option.is_flag
    return argument.startswith("--") or len(argument) == 2


def _by_name(parameters: Sequence[click.Parameter]) -> dict[str, click.Option]:
    options = [parameter for parameter in parameters if isinstance(parameter, click.Option)]
    return {name: option for option in options for name in option.opts}


def _switch(option: click.Option, name: str, value: str) -> str:
    from bundlepipe.stores.keychains.flags import GO_TRUTHS

    if value not in GO_TRUTHS:
        raise click.UsageError(f"'{value}' is not a value for {name}: expected true or false")
    return name if GO_TRUTHS[value] else option.secondary_opts[0]


def _next(rest: Iterator[str]) -> list[str]:
    following = next(rest, None)
    return [] if following is None else [following]
