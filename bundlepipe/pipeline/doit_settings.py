"""Checks of doit's settings in pyproject.toml which doit itself would end by a traceback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tomllib

from bundlepipe.errors import BundlepipeError

_FILE = "pyproject.toml"
_TABLES = ("plugins", "commands", "tasks")
_REPORTERS = ("console", "executed-only", "json", "zero", "error-only")


def check_settings() -> None:
    """Check pyproject.toml in the current directory, if there is one; BundlepipeError names a key that is wrong.

    tomllib.TOMLDecodeError if it is not TOML.
    """
    try:
        with open(_FILE, "rb") as file:
            content = tomllib.load(file)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BundlepipeError(f"{_FILE}: cannot be read: {error.strerror}") from None
    settings = _table(_table(content, "tool", ""), "doit", "tool.")
    own = _table(settings, "plugins", "tool.doit.")
    for key, options in _options(settings):
        _check_options(key, options, _table(own, "reporter", "tool.doit.plugins."))


def _options(settings: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield all tables that have options of commands, with their keys."""
    yield "tool.doit", {key: value for key, value in settings.items() if key not in _TABLES}
    commands = _table(settings, "commands", "tool.doit.")
    for name in commands:
        yield f"tool.doit.commands.{name}", _table(commands, name, "tool.doit.commands.")
    tasks = _table(settings, "tasks", "tool.doit.")
    for name in tasks:
        _table(tasks, name, "tool.doit.tasks.")


def _table(parent: Mapping[str, Any], name: str, prefix: str) -> Mapping[str, Any]:
    table = parent.get(name, {})
    if not isinstance(table, dict):
        raise BundlepipeError(f"{_FILE}: {prefix}{name}: expected a table")
    return table


def _check_options(key: str, options: Mapping[str, Any], own_reporters: Mapping[str, Any]) -> None:
    if "num_process" in options and not _is_whole(options["num_process"]):
        raise BundlepipeError(f"{_FILE}: {key}.num_process: expected a whole number")
    if "reporter" in options:
        known = {*_REPORTERS, *own_reporters, *_installed_reporters()}
        if not isinstance(options["reporter"], str) or options["reporter"] not in known:
            raise BundlepipeError(f"{_FILE}: {key}.reporter: expected one of {', '.join(sorted(known))}")


def _is_whole(value: object) -> bool:
    if isinstance(value, str):
        try:
            int(value)
        except ValueError:
            return False
        return True
    return isinstance(value, int) and not isinstance(value, bool)


def _installed_reporters() -> Iterator[str]:
    from importlib.metadata import entry_points

    yield from (point.name for point in entry_points(group="doit.REPORTER"))
