"""Check that build contexts do not contain files that runs write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from bundlepipe.errors import InputError
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.pipeline.declared.model import Build
from bundlepipe.pipeline.declared.paths import Ignores, absolute, ancestors, below


def context_of(build: Build) -> BuildContext:
    """Return the directory of a build context."""
    return BuildContext(build.context, build.dockerfile)


def is_ignored(context: BuildContext) -> Ignores:
    """Return a function that says whether a path is ignored in a context."""
    return partial(_leaves_out, context)


def _leaves_out(context: BuildContext, name: str) -> bool:
    try:
        return context.leaves_out(name)
    except InputError:
        return False  # the build reports faults of the ignore file


def by_directory(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return paths by every absolute directory that contains them; a path contains itself."""
    within: dict[str, list[str]] = {}
    for path in paths:
        for directory in ancestors(absolute(path)):
            within.setdefault(directory, []).append(path)
    return within


def faults(context: BuildContext, written: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the faults of a context that does not ignore files that runs write: each would change the image.

    `written` has the paths by directory, as `by_directory` returns them.
    """
    for path in written.get(absolute(context.directory), ()):
        if not _leaves_out(context, name := below(path, context.directory)):
            advice = f"add the line '{name}' to {context.directory}/.dockerignore"
            yield f"its context {context.directory} holds {path}, which every run changes: {advice}"
