"""Check what a schema cannot: that declarations fit together, and fit their directories."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from bundlepipe.errors import InvalidContent, InvalidReference, quoted
from bundlepipe.filesystem.inputs import DEFAULT_EXCLUDE
from bundlepipe.oci.labels import BUNDLE_LABEL, INPUTS_LABEL
from bundlepipe.oci.manifest import Platform
from bundlepipe.oci.reference import DEFAULT_REGISTRY, Reference, Repository
from bundlepipe.pipeline.checks.names import included_name_faults, order_faults, source_name_faults
from bundlepipe.pipeline.checks.outputs import Fault, output_faults
from bundlepipe.pipeline.declared.contexts import by_directory, context_of
from bundlepipe.pipeline.declared.contexts import faults as context_faults
from bundlepipe.pipeline.declared.destinations import called, destination_of, kept_by_runs, stays_where_made
from bundlepipe.pipeline.declared.model import (
    Apply,
    Build,
    Bundle,
    BundleSource,
    Copy,
    Image,
    Program,
    Pull,
    Pushable,
    Render,
    Source,
    images_lock_path,
    lock_directory,
    paths_among,
    programs_among,
    programs_searched,
)
from bundlepipe.pipeline.declared.names import NAME_CHARACTERS, is_name
from bundlepipe.pipeline.declared.paths import below, is_excluded, is_within
from bundlepipe.pipeline.declared.spelling import field_name, setting
from bundlepipe.stores.location import (
    ARCHIVE_PREFIX,
    ENGINE_PREFIX,
    LAYOUT_PREFIX,
    LOCAL_PREFIXES,
    ArchiveLocation,
    EngineLocation,
    parse_location,
)

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.reading import Declared

# Used if only references are needed, and there is no file.
_ANY = Repository(DEFAULT_REGISTRY, "a/b")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")


def faults(declared: Declared) -> list[str]:
    """Return all faults of the declarations, each one line that begins with the position of the declaration."""
    return [f"{where}: {text}" if where else text for where, text in _faults(declared)]


def _faults(declared: Declared) -> Iterator[Fault]:
    made = declared.made()
    names = {(thing.kind, thing.name) for thing in made}
    yield from _repeated(made, "image or bundle")
    names |= {("copy", copy.name) for copy in declared.copies}
    yield from _repeated(declared.copies, "copy")
    yield from _repeated(declared.pulls, "pull")
    yield from _repeated(declared.renders, "render")
    for thing in made:
        yield from _pushable_faults(thing, declared)
    for image in declared.images:
        if image.source:
            yield from _source_faults(image, image.source, names)
    yield from _context_faults(declared)
    for bundle in declared.bundles:
        yield from _lock_faults(bundle, names)
    for copy in declared.copies:
        yield from _source_faults(copy, copy.source, names)
        yield from _copy_faults(copy)
    for pull in declared.pulls:
        yield from _source_faults(pull, pull.source, names)
    for render in declared.renders:
        yield from _render_faults(render)
    yield from order_faults(declared)
    yield from output_faults(declared)
    if declared.reports:
        yield from _report_faults(declared)
    if declared.ci:
        from bundlepipe.pipeline.checks.ci import ci_faults

        yield from ci_faults(declared.ci)


def _report_faults(declared: Declared) -> Iterator[Fault]:
    from bundlepipe.pipeline.reports.kinds import EXPECTED, kind_of

    for path, where in declared.reports.items():
        if kind_of(path) is None:
            yield where, f"reports: {path}: expected {EXPECTED}"


def _repeated(things: Sequence[Pushable | Copy | Pull | Render], what: str) -> Iterator[Fault]:
    seen: dict[str, Pushable | Copy | Pull | Render] = {}
    for thing in things:
        if not is_name(thing.name):
            yield thing.where, f"{thing.kind} {quoted(thing.name)}: name: expected {NAME_CHARACTERS}"
        first = seen.setdefault(thing.name, thing)
        if first is not thing:
            advice = first.where or "rename one of the two"
            yield thing.where, f"{called(thing)}: another {what} has the name '{thing.name}' too: {advice}"


def _pushable_faults(thing: Pushable, declared: Declared) -> Iterator[Fault]:
    what = called(thing)
    if isinstance(thing, Image):
        yield from _image_faults(thing)
    elif not thing.files:
        yield thing.where, f"{what} has no files"
    if BUNDLE_LABEL in thing.labels:
        yield (
            thing.where,
            f"{what}: label '{BUNDLE_LABEL}' is reserved and cannot be overriden. Please use a different key",
        )
    try:
        if not stays_where_made(thing):
            yield from _tag_faults(thing, destination_of(thing).repository)
    except InvalidReference as error:
        yield thing.where, f"{what}: {error}"
    for kept in [*kept_by_runs(declared.registries), *filter(None, [declared.lock_file]), *declared.reports]:
        for path in thing.files:
            if is_within(kept, path) and not is_excluded(below(kept, path), thing.exclude):
                advice = f"exclude it with {setting(thing, 'exclude', ['.git', below(kept, path)])}"
                yield thing.where, f"{what}: its input {path} holds {kept}, which every run changes: {advice}"


def _image_faults(image: Image) -> Iterator[Fault]:
    what, named = called(image), partial(field_name, image)
    ways = [bool(image.files), bool(image.build), bool(image.program), bool(image.source)]
    if sum(ways) > 1:
        program = named("program")
        only = f"files, build, {program} and {named('source')} ({program} has files of its own)"
        yield image.where, f"{what}: expected only one of {only}"
    elif not any(ways):
        yield image.where, f"{what} has no files, nor a build, a program or a source that makes it"
    if not image.files and (tuple(image.exclude) != DEFAULT_EXCLUDE or image.preserve_permissions):
        yield image.where, f"{what}: exclude and {named('preserve_permissions')} are for images of files"
    if (image.program or image.source) and image.labels:
        yield image.where, f"{what}: labels: the image has its own already"
    if image.refresh and not (image.source and not image.source.startswith(LOCAL_PREFIXES)):
        yield image.where, f"{what}: refresh is for the tag of a reference as '{named('source')}'"
    if stays_where_made(image) and image.tags:
        yield image.where, f"{what}: tags are for its destination: add {setting(image, 'push', 'REGISTRY/REPOSITORY')}"
    if image.program:
        yield from ((image.where, f"{what}: {text}") for text in _program_faults([image.program]))
    if image.build:
        yield from _build_faults(image, image.build)


def _build_faults(image: Image, build: Build) -> Iterator[Fault]:
    what = called(image)
    if build.platform is not None:
        try:
            for platform in build.platform.split(","):
                Platform.parse(platform)
        except InvalidContent as error:
            yield image.where, f"{what}: {error}"
    if INPUTS_LABEL in image.labels:
        yield image.where, f"{what}: label '{INPUTS_LABEL}' records the inputs of a build: use a different key"


def _context_faults(declared: Declared) -> Iterator[Fault]:
    """Find files that runs write in build contexts that do not ignore them."""
    locks = [os.path.dirname(images_lock_path(bundle)) for bundle in declared.bundles if bundle.lock]
    written = by_directory([*kept_by_runs(declared.registries), *locks, *declared.reports])
    for image in declared.images:
        for problem in context_faults(context_of(image.build), written) if image.build else ():
            yield image.where, f"{called(image)}: {problem}"


def _lock_faults(bundle: Bundle, names: set[tuple[str, str]]) -> Iterator[Fault]:
    if bundle.lock is None:
        return
    if bundle.files and lock_directory(bundle) is None:
        reason = "images.yml goes into the first directory of the bundle's files, but there is none"
        yield bundle.lock.where, f"lock of bundle '{bundle.name}': {reason}"
    for text in _program_faults(programs_searched(bundle)):
        yield bundle.lock.where, f"lock of bundle '{bundle.name}': {text}"
    for included in bundle.lock.include:
        if isinstance(included, str):
            try:
                Reference.parse(included)
            except InvalidReference as error:
                yield bundle.lock.where, f"lock of bundle '{bundle.name}': {error}"
    yield from included_name_faults(bundle, bundle.lock, names)
    if bundle.lock.platform is not None:
        try:
            Platform.parse(bundle.lock.platform)
        except InvalidContent as error:
            yield bundle.lock.where, f"lock of bundle '{bundle.name}': {error}"


def _source_faults(thing: Image | Copy | Pull, source: Source, names: set[tuple[str, str]]) -> Iterator[Fault]:
    yield from source_name_faults(thing, source, names)
    if not isinstance(source, str):
        return
    try:
        parse_location(source)
    except InvalidReference as error:
        yield thing.where, f"{called(thing)}: {error}"


def _copy_faults(copy: Copy) -> Iterator[Fault]:
    what = called(copy)
    try:
        destination = parse_location(copy.to)
        yield from _tag_faults(copy, destination.repository if isinstance(destination, Reference) else _ANY)
    except InvalidReference as error:
        yield copy.where, f"{what}: {error}"
        return
    if isinstance(destination, EngineLocation):
        yield from ((copy.where, f"{what}: {text}") for text in _engine_faults(copy, destination))
    if isinstance(destination, Reference) and destination.digest:
        yield copy.where, f"{what}: '{copy.to}': the destination of a copy cannot be a digest: give a repository"
    if copy.lock_output and not isinstance(destination, Reference):
        reason = (
            "cannot output lock file with tar destination"
            if isinstance(destination, ArchiveLocation)
            else "is in no registry"
        )
        place = f"{what}: {field_name(copy, 'lock_output')}"
        yield copy.where, f"{place}: {copy.to} {reason}: a lock names images by their repository"
    if copy.exclude and not isinstance(destination, ArchiveLocation):
        yield copy.where, f"{what}: exclude: only a tar can leave out layers, and {copy.to} is not a tar"
    for item in copy.exclude:
        if item == ARCHIVE_PREFIX or os.path.basename(item).startswith((LAYOUT_PREFIX, ENGINE_PREFIX)):
            yield copy.where, f"{what}: exclude: '{item}': expected tar:FILE or the path of a lock"
    if isinstance(destination, ArchiveLocation) and str(destination) in (copy.source, *copy.exclude):
        yield copy.where, f"{what}: {copy.to} would be made from itself"


def _engine_faults(copy: Copy, destination: EngineLocation) -> Iterator[str]:
    """Find what the Docker Engine cannot store: it keeps single images by NAME:TAG."""
    if destination.tag is None:
        yield f"'{copy.to}': the destination of a copy cannot be a digest: give docker-daemon:NAME[:TAG]"
    if isinstance(copy.source, BundleSource):
        yield (
            f"{copy.to}: the Docker Engine keeps single images: copy {copy.source.kind} '{copy.source.name}' to a "
            "registry that the cluster reaches, or copy single images"
        )
    if isinstance(copy.source, str) and str(parse_location(copy.source)) == str(destination):
        yield f"{copy.to} would be made from itself"


def _tag_faults(thing: Pushable | Copy, repository: Repository) -> Iterator[Fault]:
    """Find invalid additional tags; some of them raise InvalidReference."""
    for tag in thing.tags:
        if Reference.parse(f"{repository}:{tag}").tag != tag:
            yield thing.where, f"{called(thing)}: '{tag}' is not a tag"


def _render_faults(render: Render) -> Iterator[Fault]:
    what = called(render)
    if not render.files:
        yield render.where, f"{what} has no files"
    for path in (*paths_among(render.files), *render.locks, *render.config):
        if is_within(render.output, path):
            yield render.where, f"{what}: its output {render.output} lies in {path}, which it reads: write it elsewhere"
    yield from ((render.where, f"{what}: {text}") for text in _program_faults(programs_among(render.files)))
    if os.path.isdir(render.output):
        yield render.where, f"{what}: its output {render.output} is a directory: name a file"
    if render.apply:
        yield from (
            (render.apply.where or render.where, f"{what}: apply: {text}") for text in _apply_faults(render.apply)
        )


def _program_faults(programs: Sequence[Program]) -> Iterator[str]:
    if not all(program.run for program in programs):
        yield "run: expected a program and its arguments, as a list of strings"
    if any(program.run and not program.run[0] for program in programs):
        yield "run[0]: expected a program, found an empty string"


def _apply_faults(apply: Apply) -> Iterator[str]:
    """Find options that kubectl refuses in combination, or would only refuse after applying."""
    if apply.wait and not _DURATION.fullmatch(apply.wait):
        yield f"wait: {quoted(apply.wait)} is not a duration: expected one as kubectl takes it, such as 90s or 5m"
    if apply.force_conflicts and not apply.server_side:
        name = field_name(apply, "force_conflicts")
        yield f"{name} is for the server: add {setting(apply, 'server_side', True)}"
    if apply.dry_run == "client" and apply.server_side:
        name = field_name(apply, "server_side")
        yield f"with {name} only the server knows the result: expected {setting(apply, 'dry_run', 'server')}"
