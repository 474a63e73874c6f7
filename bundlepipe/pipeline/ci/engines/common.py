"""What the files of all engines have in common: how they begin, where jobs keep files, and what jobs call."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Sequence

from msgspec import Struct

from bundlepipe.pipeline.ci.graph import Shard
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.records.state import CI_DIRECTORY

# Below the project's directory, where engines collect artifacts: no task ever reads it.
PLAN = f"{CI_DIRECTORY}/plan.json"
MARKDOWN = f"{CI_DIRECTORY}/plan.md"
MERGED = (f"{CI_DIRECTORY}/report.html", f"{CI_DIRECTORY}/report.md")
# What an engine shows of the tasks of a shard.
_LONGEST_TITLE = 80
_WRITTEN_BY = "Written by: "
# What every file begins with.
START = f"# {_WRITTEN_BY}"
_FIRST_LINE = re.compile(rf"# {_WRITTEN_BY}(?P<command>.+)")
_OPTIONS = ("-o", "--output")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class Place(Struct, frozen=True, kw_only=True):
    """Where a file is written to, and for which project.

    `path` is relative to the project's directory, None for the standard output, and for a file that is
    not in the repository. `directory` is that of the project
    below the root of its repository, empty for the root itself.
    """

    path: str | None = None
    directory: str = ""

    @property
    def name(self) -> str:
        """The name of the workflow: that of its file, without its ending."""
        stem = os.path.splitext(os.path.basename(self.path or ""))[0]
        name = _NOT_IN_NAMES.sub("-", stem).strip("-.")
        return name if name and name not in _NAMES_OF_ENGINES else "bundles"

    def from_root(self, path: str) -> str:
        """Return a path of the project as it is seen from the root of the repository."""
        return posixpath.join(self.directory, path)


# Which say nothing about what a workflow is for.
_NAMES_OF_ENGINES = ("gitlab-ci", "pipeline", "workflow")


class Origin(Struct, frozen=True):
    """What a written file says of itself: the engine that it is for, the project, and the path that was given."""

    engine: str
    directory: str
    path: str | None


def header(engine: str, place: Place, *more: str) -> list[str]:
    """Return the comments that a file begins with; `more` are further lines."""
    return [
        f"{_WRITTEN_BY}{command_for(engine, place)}",
        "Change 'ci' of the pipeline and write it again, not this file: 'bundlepipe ci check' compares them.",
        *more,
    ]


def command_for(engine: str, place: Place) -> str:
    """Return the command that writes a file, from the root of the repository."""
    output = ["-o", place.path] if place.path else []
    change = f"cd {shlex.quote(place.directory)} && " if place.directory else ""
    return change + shlex.join(["bundlepipe", "ci", engine, *output])


def origin_of(first_line: str) -> Origin | None:
    """Return what wrote a file, by its first line; None if bundlepipe did not."""
    match = _FIRST_LINE.fullmatch(first_line.rstrip())
    try:
        words = shlex.split(match["command"]) if match else []
    except ValueError:
        return None
    directory = ""
    if words[:1] == ["cd"] and words[2:3] == ["&&"]:
        directory, words = words[1], words[3:]
    if words[:2] != ["bundlepipe", "ci"] or len(words) not in (3, 5) or (words[3:4] and words[3] not in _OPTIONS):
        return None
    return Origin(words[2], directory, words[4] if len(words) == 5 else None)


def made_of_plan(engine: str, plan: str) -> str:
    """Return the comment that a file begins with which is made of a plan in every run, and never committed."""
    return f"{_WRITTEN_BY}{shlex.join(['bundlepipe', 'ci', engine, '--plan', plan])}"


def change_directory(place: Place) -> list[str]:
    """Return the command that changes from the root of the repository to the project, if it is elsewhere."""
    return [f"cd {shlex.quote(place.directory)}"] if place.directory else []


def shown_in(path: str, command: str) -> str:
    """Return a command whose output goes to a file, and to the log if it fails."""
    return f"{command} > {path} || {{ cat {path}; exit 1; }}"


def setup(ci: CI) -> list[str]:
    """Return the commands that every job begins with which uses registries."""
    return [ci.install, *login(ci)]


def login(ci: CI) -> list[str]:
    """Return the commands that log in, none if there are none: only for jobs that have the secrets."""
    return [ci.login] if ci.login else []


def report_of(shard: str, ending: str = "json") -> str:
    """Return the path of the report of a shard; `shard` may be a variable of the shell or of the engine."""
    return f"{CI_DIRECTORY}/report-{shard}.{ending}"


def merge_command(reports: str, plan: str, merged: Sequence[str]) -> str:
    """Return the commands that merge the reports, a pattern of the shell, also if there is none."""
    outputs = " ".join(f"-o {path}" for path in merged)
    return f'set -- {reports}\ntest -e "$1" || set --\nbundlepipe ci report "$@" --plan {plan} {outputs}'


def title_of(shard: Shard) -> str:
    """Return the tasks of a shard in a few words."""
    text = ", ".join(shard.tasks)
    if len(text) <= _LONGEST_TITLE:
        return text
    shown = ""
    for number, task in enumerate(shard.tasks):
        longer = f"{shown}, {task}" if shown else task
        rest = f" and {len(shard.tasks) - number - 1} more"
        if len(longer) + len(rest) > _LONGEST_TITLE and shown:
            return f"{shown} and {len(shard.tasks) - number} more"
        shown = longer
    return shown
