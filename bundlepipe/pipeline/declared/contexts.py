"""What a build's context may hold of a pipeline, and of what its runs write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from bundlepipe.errors import InputError
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.pipeline.declared.model import Build
from bundlepipe.pipeline.declared.paths import Ignores, absolute, ancestors, below


def context_of(build: Build) -> BuildContext:
    """Return the directory that is built."""
    return BuildContext(build.context, build.dockerfile)


def is_ignored(context: BuildContext) -> Ignores:
    """Return what tells whether a path in a context is left out of it."""
    return partial(_leaves_out, context)


def _leaves_out(context: BuildContext, name: str) -> bool:
    try:
        return context.leaves_out(name)
    except InputError:
        return False  # what is wrong with the ignore file the build tells


def by_directory(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return paths by every directory, absolute, that they lie within; a path lies within itself."""
    within: dict[str, list[str]] = {}
    for path in paths:
        for directory in ancestors(absolute(path)):
            within.setdefault(directory, []).append(path)
    return within


def faults(context: BuildContext, written: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what is wrong with a context that does not leave out what runs write: each would change the image.

    `written` has the paths by directory, as `by_directory` returns them.
    """
    for path in written.get(absolute(context.directory), ()):
        if not _leaves_out(context, name := below(path, context.directory)):
            advice = f"add the line '{name}' to {context.directory}/.dockerignore"
            yield f"its context {context.directory} holds {path}, which every run changes: {advice}"
