"""The kinds of reports, which follow from the names of their files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum

from bundlepipe.pipeline.declared.paths import is_within, normalise
from bundlepipe.pipeline.records.state import CI_DIRECTORY, STATE_DIRECTORY
from bundlepipe.pipeline.running.run import REPORT_VARIABLE

EXPECTED = "a path that ends in .html or .htm, .md, .xml (JUnit), trace.json (a trace) or .json"


class Kind(Enum):
    """A form of the report."""

    HTML = "html"
    JSON = "json"
    TRACE = "trace"
    JUNIT = "junit"
    MARKDOWN = "markdown"


_ENDINGS = {
    # Before .json.
    "trace.json": Kind.TRACE,
    ".json": Kind.JSON,
    ".html": Kind.HTML,
    ".htm": Kind.HTML,
    ".xml": Kind.JUNIT,
    ".md": Kind.MARKDOWN,
}


def kind_of(path: str) -> Kind | None:
    """Return the kind of the report at a path, by the end of its name in any case; None if it has none."""
    name = os.path.basename(path).lower()
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)


def paths_in(given: str) -> list[str]:
    """Return the paths in the environment variable, in order."""
    return [path for path in (part.strip() for part in given.split(",")) if path]


def wanted_paths(given: str, declared: Sequence[str]) -> list[str]:
    """Return the paths of a run's reports: those in the environment variable, else the declared ones.

    ValueError, with a message, for a path in the variable without a kind, or among the records of runs.
    """
    paths = paths_in(given)
    for path in paths:
        if kind_of(path) is None:
            raise ValueError(f"{REPORT_VARIABLE}: {path}: expected {EXPECTED}")
        if is_within(normalise(path), STATE_DIRECTORY) and not is_within(normalise(path), CI_DIRECTORY):
            raise ValueError(f"{REPORT_VARIABLE}: {path}: {STATE_DIRECTORY} is for records of runs: write it elsewhere")
    return list(dict.fromkeys(paths or declared))
