"""The files that `bundlepipe ci` wrote: how each engine's is made, and which of them are out of date."""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module

from msgspec import Struct

from bundlepipe.errors import BundlepipeError, InputError, printable
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.pipeline.ci.engines.common import START, Origin, Place, command_for, origin_of
from bundlepipe.pipeline.ci.graph import CIGraph
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.planning.checkouts import repository_of
from bundlepipe.pipeline.planning.tree_repositories import git_text
from bundlepipe.verbs.outputs.replacing import FileOutput, Kind, forcible_output

# Each engine by its name: what makes its files, and where a repository usually has them.
ENGINES: Mapping[str, str] = {
    "github": ".github/workflows/*.y*ml",
    "gitlab": ".gitlab-ci.yml",
    "buildkite": ".buildkite/*.y*ml",
    "argo": "argo/**/*.y*ml",
}
_ELSEWHERE = (".gitlab/**/*.y*ml", "*.y*ml")
_FROM_PLANS = {"gitlab": "gitlab_child", "buildkite": "buildkite_steps"}
_MOST_LINES_OF_DIFF = 20


def written_text(engine: str, ci: CI, place: Place) -> str:
    """Return the file of an engine that is committed; BundlepipeError for settings that it cannot have."""
    write: Callable[[CI, Place], str] = _function(engine, engine)
    return write(ci, place)


def place_of(path: str | None, directory: str) -> Place:
    """Return where a file is written to; what it says is the same wherever an absolute path, of one machine, leads."""
    is_of_project = path is not None and not os.path.isabs(path)
    return Place(path=path if is_of_project else None, directory=directory)


def text_of_plan(engine: str, ci: CI, graph: CIGraph, place: Place) -> str:
    """Return the file that an engine makes of the graph in a plan; BundlepipeError if it cannot take so many jobs."""
    write: Callable[[CI, CIGraph, Place], str] = _function(engine, _FROM_PLANS[engine])
    return write(ci, graph, place)


def _function(engine: str, name: str) -> Callable[..., str]:
    found: Callable[..., str] = getattr(import_module(f"bundlepipe.pipeline.ci.engines.{engine}"), name)
    return found


def workflow_output(path: str, *, force: bool) -> FileOutput:
    """Return the file that a workflow is written to: it replaces an earlier one, and nothing that would be lost."""
    kind = Kind("a written workflow", _is_written)
    return forcible_output(path, kind, "'bundlepipe ci' did not write it", forced=force)


def _is_written(path: str) -> bool:
    return _first_line(path).startswith(f"{START}bundlepipe ci ") or origin_of(_first_line(path)) is not None


def _first_line(path: str) -> str:
    """Return the first line of a file, empty if it cannot be read."""
    try:
        with open(anchored(path), "rb") as file:
            return file.readline(4096).decode(errors="replace")
    except OSError:
        return ""


def directory_in_repository() -> str:
    """Return the path of the current directory below the root of its git repository; empty outside of one.

    Raises BundlepipeError for a repository that git cannot use, or if git is missing.
    """
    repository = repository_of(os.path.realpath(os.curdir))
    return repository.below.rstrip("/") if repository else ""


class OutOfDate(Struct, frozen=True):
    """A written file that differs from what would be written now: the `command` that does so, and a diff."""

    path: str
    command: str
    diff: Sequence[str]


def compared(ci: CI, paths: Sequence[str], directory: str) -> Iterator[tuple[str, OutOfDate | None]]:
    """Yield each of some written files of a project, and how it is out of date, None if it is not.

    Paths are relative to the project's directory. Raises InputError for a file that cannot be read,
    BundlepipeError for one that `bundlepipe ci` did not write for this project.
    """
    for path in paths:
        text = _read(path)
        origin = origin_of(text.partition("\n")[0])
        if origin is None or origin.engine not in ENGINES:
            raise BundlepipeError(f"{printable(path)}: its first line does not say that 'bundlepipe ci' wrote it")
        if origin.directory != directory:
            raise BundlepipeError(
                f"{printable(path)}: belongs to the pipeline in {origin.directory or 'the root of the repository'}: "
                "check it there"
            )
        yield path, _difference(ci, path, text, origin)


def _difference(ci: CI, path: str, text: str, origin: Origin) -> OutOfDate | None:
    path = os.path.normpath(path)
    expected = written_text(origin.engine, ci, place_of(path, origin.directory))
    # As git checks it out on Windows.
    text = text.replace("\r\n", "\n")
    if expected == text:
        return None
    lines = difflib.unified_diff(text.split("\n"), expected.split("\n"), "committed", "now", n=1, lineterm="")
    diff = [printable(line) for line in lines]
    if len(diff) > _MOST_LINES_OF_DIFF:
        diff = [*diff[:_MOST_LINES_OF_DIFF], f"... and {len(diff) - _MOST_LINES_OF_DIFF} more lines"]
    command = command_for(origin.engine, Place(path=path, directory=origin.directory))
    return OutOfDate(path, command, diff)


def _read(path: str) -> str:
    try:
        with open(anchored(path), "rb") as file:
            return file.read().decode(errors="replace")
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read: {error.strerror}") from None


def find_written(directory: str) -> list[str]:
    """Return the paths of the files that were written for the project in the current directory, as seen from it.

    Raises BundlepipeError for a repository that git cannot use, or if git is missing.
    """
    root = os.path.relpath(os.curdir, directory) if directory else os.curdir
    found = []
    for path in _candidates(root):
        origin = origin_of(_first_line(path))
        if origin and origin.directory == directory and origin.path:
            found.append(path)
    return sorted(found)


def _candidates(root: str) -> list[str]:
    """Return the YAML files that git knows, or outside of git those where engines look for them."""
    if repository_of(root):
        listed = git_text(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.yml", "*.yaml")
        names = [name for name in listed.split("\0") if name]
    else:
        names = [name for pattern in (*ENGINES.values(), *_ELSEWHERE) for name in glob.glob(pattern, recursive=True)]
    return [os.path.normpath(os.path.join(root, name)) for name in dict.fromkeys(names)]
