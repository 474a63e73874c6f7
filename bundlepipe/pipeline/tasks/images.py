"""push_image: push an image made of files, built from a Dockerfile, made by a program, or copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.snapshots import Snapshot
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import DEFAULT_TAG, Reference
from bundlepipe.pipeline.declared.contexts import context_of, is_ignored
from bundlepipe.pipeline.declared.destinations import destination_of
from bundlepipe.pipeline.declared.model import Build, Copy, Image, Program
from bundlepipe.pipeline.reasons import REFRESH_REQUESTED, Reason
from bundlepipe.pipeline.records.read_files import files_among
from bundlepipe.pipeline.records.state import write_digest
from bundlepipe.pipeline.running.action import Action
from bundlepipe.pipeline.running.destination_lookups import DestinationLookup, look_up
from bundlepipe.pipeline.running.edges import is_bundles_own
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.sources import described, paths_read
from bundlepipe.pipeline.running.spec import PipelineContext, TaskSpec
from bundlepipe.pipeline.running.staleness import FILES, OPTIONS, Staleness, Values, options_of, to_values
from bundlepipe.pipeline.tasks import push
from bundlepipe.pipeline.tasks.copy import CopyAction, CopyStaleness
from bundlepipe.pipeline.tasks.push import DestinationStaleness, made_values, mismatch, placed, result_for
from bundlepipe.progress.display import emitter

if TYPE_CHECKING:
    from bundlepipe.oci.builds.request import BuildRequest


def spec(image: Image, context: PipelineContext) -> TaskSpec:
    """Return the task that makes an image, by any method."""
    if image.build:
        return _spec_of_build(image, image.build, context.settings)
    if image.source:
        return _spec_of_copy(image, image.source, context.settings)
    if image.program:
        return _spec_of_program(image, image.program, context.settings)
    return push.spec(image, context)


def _spec_of_build(image: Image, build: Build, settings: Settings) -> TaskSpec:
    destination, context = destination_of(image), context_of(build)
    return push.spec_of_made(
        image,
        settings,
        BuildAction(image, build, destination, settings),
        BuildStaleness(image, build, destination, settings),
        f"build image {image.name} and push it to {destination}",
        [([build.context], is_ignored(context)), (context.decisive_files, ())],
    )


def _spec_of_program(image: Image, program: Program, settings: Settings) -> TaskSpec:
    destination = destination_of(image) if image.push else None
    to = f" and copy it to {destination}" if destination else ""
    return push.spec_of_made(
        image,
        settings,
        ProgramAction(image, program, destination, settings),
        ProgramStaleness(image, program, destination, settings),
        f"make image {image.name} by {program.shown.partition(' ')[0]}{to}",
        [(program.files, is_bundles_own)],
    )


def _spec_of_copy(image: Image, source: str, settings: Settings) -> TaskSpec:
    destination = destination_of(image)
    copy = _ImageCopy(
        name=image.name,
        source=source,
        to=str(destination.repository.tagged(destination.tag or DEFAULT_TAG)),
        tags=image.tags,
        refresh=image.refresh,
        where=image.where,
    )
    return push.spec_of_made(
        image,
        settings,
        CopyAction(copy, None, settings),
        CopyStaleness(copy, None, settings),
        f"copy {described(source)} to {destination}",
        [(paths_read(source), ())],
        source,
    )


class _ImageCopy(Copy):
    """The copy behind an image with a `source`."""

    kind = "image"


def _refresh_reasons(name: str, settings: Settings) -> list[Reason]:
    """Return why an image is made again. Only its own name requests that: `all` means tags to resolve."""
    return [REFRESH_REQUESTED] if settings.refreshes_by_name(name, f"push_image:{name}") else []


def _build_options(image: Image, build: Build, destination: Reference, settings: Settings) -> Values:
    return {
        **options_of(build),
        "destination": placed(destination, settings),
        "tags": list(image.tags),
        "labels": dict(image.labels),
    }


class BuildStaleness(DestinationStaleness):
    """Stale if the files of the build context changed; whether the Engine still has the image does not matter."""

    compared = "what the builder gets to see, the destination and other options"

    def __init__(self, image: Image, build: Build, destination: Reference, settings: Settings) -> None:
        super().__init__(_build_options(image, build, destination, settings), destination, image.tags, settings)
        self._name = image.name
        self._build = build

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Compare as all pushes do; a refresh of this image builds it again, with base images that may have moved."""
        return [*_refresh_reasons(self._name, self.lookup.settings), *super().reasons(task, values)]

    def inputs_now(self, before: Snapshot) -> Snapshot:
        """Walk the context."""
        return context_of(self._build).snapshot(before)


class BuildAction(Action):
    """Builds and pushes, unless the destination has an image of the same inputs."""

    finds_result = True

    def __init__(self, image: Image, build: Build, destination: Reference, settings: Settings) -> None:
        super().__init__()
        self._image = image
        self._build = build
        self._destination = destination
        self._settings = settings

    def work(self) -> Values:
        """Build and push the image of the context."""
        from bundlepipe.verbs.building.build import BuildInputs, build_and_push
        from bundlepipe.verbs.push import NOT_ASKED

        image, result = self._image, result_for(self.task)
        built = build_and_push(
            BuildInputs.read(self._request()),
            self._destination,
            self._settings.stores,
            tags=image.tags,
            present=result.manifest if result else NOT_ASKED,
            rebuild=self._is_refreshed and not self.absence_advice,
            absence_advice=self.absence_advice,
            emit=emitter(self.task.name),
        )
        return {
            **made_values(image, built.reference, str(self._destination), self._settings, was_there=built.was_there),
            OPTIONS: _build_options(image, self._build, self._destination, self._settings),
            FILES: to_values(built.inputs.snapshot),
        }

    def stand_in(self, digest: Digest) -> None:
        """Record a stand-in of the image."""
        write_digest(
            self._image.kind, self._settings.record(self._image.name), str(self._destination.with_digest(digest))
        )

    @property
    def _is_refreshed(self) -> bool:
        return bool(_refresh_reasons(self._image.name, self._settings))

    def _request(self) -> BuildRequest:
        from bundlepipe.oci.builds.request import BuildRequest

        build = self._build
        return BuildRequest(
            context=context_of(build),
            target=build.target,
            args=build.args,
            labels=self._image.labels,
            platform=build.platform,
            pull=build.pull or self._is_refreshed,
            no_cache=build.no_cache,
            builder=build.builder,
        )


def _program_options(image: Image, program: Program, destination: Reference | None, settings: Settings) -> Values:
    return {
        **options_of(program),
        "destination": placed(destination, settings) if destination else None,
        "tags": list(image.tags),
    }


class ProgramStaleness(Staleness):
    """Stale if the files that the program reads changed; with `verify=registry` the image is looked up."""

    compared = "the files that the program reads, and its options"

    def __init__(self, image: Image, program: Program, destination: Reference | None, settings: Settings) -> None:
        super().__init__(_program_options(image, program, destination, settings))
        self._name = image.name
        self._program = program
        self._destination = destination
        self._settings = settings

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Compare as all tasks do; a refresh runs the program again; look up the image if requested."""
        reasons = [*_refresh_reasons(self._name, self._settings), *super().reasons(task, values)]
        if reasons or not self._settings.verify:
            return reasons
        place = self._destination or Reference.parse(values["image"])
        return mismatch(look_up(DestinationLookup(place, self._settings)), values["digest"], place)

    def inputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of the files that the program reads."""
        return files_among(self._program.files, before)


class ProgramAction(Action):
    """Runs a program that makes an image, and copies the image to its destination if it has one."""

    def __init__(self, image: Image, program: Program, destination: Reference | None, settings: Settings) -> None:
        super().__init__()
        self._image = image
        self._program = program
        self._destination = destination
        self._settings = settings

    def stand_in(self, digest: Digest) -> None:
        """Record a stand-in of the image; without a destination only the program knows its repository."""
        image = (self._destination or Reference.parse("stand-in.localhost/image")).with_digest(digest)
        write_digest(self._image.kind, self._settings.record(self._image.name), str(image))

    def work(self) -> Values:
        """Run the program; the last line of its output is the image."""
        from bundlepipe.verbs.building.programs import run_builder
        from bundlepipe.verbs.copying.copy import copy
        from bundlepipe.verbs.copying.request import CopyRequest

        image, program, destination, emit = self._image, self._program, self._destination, emitter(self.task.name)
        before = files_among(program.files, {})
        made = run_builder(program.run, directory=program.directory, shown=program.shown, emit=emit)
        if destination:
            request = CopyRequest(
                source=made, destination=destination.repository, tag=destination.tag or DEFAULT_TAG, tags=image.tags
            )
            copy(request, self._settings.stores, emit=emit)
            assert made.digest
            made = destination.with_digest(made.digest)
        elif not self._settings.stores.repository(made.repository).has_manifest(Digest(made.identifier)):
            raise BundlepipeError(f"{program.shown}: printed {made}, which is not there: let it push the image as well")
        return {
            **made_values(image, made, str(destination or made.repository), self._settings, was_there=False),
            OPTIONS: _program_options(image, program, destination, self._settings),
            FILES: to_values(before),
        }
