"""Check that no two tasks overwrite each other's output, and none overwrites its inputs or the pipeline's files."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bundlepipe.errors import InvalidReference
from bundlepipe.filesystem.dangerous import names_repository
from bundlepipe.oci.reference import DEFAULT_TAG, Reference
from bundlepipe.pipeline.declared.destinations import (
    ByName,
    by_name,
    called,
    destination_of,
    is_from,
    kept_by_runs,
    layouts_written,
    outputs_of,
    stays_where_made,
    tag_of_push,
    written_by,
)
from bundlepipe.pipeline.declared.model import (
    Bundle,
    BundleSource,
    Copy,
    ImageSource,
    Pushable,
    Render,
    images_lock_path,
    searched_paths,
)
from bundlepipe.pipeline.declared.paths import absolute, ancestors, below, is_excluded, is_within
from bundlepipe.pipeline.declared.spelling import field_name
from bundlepipe.pipeline.records.state import CI_DIRECTORY, STATE_DIRECTORY
from bundlepipe.stores.location import ArchiveLocation, EngineLocation, LayoutLocation, parse_location

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.reading import Declared

_DODO = "dodo.py"
_LOCK_FILE = "the lock file"
_REPORT = "the report"

# The position of a declaration, converted to text only for a message, and the fault.
Fault = tuple[object, str]


def output_faults(declared: Declared) -> Iterator[Fault]:
    """Yield the positions and faults of all outputs."""
    yield from _shared_destinations(declared)
    for bundle in declared.bundles:
        yield from _output_faults(bundle)
    yield from _shared_outputs(declared)
    yield from _nested_outputs(declared)
    yield from _outputs_in_repositories(declared)
    yield from _replaced_inputs(declared)


def _shared_destinations(declared: Declared) -> Iterator[Fault]:
    """Find tags that two pushes or copies would write, so that each run would undo the other's."""
    owners: dict[str, Pushable | Copy] = {}
    made = by_name(declared.made())
    things: list[Pushable | Copy] = [*declared.made(), *declared.copies]
    for thing in things:
        try:
            places = _tags_put(thing, made)
        except InvalidReference:
            continue  # reported by another check
        for place in places:
            first = owners.setdefault(place, thing)
            if first is not thing and not _is_source(first, thing):
                yield thing.where, f"{called(thing)}: {place} is the destination of '{first.name}' too"


def _tags_put(thing: Pushable | Copy, made: ByName) -> list[str]:
    """Return the tags that will certainly be written, with their repository or layout."""
    if isinstance(thing, Pushable):
        if stays_where_made(thing):
            return []
        destination = destination_of(thing)
        return [f"{destination.repository}:{tag}" for tag in (destination.tag or DEFAULT_TAG, *thing.tags)]
    to = parse_location(thing.to)
    if isinstance(to, ArchiveLocation):
        return []
    tags = [to.tag or tag_of_push(thing.source, made), *thing.tags]
    if isinstance(to, EngineLocation):
        return [str(to.tagged(tag)) for tag in (to.tag, *thing.tags) if tag]
    place = to.repository if isinstance(to, Reference) else LayoutLocation(to.directory)
    return [f"{place}:{tag}" for tag in tags if tag]


def _is_source(pushed: Pushable | Copy, thing: Pushable | Copy) -> bool:
    """Return whether a copy transfers images of what was pushed to the same place: its tag stays unchanged."""
    return isinstance(pushed, Pushable) and isinstance(thing, Copy) and is_from(thing.source, pushed)


def _output_faults(bundle: Bundle) -> Iterator[Fault]:
    output = bundle.lock_output
    for path in bundle.files if output else ():
        if output and is_within(output, path) and not is_excluded(below(output, path), bundle.exclude):
            advice = "so every push would change the bundle: write it elsewhere, or exclude it"
            its_output = f"its {field_name(bundle, 'lock_output')} {output}"
            yield bundle.where, f"bundle '{bundle.name}': {its_output} lies in its own input {path}, {advice}"


def _shared_outputs(declared: Declared) -> Iterator[Fault]:
    """Find files that two tasks would write, and those inside the inputs of a push."""
    owners: dict[str, str] = {}
    readers: dict[str, list[tuple[Pushable, str]]] = {}
    for thing in declared.made():
        for file in thing.files:
            readers.setdefault(os.path.abspath(file), []).append((thing, file))
    writers: list[Copy | Render] = [*declared.copies, *declared.renders]
    for writer in writers:
        what = called(writer)
        for path in outputs_of(writer):
            first = owners.setdefault(path, what)
            if first != what:
                yield writer.where, f"{what}: {path} is written by {first} too"
    for copy in declared.copies:
        what = called(copy)
        for path in written_by(copy):
            around = (reader for each in ancestors(os.path.abspath(path)) for reader in readers.get(each, ()))
            for thing, file in around:
                if not is_excluded(below(path, file), thing.exclude):
                    reader = f"an input of {called(thing)}"
                    yield copy.where, f"{what}: {path} lies in {file}, {reader}: write it elsewhere, or exclude it"


def _nested_outputs(declared: Declared) -> Iterator[Fault]:
    """Find outputs that replace the pipeline's own files, or are inside a directory that a pull replaces."""
    made = list(outputs(declared))
    for where, path, what in made:
        if path in (*declared.paths, _DODO) or (is_within(path, STATE_DIRECTORY) and not _is_of_job(path, what)):
            yield where, f"{what} would replace {path}: write it elsewhere"
        elif path == declared.lock_file and what is not _LOCK_FILE:
            yield where, f"{what} would replace {path}, which is the lock file: write it elsewhere"
    ordered = sorted((f"{absolute(path)}/", number) for number, (_, path, _) in enumerate(made))
    for pull in declared.pulls:
        for number in _numbers_within(ordered, absolute(pull.to)):
            where, path, what = made[number]
            if path is not pull.to:
                yield where, f"{what}, {path}, lies in {pull.to}, which pull '{pull.name}' replaces as a whole"
        for path in declared.paths:
            if is_within(path, pull.to):
                yield pull.where, f"pull '{pull.name}' would replace {pull.to}, which holds {path}"
        if is_within(STATE_DIRECTORY, pull.to):
            yield pull.where, f"pull '{pull.name}' would replace {pull.to}, which holds {STATE_DIRECTORY}"


def _is_of_job(path: str, what: str) -> bool:
    return what is _REPORT and is_within(path, CI_DIRECTORY)


def _numbers_within(ordered: Sequence[tuple[str, int]], directory: str) -> list[int]:
    """Return the numbers of the paths that are a directory or below it, in ascending order.

    `ordered` has each absolute path with a slash at its end, sorted.
    """
    start = directory.rstrip("/") + "/"
    # The character after a slash begins what is below no longer.
    end = start[:-1] + chr(ord("/") + 1)
    return sorted(number for _, number in ordered[bisect_left(ordered, (start,)) : bisect_left(ordered, (end,))])


def _outputs_in_repositories(declared: Declared) -> Iterator[Fault]:
    """Find outputs that are inside the `.git` of a repository, or are one."""
    made = list(outputs(declared))
    made += [(copy.where, path, called(copy)) for copy in declared.copies for path in layouts_written(copy)]
    made += [(None, path, "the layout of a registry") for path in kept_by_runs(declared.registries)]
    for where, path, what in made:
        if names_repository(path):
            yield where, f"{what}: {path} is in a repository of git: write it elsewhere"


def outputs(declared: Declared) -> Iterator[tuple[object, str, str]]:
    """Yield each path that a task writes, with the position of its declaration and its kind."""
    if declared.lock_file:
        yield declared.lock_where, declared.lock_file, _LOCK_FILE
    for report, where in declared.reports.items():
        yield where, report, _REPORT
    for pull in declared.pulls:
        yield pull.where, pull.to, f"the output of pull '{pull.name}'"
    for bundle in declared.bundles:
        if bundle.lock_output:
            yield bundle.where, bundle.lock_output, f"{field_name(bundle, 'lock_output')} of bundle '{bundle.name}'"
        if bundle.lock:
            yield bundle.where, images_lock_path(bundle), f"the images.yml of bundle '{bundle.name}'"
    for copy in declared.copies:
        for path in written_by(copy):
            yield copy.where, path, f"the output of copy '{copy.name}'"
    for render in declared.renders:
        yield render.where, render.output, f"the output of render '{render.name}'"


def _replaced_inputs(declared: Declared) -> Iterator[Fault]:
    """Find pulls that would replace the inputs of their own source."""
    inputs: dict[tuple[str, str], Sequence[str]] = {
        ("image", image.name): [
            *image.files,
            *([image.build.context] if image.build else ()),
            *(image.program.files if image.program else ()),
        ]
        for image in declared.images
    }
    for bundle in declared.bundles:
        inputs["bundle", bundle.name] = [*bundle.files, *searched_paths(bundle)]
    for pull in declared.pulls:
        if isinstance(pull.source, BundleSource | ImageSource):
            for path in inputs.get((pull.source.kind, pull.source.name), ()):
                if is_within(path, pull.to):
                    yield (
                        pull.where,
                        f"pull '{pull.name}' would replace {pull.to}, which holds {path}, an input of what it pulls",
                    )
