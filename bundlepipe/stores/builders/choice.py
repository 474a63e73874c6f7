"""The builder that makes an image of a Dockerfile: BuildKit where it is installed, else the Engine's own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from bundlepipe.events import Emit
from bundlepipe.oci.builds.context import ContextFiles
from bundlepipe.oci.builds.request import BuildRequest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.protocol import Source

BuiltImage = AbstractContextManager[tuple[Source, Manifest]]


def built_image(request: BuildRequest, files: ContextFiles, labels: Mapping[str, str], emit: Emit) -> BuiltImage:
    """Build an image that gets these labels; give its source and manifest for as long as the context lasts.

    `files` are what the request's context has now. What the builder prints is emitted.
    Raises ProgramError where the build fails, ProgramMissing where there is no such builder,
    InputError, StoreError, and Cancelled where the build is given up.
    """
    from bundlepipe.stores.builders.buildx import buildx_image, has_buildx

    if request.builder == "buildx" or (request.builder is None and has_buildx()):
        return buildx_image(request, files, labels, emit)
    from bundlepipe.stores.builders.engine import engine_image

    return engine_image(request, files, labels, emit)
