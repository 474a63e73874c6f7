"""Arguments as cobra and pflag parse them: what was observed of imgpkg 0.44.0."""

from __future__ import annotations

import click
import pytest

from bundlepipe.cli.parsing.arguments import FlagError, parsed
from bundlepipe.cli.parsing.command import Option, Switch
from bundlepipe.cli.parsing.go_values import Duration, Labels
from tests.support.command import Command

BIG = 99999999999999999999
PARAMETERS = [
    Option(["-o", "--output"]),
    Option(["-l", "--labels"], type=Labels()),
    Option(["--time"], type=Duration()),
    Option(["--count"], type=click.IntRange(min=0)),
    Switch(["-r", "--recursive"]),
    Switch(["-y", "--yes"]),
    Switch(["--check"]),
]


@pytest.mark.parametrize(
    ("line", "flags", "words"),
    [
        ("-o x y", ["--output", "x"], ["y"]),
        ("-ox --output=y", ["--output", "x", "--output", "y"], []),
        ("-o=x -o=", ["--output", "x", "--output", "="], []),
        ("-o -r", ["--output", "-r"], []),
        ("-o -- a", ["--output", "--"], ["a"]),
        ("a -ryo x", ["--recursive", "--yes", "--output", "x"], ["a"]),
        ("-ryox", ["--recursive", "--yes", "--output", "x"], []),
        ("-r=false --yes=T", ["--no-recursive", "--yes"], []),
        ("--output= -", ["--output", ""], ["-"]),
        ("-- -r --yes", [], ["-r", "--yes"]),
        ("--count=-1 --time=-1h --labels a=b,c", ["--count", "-1", "--time", "-1h", "--labels", "a=b,c"], []),
    ],
)
def test_options_and_words(line: str, flags: list[str], words: list[str]) -> None:
    assert parsed(line.split(), PARAMETERS) == (flags, words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--nonsense --count=x", "unknown flag: --nonsense"),
        ("--no-recursive", "unknown flag: --no-recursive"),
        ("--=x", "bad flag syntax: --=x"),
        ("---output", "bad flag syntax: ---output"),
        ("-x", "unknown shorthand flag: 'x' in -x"),
        ("-ryx=1", "unknown shorthand flag: 'x' in -x=1"),
        ("--output", "flag needs an argument: --output"),
        ("-ro", "flag needs an argument: 'o' in -o"),
        ("-r=x", 'invalid argument "x" for "-r, --recursive" flag: strconv.ParseBool: parsing "x": invalid syntax'),
        ("--check=", 'invalid argument "" for "--check" flag: strconv.ParseBool: parsing "": invalid syntax'),
        ("--count=1x", 'invalid argument "1x" for "--count" flag: strconv.ParseInt: parsing "1x": invalid syntax'),
        (
            f"--count={BIG}",
            f'invalid argument "{BIG}" for "--count" flag: strconv.ParseInt: parsing "{BIG}": value out of range',
        ),
        ("--time=1", 'invalid argument "1" for "--time" flag: time: missing unit in duration "1"'),
        ("-la", 'invalid argument "a" for "-l, --labels" flag: a must be formatted as key=value'),
        ("-la=b,c,d=e", 'invalid argument "a=b,c,d=e" for "-l, --labels" flag: c must be formatted as key=value'),
    ],
)
def test_first_fault_is_told(line: str, words: str) -> None:
    with pytest.raises(FlagError) as raised:
        parsed(line.split(), PARAMETERS)
    assert raised.value.message == words


def test_what_cannot_be_switched_off_is_on_or_not(command: Command) -> None:
    assert command("bundlepipe", "version", "--help=false").status == 0
