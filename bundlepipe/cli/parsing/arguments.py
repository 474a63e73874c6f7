"""Convert arguments in the syntax of Go's tools to click's.

imgpkg and kbld parse with cobra and pflag (their documentation): `--flag=false` switches a flag off,
`-b=x` is `-b x`, and options may precede the name of their command.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import click

from bundlepipe.cli.parsing.go_values import GoType, go_int, int_fault, quoted_as_go, truth_fault


class FlagError(click.UsageError):
    """Arguments are wrong; the message is that of cobra and pflag."""


def normalised(arguments: Sequence[str], parameters: Sequence[click.Parameter]) -> list[str]:
    """Return the arguments of a command with these parameters in click's syntax; UsageError for an invalid boolean."""
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
            result += _lenient_switch(option, name, value) if equals else [argument]
        elif equals:
            result += [name, value]
        else:
            result += [argument, *_next(rest)]
    return result


def parsed(arguments: Sequence[str], parameters: Sequence[click.Parameter]) -> tuple[list[str], list[str]]:
    """Return the options among arguments, in click's syntax, and the other words; FlagError for the first fault.

    The order is pflag's: values are checked as they come, before what follows.
    """
    options = _by_name(parameters)
    rest = deque(arguments)
    flags: list[str] = []
    words: list[str] = []
    while rest:
        argument = rest.popleft()
        if argument == "--":
            return flags, [*words, *rest]
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
        elif argument.startswith("--"):
            flags += _long(argument, rest, options)
        else:
            flags += _short(argument.removeprefix("-"), rest, options)
    return flags, words


def command_first(arguments: Sequence[str], parameters: Sequence[click.Parameter]) -> list[str]:
    """Return the arguments of a group with the command's name before all options.

    An unknown option is the command's, and takes the next argument with it, as cobra assumes:
    `imgpkg -b example.com/app pull -o out`. `parameters` are the group's own.
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


def asks_for(arguments: Sequence[str], switch: str) -> bool:
    """Return whether arguments, which may be faulty otherwise, have a switch on: the last one counts."""
    asked = False
    for argument in itertools.takewhile(lambda each: each != "--", arguments):
        name, equals, value = argument.partition("=")
        if name == switch:
            asked = not equals or value[:1] in ("1", "t", "T")
    return asked


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


def _lenient_switch(option: click.Option, name: str, value: str) -> list[str]:
    if truth_fault(value):
        raise click.UsageError(f"'{value}' is not a value for {name}: expected true or false")
    return _set(option, value)


def _next(rest: Iterator[str]) -> list[str]:
    following = next(rest, None)
    return [] if following is None else [following]


def _long(argument: str, rest: deque[str], options: Mapping[str, click.Option]) -> list[str]:
    if argument[2] in "-=":
        raise FlagError(f"bad flag syntax: {argument}")
    name, equals, value = argument.partition("=")
    option = options.get(name)
    if option is None:
        raise FlagError(f"unknown flag: {name}")
    if not equals:
        if option.is_flag:
            value = "true"
        elif not rest:
            raise FlagError(f"flag needs an argument: {name}")
        else:
            value = rest.popleft()
    return _set(option, value)


def _short(letters: str, rest: deque[str], options: Mapping[str, click.Option]) -> list[str]:
    """Return the options in letters after one dash; the last may be followed by its value."""
    flags: list[str] = []
    while letters:
        letter, behind = letters[0], letters[1:]
        option = options.get(f"-{letter}")
        if option is None:
            raise FlagError(f"unknown shorthand flag: '{letter}' in -{letters}")
        letters = ""
        if behind.startswith("=") and len(behind) > 1:
            value = behind[1:]
        elif option.is_flag:
            value, letters = "true", behind
        elif behind:
            value = behind
        elif rest:
            value = rest.popleft()
        else:
            raise FlagError(f"flag needs an argument: '{letter}' in -{letter}")
        flags += _set(option, value)
    return flags


def _set(option: click.Option, value: str) -> list[str]:
    """Return an option with its value in click's syntax; FlagError for values that pflag would reject."""
    if fault := _fault(option, value):
        names = ", ".join(sorted(option.opts, key=len))
        raise FlagError(f'invalid argument {quoted_as_go(value)} for "{names}" flag: {fault}')
    longest = max(option.opts, key=len)
    if isinstance(option.type, click.types.IntParamType):
        return [longest, str(go_int(value))]
    if not option.is_flag:
        return [longest, value]
    if value[0] in "1tT":
        return [longest]
    return option.secondary_opts[:1]


def _fault(option: click.Option, value: str) -> str | None:
    if option.is_flag:
        return truth_fault(value)
    if isinstance(option.type, click.types.IntParamType):
        return int_fault(value)
    return option.type.fault(value) if isinstance(option.type, GoType) else None
