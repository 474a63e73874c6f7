"""Build the images of kbld's `sources`: run each builder as kbld does, and push the result.

Source: kbld's documentation ("Config", "Building images"), and that of the builders. kbld pushes
under a random tag; here the tag is derived from the inputs or the image, so that the same image is
not pushed, and from a Dockerfile not even built, again.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from bundlepipe.concurrency.cancellation import pause
from bundlepipe.concurrency.processes import run_program
from bundlepipe.concurrency.single_flight import Once
from bundlepipe.documents.kbld.builders import (
    BazelBuild,
    BuildxBuild,
    DockerBuild,
    KoBuild,
    KubectlBuildkitBuild,
    PackBuild,
)
from bundlepipe.documents.kbld.config import ImageDestination, ImageSource
from bundlepipe.errors import BundlepipeError, InvalidReference, ProgramMissing, command_text, quoted
from bundlepipe.events import Emit, Event, OutputLine, ignore
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.oci.builds.request import Builder, BuildRequest
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.engine.names import temporary_name
from bundlepipe.stores.location import ENGINE_PREFIX, Location, parse_location
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.building.build import BuildInputs, build_and_push
from bundlepipe.verbs.building.programs import last_line
from bundlepipe.verbs.images.resolver import FromSource
from bundlepipe.verbs.shared.blobs import put_further_tags, put_image

_TAG_LENGTH = 32
_BAZEL_IMAGE = re.compile(r"\bbazel(?:/[\w.+-]+)*:[\w.-]+")


def build_source(
    source: ImageSource,
    destination: ImageDestination | None,
    stores: Stores,
    *,
    rebuild: bool = False,
    emit: Emit = ignore,
) -> Reference:
    """Build the image of a source, push it to its destination, and return its `REPOSITORY@DIGEST`.

    From a Dockerfile nothing is built if the destination has an image of the same inputs, unless
    `rebuild`, which looks for newer base images. The builder's output is emitted. Raises
    BundlepipeError, which begins with the position in the configuration, for a source without
    destination and for a builder that is not installed; and what `build_and_push`, `run_program`
    and stores raise.
    """
    if destination is None:
        raise BundlepipeError(
            f"{source.where}: the image built from {quoted(source.path)} has no destination, without which "
            "it gets no digest: add it to 'destinations'"
        )
    try:
        repository = Repository.parse(destination.new_image)
    except InvalidReference as error:
        raise BundlepipeError(f"{destination.where}: {error}") from None
    try:
        return _Work(source.path, repository, destination.tags, stores, rebuild, emit).build(source)
    except ProgramMissing as error:
        raise BundlepipeError(f"{source.where}: {error}") from None


class SourceBuilds:
    """Builds images in a run, each once, even for several references, at most `concurrency` at the same time.

    `tell` gets events, with the name of the image that they belong to. May be used by several threads at once.
    """

    def __init__(self, stores: Stores, concurrency: int, tell: Callable[[str, Event], None]) -> None:
        self._stores = stores
        self._turns = threading.BoundedSemaphore(concurrency)
        self._tell = tell
        self._built: Once[Reference] = Once()

    def build(self, planned: FromSource) -> Reference:
        """Return the image of a source, as `build_source` does."""
        return self._built.get((planned.source, planned.destination), lambda: self._build(planned))

    def _build(self, planned: FromSource) -> Reference:
        with self._turns:
            # The work may have been cancelled while this thread waited.
            pause(0)
            emit = partial(self._tell, planned.name)
            return build_source(planned.source, planned.destination, self._stores, emit=emit)


class _Work(Struct, frozen=True):
    """The directory of a build, and the destination of its image."""

    directory: str
    repository: Repository
    tags: Sequence[str]
    stores: Stores
    rebuild: bool
    emit: Emit

    def build(self, source: ImageSource) -> Reference:
        match source.builder:
            case DockerBuild() | BuildxBuild() as builder:
                return self._by_docker(builder)
            case PackBuild() as builder:
                return self._by_pack(builder)
            case KubectlBuildkitBuild() as builder:
                return self._in_cluster(builder)
            case KoBuild() as builder:
                return self._by_ko(builder)
            case BazelBuild() as builder:
                return self._by_bazel(builder)

    def _by_docker(self, builder: DockerBuild | BuildxBuild) -> Reference:
        request = BuildRequest(
            BuildContext(self.directory, builder.file),
            target=builder.target,
            raw_options=builder.raw_options,
            pull=builder.pull or self.rebuild,
            no_cache=builder.no_cache,
            builder=_dockerfile_builder(builder),
        )
        inputs = BuildInputs.read(request)
        destination = self.repository.tagged(_tag(inputs.digest))
        return build_and_push(
            inputs, destination, self.stores, tags=self.tags, rebuild=self.rebuild, emit=self.emit
        ).reference

    def _by_pack(self, builder: PackBuild) -> Reference:
        with temporary_name() as location:
            command = ["pack", "build", location.name, "--path", "."]
            command += ["--builder", builder.builder] if builder.builder else []
            for buildpack in builder.buildpacks:
                command += ["--buildpack", buildpack]
            command += ["--clear-cache"] if builder.clear_cache else []
            self._run([*command, *builder.raw_options])
            return self._push(location)

    def _by_ko(self, builder: KoBuild) -> Reference:
        command = ["ko", "build", "--local", *builder.raw_options, "."]
        environment = {"KO_DOCKER_REPO": "ko.local"}
        name = last_line(command, directory=self.directory, environment=environment, emit=self.emit)
        return self._push(_in_engine(name, command))

    def _by_bazel(self, builder: BazelBuild) -> Reference:
        command = ["bazel", "run", *builder.raw_options, *([builder.target] if builder.target else []), "--", "--norun"]
        names = [name for line in self._run(command) for name in _BAZEL_IMAGE.findall(line)]
        return self._push(_in_engine(names[-1] if names else "", command))

    def _in_cluster(self, builder: KubectlBuildkitBuild) -> Reference:
        """Build where only the registry is shared: the builder itself pushes."""
        pushed = self.repository.tagged(f"kbld-{secrets.token_hex(8)}")
        command = ["kubectl", "buildkit", "build", "--push", "--tag", str(pushed)]
        command += ["--target", builder.target] if builder.target else []
        command += ["--platform", builder.platform] if builder.platform else []
        command += ["--pull"] if builder.pull else []
        command += ["--no-cache"] if builder.no_cache else []
        command += ["--file", builder.file] if builder.file else []
        self._run([*command, *builder.raw_options, "."])
        store = self.stores.repository(self.repository, writes=True)
        manifest = store.read_manifest(pushed.identifier)
        put_further_tags(store, manifest, self.tags)
        return self.repository.at(manifest.digest)

    def _run(self, command: Sequence[str]) -> list[str]:
        """Run a program and return its output lines."""
        lines: list[str] = []

        def take(line: str) -> None:
            lines.append(line)
            self.emit(OutputLine(line))

        run_program(command, take, directory=self.directory)
        return lines

    def _push(self, location: Location) -> Reference:
        """Push an image of the Engine to its destination."""
        source, manifest = self.stores.locate(location)
        store = self.stores.repository(self.repository, writes=True)
        put_image(source, manifest, store, (*self.tags, _tag(manifest.config.digest)), self.emit)
        return self.repository.at(manifest.digest)


def _dockerfile_builder(builder: DockerBuild | BuildxBuild) -> Builder | None:
    if isinstance(builder, BuildxBuild) or builder.buildkit:
        return "buildx"
    return None if builder.buildkit is None else "docker"


def _in_engine(name: str, command: Sequence[str]) -> Location:
    try:
        return parse_location(f"{ENGINE_PREFIX}{name}")
    except InvalidReference:
        said = f"its last line is {quoted(name, 200)}" if name else "it named none"
        raise BundlepipeError(
            f"{command_text(command)}: {said}: expected the image that it loaded into the Docker Engine"
        ) from None


def _tag(digest: Digest) -> str:
    return f"kbld-{digest.encoded[:_TAG_LENGTH]}"
