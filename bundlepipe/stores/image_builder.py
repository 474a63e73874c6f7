"""The builder that makes an image of a Dockerfile: BuildKit where it is installed, else the Engine's own."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager

from bundlepipe.errors import ProgramError, ProgramMissing
from bundlepipe.events import Emit
from bundlepipe.oci.build_context import ContextFiles
from bundlepipe.oci.build_request import BuildRequest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.processes import run_program
from bundlepipe.stores.store import Source

BuiltImage = AbstractContextManager[tuple[Source, Manifest]]


def built_image(request: BuildRequest, files: ContextFiles, labels: Mapping[str, str], emit: Emit) -> BuiltImage:
    """Build an image that gets these labels; give its source and manifest for as long as the context lasts.

    `files` are what the request's context has now. What the builder prints is emitted.
    Raises ProgramError where the build fails, ProgramMissing where there is no such builder,
    InputError, StoreError, and Cancelled where the build is given up.
    """
    if request.builder == "buildx" or (request.builder is None and has_buildx()):
        from bundlepipe.stores.buildx import buildx_image

        return buildx_image(request, files, labels, emit)
    from bundlepipe.stores.engine_build import engine_image

    return engine_image(request, files, labels, emit)


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
