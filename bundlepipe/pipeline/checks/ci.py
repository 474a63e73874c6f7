"""Check the settings of CI beyond what their types say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bundlepipe.errors import quoted
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.declared.position import Position

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What GitHub, and GitLab for its resource groups, both take.
_ENVIRONMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/ -]*[A-Za-z0-9])?")
_ENVIRONMENT_CHARACTERS = "letters, digits, '.', '_', '-', '/' and spaces, with a letter or digit at both ends"


def ci_faults(ci: CI) -> Iterator[tuple[Position | None, str]]:
    """Yield each fault with its position, None for settings in a dodo.py."""
    for number, name in enumerate(ci.secrets):
        if not _VARIABLE.fullmatch(name):
            yield _at(ci, "secrets", number), f"ci: secrets: {_no_variable(name)}"
    for keys, variables in _all_variables(ci).items():
        where = ".".join(keys)
        for name in variables:
            if not _VARIABLE.fullmatch(name):
                yield _at(ci, *keys), f"ci: {where}: {_no_variable(name)}"
            elif name in ci.secrets:
                yield _at(ci, *keys), f"ci: {where}: {name} is a secret as well: remove it from one of the two"
    for pattern, environment in ci.environments.items():
        if not _ENVIRONMENT.fullmatch(environment):
            text = f"ci: environments: {quoted(environment)} is no environment: expected {_ENVIRONMENT_CHARACTERS}"
            yield _at(ci, "environments", pattern), text
    if not ci.github.runs_on:
        key = "runsOn" if ci.where else "runs_on"
        yield _at(ci, "github", key), f"ci: github: {key} is empty, expected at least one label of runners"


def _all_variables(ci: CI) -> Mapping[tuple[str, ...], Mapping[str, str]]:
    of_engines = {
        "github": ci.github.variables,
        "gitlab": ci.gitlab.variables,
        "buildkite": ci.buildkite.variables,
        "argo": ci.argo.variables,
    }
    return {("variables",): ci.variables, **{(name, "variables"): each for name, each in of_engines.items()}}


def _no_variable(name: str) -> str:
    return f"{quoted(name)} is no name of an environment variable"


def _at(ci: CI, *keys: str | int) -> Position | None:
    return ci.where.inside(*keys) if ci.where else None
