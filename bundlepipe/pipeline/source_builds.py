"""What sources of kbld's configuration build while a lock is made, and what that depends on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bundlepipe.oci.build_context import BuildContext
from bundlepipe.oci.inputs import Snapshot
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.paths import normalise
from bundlepipe.pipeline.programs import files_among
from bundlepipe.pipeline.settings import Settings
from bundlepipe.pipeline.staleness import Values

if TYPE_CHECKING:
    from bundlepipe.events import Emit
    from bundlepipe.verbs.resolution import Built

_PATH = "path"
_DOCKERFILE = "dockerfile"


class SourceBuilder:
    """Builds for one lock; paths of sources are relative to `directory`. May be used by several threads at once."""

    def __init__(self, directory: str, settings: Settings, emit: Emit) -> None:
        self._directory = directory
        self._settings = settings
        self._emit = emit
        self._lock = threading.Lock()
        self.sources: list[Values] = []
        self.snapshot: Snapshot = {}

    def build(self, built: Built) -> Reference:
        """Return the image that a source describes, built if its destination has none of the same inputs.

        Raises BundlepipeError.
        """
        from bundlepipe.documents.image_builders import BuildxBuild, DockerBuild
        from bundlepipe.verbs.kbld_builders import build_source

        source = replace(built.source, path=normalise(built.source.path, self._directory))
        described: Values = {_PATH: source.path}
        if isinstance(source.builder, DockerBuild | BuildxBuild):
            described[_DOCKERFILE] = source.builder.file
        # Taken before, so that what is edited meanwhile is stale.
        before = sources_now([described], {})
        image = build_source(source, built.destination, self._settings.homes, emit=self._emit)
        with self._lock:
            self.sources.append(described)
            self.snapshot.update(before)
        return image


def sources_now(sources: Sequence[Values], before: Snapshot) -> Snapshot:
    """Return the state of everything that some sources are built of; InputError if it cannot be read."""
    now: Snapshot = {}
    for source in sources:
        if _DOCKERFILE in source:
            now.update(BuildContext(source[_PATH], source[_DOCKERFILE]).snapshot(before))
        else:
            now.update(files_among([source[_PATH]], before))
    return now
