"""Substitute variables in the strings of bundlepipe.yml: `${NAME}` and `${NAME:-default}`; `$$` is a dollar sign."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Keys = tuple[str | int, ...]

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<stray>\{))"
)


def interpolate(
    value: Any, environment: Mapping[str, str], problem: Callable[[Keys, str], None], keys: Keys = ()
) -> Any:
    """Return `value` with the variables in all its strings replaced.

    An unset variable without default, or an invalid `${`, is passed to `problem` with the keys that
    lead to the string. As in a shell, the default also replaces a variable that is set but empty.
    """
    if isinstance(value, str):
        if "$" not in value:
            return value
        return _VARIABLE.sub(lambda match: _replacement(match, environment, problem, keys), value)
    if isinstance(value, dict):
        return {key: interpolate(item, environment, problem, (*keys, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, environment, problem, (*keys, index)) for index, item in enumerate(value)]
    return value


def empty_advice(text: str) -> str:
    """Return what to do about a text that is empty, and why, where its variables made it so; else nothing."""
    names = list(dict.fromkeys(match["name"] for match in _VARIABLE.finditer(text) if match["name"]))
    if not names:
        return ""
    defaults = "".join(f"${{{name}:-DEFAULT}}" for name in names)
    if len(names) == 1:
        return f": environment variable {names[0]} is empty: set it, or write {defaults}"
    return f": environment variables {' and '.join(names)} are empty: set them, or write {defaults}"


def _replacement(
    match: re.Match[str], environment: Mapping[str, str], problem: Callable[[Keys, str], None], keys: Keys
) -> str:
    if match["dollar"]:
        return "$"
    if match["stray"]:
        problem(keys, "'${' begins no variable: expected ${NAME} or ${NAME:-default}, or $${ for the text itself")
        return ""
    name, default = match["name"], match["default"]
    if default is not None and "${" in default:
        problem(keys, f"the default of ${{{name}}} holds another variable, which is not supported")
        return ""
    if default is not None:
        return environment.get(name) or default
    if name not in environment:
        problem(keys, f"environment variable {name} is not set: set it, or write ${{{name}:-DEFAULT}}")
        return ""
    return environment[name]
