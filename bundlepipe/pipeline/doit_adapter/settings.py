"""Check doit's settings in pyproject.toml and doit.cfg for faults that make doit print a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from doit.doit_cmd import DoitConfig

from bundlepipe.errors import BundlepipeError

_TOML = "pyproject.toml"
_FILES = (_TOML, "doit.cfg")
_TABLES = ("plugins", "commands", "tasks")
_REPORTERS = ("console", "executed-only", "json", "zero", "error-only")
# The sections that doit reads plugins from in either file.
_OF_PLUGINS = ("COMMAND", "LOADER", "BACKEND", "REPORTER")
_OF_A_TASK = "task:"


def check_settings() -> None:
    """Check the files in the current directory, if they exist.

    BundlepipeError names file and key; configparser.Error or ValueError is raised for files that
    are not TOML or INI.
    """
    _check_tables()
    settings = {name: _read(name) for name in _FILES if os.path.exists(name)}
    own = {reporter for sections in settings.values() for reporter in sections.get("REPORTER", {})}
    for name, sections in settings.items():
        for section, options in sections.items():
            if section not in _OF_PLUGINS and not section.startswith(_OF_A_TASK):
                _check_options(f"{name}: {_key(name, section)}", options, own)


def _check_tables() -> None:
    """Check that tables are tables in pyproject.toml: doit iterates over them."""
    toml = DoitConfig().toml
    if toml is None:
        return  # doit itself warns about that
    try:
        with open(_TOML, encoding="utf-8") as file:
            content = toml.loads(file.read())
    except FileNotFoundError:
        return
    except OSError as error:
        raise BundlepipeError(f"{_TOML}: cannot be read: {error.strerror}") from None
    settings = _table(_table(content, "tool", ""), "doit", "tool.")
    for name in _TABLES:
        tables = _table(settings, name, "tool.doit.")
        for inner in tables:
            _table(tables, inner, f"tool.doit.{name}.")
            if name == "plugins" and inner.upper() not in _OF_PLUGINS:
                known = ", ".join(map(str.lower, _OF_PLUGINS))
                raise BundlepipeError(f"{_TOML}: tool.doit.plugins.{inner}: expected one of {known}")


def _table(parent: Mapping[str, Any], name: str, prefix: str) -> Mapping[str, Any]:
    table = parent.get(name, {})
    if not isinstance(table, dict):
        raise BundlepipeError(f"{_TOML}: {prefix}{name}: expected a table")
    return table


def _read(name: str) -> Mapping[str, Mapping[str, Any]]:
    config = DoitConfig()
    config.loads([name])
    sections: Mapping[str, Mapping[str, Any]] = config.as_dict()
    return sections


def _key(name: str, section: str) -> str:
    """Return the name of a section's keys in a file."""
    if name != _TOML:
        return f"[{section}] "
    return "tool.doit." if section == "GLOBAL" else f"tool.doit.commands.{section}."


def _check_options(place: str, options: Mapping[str, Any], own_reporters: set[str]) -> None:
    if "num_process" in options and not _is_whole(options["num_process"]):
        raise BundlepipeError(f"{place}num_process: expected a whole number")
    if "reporter" in options:
        reporter, known = options["reporter"], {*_REPORTERS, *own_reporters, *_installed_reporters()}
        if not isinstance(reporter, str) or reporter not in known:
            raise BundlepipeError(f"{place}reporter: expected one of {', '.join(sorted(known))}")


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
