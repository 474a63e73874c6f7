"""What a schema cannot see: that declarations fit one another and the directories they are in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bundlepipe.errors import InputError, InvalidContent, InvalidReference, quoted
from bundlepipe.oci.inputs import DEFAULT_EXCLUDE
from bundlepipe.oci.labels import BUNDLE_LABEL
from bundlepipe.oci.manifest import Platform
from bundlepipe.oci.reference import DEFAULT_REGISTRY, DEFAULT_TAG, Reference, Repository
from bundlepipe.pipeline.declaration import (
    Apply,
    Build,
    Bundle,
    BundleSource,
    Copy,
    CopySource,
    Image,
    ImageSource,
    Pull,
    Pushable,
    Render,
    Source,
    images_lock_path,
    lock_directory,
    paths_among,
    programs_among,
    searched_paths,
)
from bundlepipe.pipeline.image_tasks import is_ignored
from bundlepipe.pipeline.paths import ancestors, archives_in, below, is_excluded, is_within
from bundlepipe.pipeline.state import STATE_DIRECTORY
from bundlepipe.stores.location import (
    ARCHIVE_PREFIX,
    ENGINE_PREFIX,
    LAYOUT_PREFIX,
    ArchiveLocation,
    EngineLocation,
    LayoutLocation,
    parse_location,
)

if TYPE_CHECKING:
    from bundlepipe.pipeline.reading import Declared

_DODO = "dodo.py"
# For what is asked of references only, where there is none.
_ANY = Repository(DEFAULT_REGISTRY, "a/b")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LOCAL_HOMES = ("oci:", "tar:", "docker-daemon:")


def destination_of(made: Pushable) -> Reference:
    """Return where an image or bundle is pushed to; InvalidReference says what is wrong with it."""
    if made.push is None:
        raise InvalidReference("no destination: add 'push: REGISTRY/REPOSITORY:TAG', or 'defaults: {push: ...}'")
    text = made.push.replace("{name}", made.name)
    if text.startswith(_LOCAL_HOMES):
        raise InvalidReference(
            f"'{text}': a destination becomes part of a bundle's content, so it is always REGISTRY/REPOSITORY:TAG; "
            "for a directory use the host layout.localhost, or 'registries: {HOST: {layout: DIR}}'"
        )
    reference = Reference.parse(text)
    if reference.digest:
        raise InvalidReference(f"'{text}': the destination of a push cannot be a digest: give a tag")
    return reference


def faults(declared: Declared) -> list[str]:
    """Return every fault of the declarations, each one line that begins with where it is declared."""
    return [f"{where}: {text}" if where else text for where, text in _faults(declared)]


def _faults(declared: Declared) -> Iterator[tuple[object, str]]:
    made: list[Pushable] = [*declared.images, *declared.bundles]
    names = {(thing.kind, thing.name) for thing in made}
    yield from _repeated(made, "image or bundle")
    names |= {("copy", copy.name) for copy in declared.copies}
    yield from _repeated(declared.copies, "copy")
    yield from _repeated(declared.pulls, "pull")
    yield from _repeated(declared.renders, "render")
    for thing in made:
        yield from _pushable_faults(thing, declared)
    yield from _shared_destinations(declared)
    for bundle in declared.bundles:
        yield from _output_faults(bundle)
        yield from _lock_faults(bundle, names)
    for copy in declared.copies:
        yield from _source_faults(copy, names)
        yield from _copy_faults(copy)
    for pull in declared.pulls:
        yield from _source_faults(pull, names)
    for render in declared.renders:
        yield from _render_faults(render)
    yield from _shared_outputs(declared)
    yield from _nested_outputs(declared)
    yield from _replaced_inputs(declared)


def _repeated(things: Sequence[Pushable | Copy | Pull | Render], what: str) -> Iterator[tuple[object, str]]:
    seen: dict[str, Pushable | Copy | Pull | Render] = {}
    for thing in things:
        if not _NAME.fullmatch(thing.name):
            yield thing.where, f"'{thing.name}' is not a name: expected lower-case letters, digits, '.', '_' and '-'"
        first = seen.setdefault(thing.name, thing)
        if first is not thing:
            yield thing.where, f"another {what} has the name '{thing.name}' too: {first.where or 'see above'}"


def _pushable_faults(thing: Pushable, declared: Declared) -> Iterator[tuple[object, str]]:
    what = f"{thing.kind} '{thing.name}'"
    if isinstance(thing, Image):
        yield from _image_faults(thing, declared)
    elif not thing.files:
        yield thing.where, f"{what} has no files"
    if BUNDLE_LABEL in thing.labels:
        yield (
            thing.where,
            f"{what}: label '{BUNDLE_LABEL}' is reserved and cannot be overriden. Please use a different key",
        )
    try:
        if not _stays_where_made(thing):
            yield from _tag_faults(thing, destination_of(thing).repository)
    except InvalidReference as error:
        yield thing.where, f"{what}: {error}"
    for kept in _kept_by_runs(declared):
        for path in thing.files:
            if is_within(kept, path) and not is_excluded(below(kept, path), thing.exclude):
                advice = f"exclude it with 'exclude: [.git, {below(kept, path)}]'"
                yield thing.where, f"{what}: its input {path} holds {kept}, which every run changes: {advice}"


def _kept_by_runs(declared: Declared) -> list[str]:
    """Return the directories that runs write into."""
    return [STATE_DIRECTORY, *(settings.layout for settings in declared.registries.values() if settings.layout)]


def _stays_where_made(thing: Pushable) -> bool:
    """Tell whether an image has no destination, since it is where its program put it."""
    return isinstance(thing, Image) and thing.program is not None and thing.push is None


def _image_faults(image: Image, declared: Declared) -> Iterator[tuple[object, str]]:
    what = f"image '{image.name}'"
    ways = [bool(image.files), bool(image.build), bool(image.program), bool(image.source)]
    if sum(ways) > 1:
        yield image.where, f"{what}: expected only one of files, build, run and from (run has files of its own)"
    elif not any(ways):
        yield image.where, f"{what} has no files, nor a build, a program or a source that makes it"
    if not image.files and (tuple(image.exclude) != DEFAULT_EXCLUDE or image.preserve_permissions):
        yield image.where, f"{what}: exclude and preservePermissions are for images of files"
    if (image.program or image.source) and image.labels:
        yield image.where, f"{what}: labels: the image has its own already"
    if image.refresh and not image.source:
        yield image.where, f"{what}: refresh is for the tag of a 'from'"
    if _stays_where_made(image) and image.tags:
        yield image.where, f"{what}: tags are for its destination: add 'push: REGISTRY/REPOSITORY'"
    if image.program and not image.program.run:
        yield image.where, f"{what}: run is empty, expected a program and its arguments"
    if image.source:
        yield from _location_faults(image, image.source)
    if image.build:
        yield from _build_faults(image, image.build, declared)


def _build_faults(image: Image, build: Build, declared: Declared) -> Iterator[tuple[object, str]]:
    what = f"image '{image.name}'"
    if build.platform:
        try:
            Platform.parse(build.platform)
        except InvalidContent as error:
            yield image.where, f"{what}: {error}"
    try:
        ignores = is_ignored(build)
        changing = [kept for kept in _kept_by_runs(declared) if is_within(kept, build.context)]
        for kept in (kept for kept in changing if not ignores(below(kept, build.context))):
            advice = f"add the line '{below(kept, build.context)}' to {build.context}/.dockerignore"
            yield image.where, f"{what}: its context {build.context} holds {kept}, which every run changes: {advice}"
    except InputError as error:
        yield image.where, f"{what}: {error}"


def _shared_destinations(declared: Declared) -> Iterator[tuple[object, str]]:
    """Find tags that two pushes or copies would put, so that each run would undo the other's."""
    owners: dict[str, Pushable | Copy] = {}
    made: list[Pushable] = [*declared.images, *declared.bundles]
    things: list[Pushable | Copy] = [*made, *declared.copies]
    for thing in things:
        try:
            places = _tags_put(thing, made)
        except InvalidReference:
            continue  # which is a fault of its own
        for place in places:
            first = owners.setdefault(place, thing)
            if first is not thing and not _is_source(first, thing):
                yield thing.where, f"{_described(thing)}: {place} is the destination of '{first.name}' too"


def _tags_put(thing: Pushable | Copy, made: Sequence[Pushable]) -> list[str]:
    """Return the tags that are known to be put, with their repository or layout."""
    if isinstance(thing, Pushable):
        if _stays_where_made(thing):
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
    """Tell whether a copy brings the images of what was pushed beside it: its tag stays as it is."""
    return isinstance(pushed, Pushable) and isinstance(thing, Copy) and _names(thing.source, pushed)


def _names(source: Source, thing: Pushable) -> bool:
    return isinstance(source, BundleSource | ImageSource) and (source.kind, source.name) == (thing.kind, thing.name)


def tag_of_push(source: Source, made: Sequence[Pushable]) -> str | None:
    """Return the tag that the push of a source gives it; None for what is not pushed here."""
    pushed = next((thing for thing in made if _names(source, thing) and not _stays_where_made(thing)), None)
    return (destination_of(pushed).tag or DEFAULT_TAG) if pushed else None


def _output_faults(bundle: Bundle) -> Iterator[tuple[object, str]]:
    output = bundle.lock_output
    for path in bundle.files if output else ():
        if output and is_within(output, path) and not is_excluded(below(output, path), bundle.exclude):
            advice = "so every push would change the bundle: write it elsewhere, or exclude it"
            yield (
                bundle.where,
                f"bundle '{bundle.name}': its lockOutput {output} lies in its own input {path}, {advice}",
            )


def _lock_faults(bundle: Bundle, names: set[tuple[str, str]]) -> Iterator[tuple[object, str]]:
    if bundle.lock is None:
        return
    if bundle.files and lock_directory(bundle) is None:
        reason = "images.yml goes into the first directory of the bundle's files, but there is none"
        yield bundle.lock.where, f"lock of bundle '{bundle.name}': {reason}"
    for included in bundle.lock.include:
        if isinstance(included, str):
            try:
                Reference.parse(included)
            except InvalidReference as error:
                yield bundle.lock.where, f"lock of bundle '{bundle.name}': {error}"
        else:
            yield from _unknown(included, names, bundle.lock.where, f"lock of bundle '{bundle.name}'")
    if bundle.lock.platform is not None:
        try:
            Platform.parse(bundle.lock.platform)
        except InvalidContent as error:
            yield bundle.lock.where, f"lock of bundle '{bundle.name}': {error}"


def _source_faults(thing: Copy | Pull, names: set[tuple[str, str]]) -> Iterator[tuple[object, str]]:
    what = _described(thing)
    if isinstance(thing.source, BundleSource | ImageSource | CopySource):
        yield from _unknown(thing.source, names, thing.where, what)
    elif isinstance(thing.source, str):
        yield from _location_faults(thing, thing.source)


def _location_faults(thing: Image | Copy | Pull, source: str) -> Iterator[tuple[object, str]]:
    try:
        parse_location(source)
    except InvalidReference as error:
        yield thing.where, f"{_described(thing)}: {error}"


def _described(thing: Pushable | Copy | Pull | Render) -> str:
    if isinstance(thing, Pushable):
        return f"{thing.kind} '{thing.name}'"
    if isinstance(thing, Render):
        return f"render '{thing.name}'"
    return f"{'copy' if isinstance(thing, Copy) else 'pull'} '{thing.name}'"


def _copy_faults(copy: Copy) -> Iterator[tuple[object, str]]:
    what = _described(copy)
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
        yield copy.where, f"{what}: lockOutput: {copy.to} {reason}: a lock names images by their repository"
    if copy.exclude and not isinstance(destination, ArchiveLocation):
        yield copy.where, f"{what}: exclude: only a tar can leave out layers, and {copy.to} is none"
    for item in copy.exclude:
        if item == ARCHIVE_PREFIX or os.path.basename(item).startswith((LAYOUT_PREFIX, ENGINE_PREFIX)):
            yield copy.where, f"{what}: exclude: '{item}': expected tar:FILE or the path of a lock"
    if isinstance(destination, ArchiveLocation) and str(destination) in (copy.source, *copy.exclude):
        yield copy.where, f"{what}: {copy.to} would be made from itself"


def _engine_faults(copy: Copy, destination: EngineLocation) -> Iterator[str]:
    """Find what the Docker Engine cannot take: it keeps single images by NAME:TAG."""
    if destination.tag is None:
        yield f"'{copy.to}': the destination of a copy cannot be a digest: give docker-daemon:NAME[:TAG]"
    if isinstance(copy.source, BundleSource):
        yield (
            f"{copy.to}: the Docker Engine keeps single images: copy {copy.source.kind} '{copy.source.name}' to a "
            "registry that the cluster reaches, or copy single images"
        )
    if isinstance(copy.source, str) and str(parse_location(copy.source)) == str(destination):
        yield f"{copy.to} would be made from itself"


def _tag_faults(thing: Pushable | Copy, repository: Repository) -> Iterator[tuple[object, str]]:
    """Find further tags that are none; InvalidReference for some of them."""
    for tag in thing.tags:
        if Reference.parse(f"{repository}:{tag}").tag != tag:
            yield thing.where, f"{_described(thing)}: '{tag}' is not a tag"


def _unknown(
    source: BundleSource | ImageSource | CopySource, names: set[tuple[str, str]], where: object, what: str
) -> Iterator[tuple[object, str]]:
    if (source.kind, source.name) in names:
        return
    known = ", ".join(sorted(name for kind, name in names if kind == source.kind)) or "none"
    yield where, f"{what}: there is no {source.kind} '{source.name}' in this pipeline; there are: {known}"


def _render_faults(render: Render) -> Iterator[tuple[object, str]]:
    what = _described(render)
    if not render.files:
        yield render.where, f"{what} has no files"
    for path in (*paths_among(render.files), *render.locks, *render.config):
        if is_within(render.output, path):
            yield render.where, f"{what}: its output {render.output} lies in {path}, which it reads: write it elsewhere"
    if any(not program.run for program in programs_among(render.files)):
        yield render.where, f"{what}: run is empty, expected a program and its arguments"
    if render.apply:
        yield from (
            (render.apply.where or render.where, f"{what}: apply: {text}") for text in _apply_faults(render.apply)
        )


def _apply_faults(apply: Apply) -> Iterator[str]:
    """Find options that kubectl refuses in one another's company, or that it would only meet after applying."""
    if apply.wait and not _DURATION.fullmatch(apply.wait):
        yield f"wait: {quoted(apply.wait)} is not a duration: expected one as kubectl takes it, such as 90s or 5m"
    if apply.force_conflicts and not apply.server_side:
        yield "forceConflicts is for the server: add 'serverSide: true'"
    if apply.dry_run == "client" and apply.server_side:
        yield "with serverSide the client cannot tell what would be: expected 'dryRun: server'"


def _shared_outputs(declared: Declared) -> Iterator[tuple[object, str]]:
    """Find files that two tasks would write, and those that lie in the inputs of a push."""
    owners: dict[str, str] = {}
    readers: dict[str, list[tuple[Pushable, str]]] = {}
    for thing in (*declared.images, *declared.bundles):
        for file in thing.files:
            readers.setdefault(os.path.abspath(file), []).append((thing, file))
    writers: list[Copy | Render] = [*declared.copies, *declared.renders]
    for writer in writers:
        what = _described(writer)
        for path in outputs_of(writer):
            first = owners.setdefault(path, what)
            if first != what:
                yield writer.where, f"{what}: {path} is written by {first} too"
    for copy in declared.copies:
        what = _described(copy)
        for path in _written_by(copy):
            around = (reader for each in ancestors(os.path.abspath(path)) for reader in readers.get(each, ()))
            for thing, file in around:
                if not is_excluded(below(path, file), thing.exclude):
                    reader = f"an input of {_described(thing)}"
                    yield copy.where, f"{what}: {path} lies in {file}, {reader}: write it elsewhere, or exclude it"


def outputs_of(thing: Copy | Render) -> list[str]:
    """Return the files that a copy or render, and no other task, writes."""
    if isinstance(thing, Render):
        return [thing.output]
    return [*archives_in([thing.to]), *filter(None, [thing.lock_output])]


def _written_by(copy: Copy) -> list[str]:
    """Return what a copy writes, an OCI image layout included, which it may share with other copies."""
    try:
        location = parse_location(copy.to)
    except InvalidReference:
        return []  # which is a fault of its own
    return [*outputs_of(copy), *([location.directory] if isinstance(location, LayoutLocation) else [])]


def _nested_outputs(declared: Declared) -> Iterator[tuple[object, str]]:
    """Find outputs in the place of the pipeline's own files, or inside a directory that a pull replaces as a whole."""
    outputs = list(_outputs(declared))
    for where, path, what in outputs:
        if path in (*declared.paths, _DODO) or is_within(path, STATE_DIRECTORY):
            yield where, f"{what} would replace {path}: write it elsewhere"
    for pull in declared.pulls:
        for where, path, what in outputs:
            if path is not pull.to and is_within(path, pull.to):
                yield where, f"{what}, {path}, lies in {pull.to}, which pull '{pull.name}' replaces as a whole"
        for path in declared.paths:
            if is_within(path, pull.to):
                yield pull.where, f"pull '{pull.name}' would replace {pull.to}, which holds {path}"
        if is_within(STATE_DIRECTORY, pull.to):
            yield pull.where, f"pull '{pull.name}' would replace {pull.to}, which holds {STATE_DIRECTORY}"


def _outputs(declared: Declared) -> Iterator[tuple[object, str, str]]:
    """Yield each path that a task writes, with where it is declared and what it is."""
    for pull in declared.pulls:
        yield pull.where, pull.to, f"the output of pull '{pull.name}'"
    for bundle in declared.bundles:
        if bundle.lock_output:
            yield bundle.where, bundle.lock_output, f"lockOutput of bundle '{bundle.name}'"
        if bundle.lock:
            yield bundle.where, images_lock_path(bundle), f"the images.yml of bundle '{bundle.name}'"
    for copy in declared.copies:
        for path in _written_by(copy):
            yield copy.where, path, f"the output of copy '{copy.name}'"
    for render in declared.renders:
        yield render.where, render.output, f"the output of render '{render.name}'"


def _replaced_inputs(declared: Declared) -> Iterator[tuple[object, str]]:
    """Find pulls that would replace the very inputs that their source is made of."""
    inputs = {("image", image.name): image.files for image in declared.images}
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
