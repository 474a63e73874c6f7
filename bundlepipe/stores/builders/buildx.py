"""Images built by `docker buildx`.

One platform is loaded into the Engine, which every driver of buildx can do. Several make
an index, which an Engine cannot hold: they go into an OCI image layout.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from bundlepipe.concurrency.processes import run_program
from bundlepipe.errors import ProgramError, ProgramMissing
from bundlepipe.events import Emit, OutputLine
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.oci.builds.context import ContextFiles
from bundlepipe.oci.builds.request import BuildRequest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.engine.names import temporary_name
from bundlepipe.stores.engine.store import EngineStore
from bundlepipe.stores.layout.store import LayoutStore
from bundlepipe.stores.protocol import Source

# How the last of what a failed build prints begins: what failed, and why.
_FAULT = "ERROR: "


@contextlib.contextmanager
def buildx_image(
    request: BuildRequest, files: ContextFiles, labels: Mapping[str, str], emit: Emit
) -> Iterator[tuple[Source, Manifest]]:
    """Build an image, or an index of them for several platforms; see `choice.built_image`."""
    if not has_buildx():
        raise ProgramMissing("docker buildx")
    if request.platform and "," in request.platform:
        with tempfile.TemporaryDirectory() as directory:
            _run(request, files, labels, ["--output", f"type=oci,tar=false,dest={directory}"], emit)
            layout = LayoutStore(directory)
            yield layout, layout.read_manifest(layout.sole_image()[0])
    else:
        with temporary_name() as location:
            _run(request, files, labels, ["--load", "--tag", location.name], emit)
            source = EngineStore(location)
            yield source, source.manifest


def _run(
    request: BuildRequest, files: ContextFiles, labels: Mapping[str, str], output: Sequence[str], emit: Emit
) -> None:
    dockerfile = os.path.abspath(anchored(files.dockerfile))
    command = ["docker", "buildx", "build", "--progress=plain", f"--file={dockerfile}", *output]
    command += [f"--build-arg={key}={value}" for key, value in request.args.items()]
    command += [f"--label={key}={value}" for key, value in labels.items()]
    command += [f"--target={request.target}"] if request.target else []
    command += [f"--platform={request.platform}"] if request.platform else []
    command += ["--pull"] if request.pull else []
    command += ["--no-cache"] if request.no_cache else []
    # Attestations would make an index of a single image, with another digest each time.
    environment = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    command += [*request.raw_options, "."]
    try:
        # Paths in raw options are relative to the context, as for kbld.
        run_program(command, lambda line: emit(OutputLine(line)), directory=files.directory, environment=environment)
    except ProgramError as error:
        # The command has all build arguments in it, which are nobody's business.
        said = next((line for line in reversed(error.tail) if line.startswith(_FAULT)), None)
        raise ProgramError(f"docker buildx build of {files.dockerfile}", error.status, error.tail, said) from None


def has_buildx() -> bool:
    """Tell whether `docker buildx` is installed."""
    return _has_buildx(os.environ.get("PATH"), os.environ.get("DOCKER_CONFIG"))


@functools.cache
def _has_buildx(path: str | None, configuration: str | None) -> bool:
    """Ask once for each place that plugins of `docker` are looked for."""
    try:
        run_program(["docker", "buildx", "version"], lambda line: None)
    except (ProgramError, ProgramMissing):
        return False
    return True
