"""Build the sources of kbld's configuration while a lock is made, and track their inputs."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bundlepipe.errors import BundlepipeError
from bundlepipe.events import OutputLine
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.files import locked
from bundlepipe.filesystem.overlay import Overlay, Unforeseen, active_overlay
from bundlepipe.filesystem.snapshots import Snapshot
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.contexts import by_directory, faults
from bundlepipe.pipeline.declared.destinations import kept_by_runs
from bundlepipe.pipeline.declared.paths import normalise
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.records.read_files import files_among
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.pipeline.running.destination_lookups import DestinationLookup, look_up
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.staleness import Values, fingerprint
from bundlepipe.pipeline.tasks.push import mismatch

if TYPE_CHECKING:
    from bundlepipe.documents.kbld.config import ImageSource
    from bundlepipe.events import Emit, Event
    from bundlepipe.pipeline.declared.model import Bundle, Lock
    from bundlepipe.verbs.images.resolver import FromSource

_PATH = "path"
_DOCKERFILE = "dockerfile"
_IMAGE = "image"
_LOCKS = os.path.join(STATE_DIRECTORY, "locks")


def directories_of_sources(sources: Sequence[Values]) -> list[str]:
    """Return the directories that were built, from the values that `SourceBuilder` has of them."""
    return [str(source[_PATH]) for source in sources]


class SourceBuilder:
    """Builds for the lock of one bundle. May be used by several threads at once.

    `lock_path` is the resulting images.yml, which no source may depend on.
    """

    def __init__(self, bundle: Bundle, lock: Lock, lock_path: str, settings: Settings, emit: Emit) -> None:
        self._name = bundle.name
        self._directory = lock.directory
        self._written = by_directory([*kept_by_runs(settings.registries), os.path.dirname(lock_path)])
        self._settings = settings
        self._emit = emit
        self._lock = threading.Lock()
        self.sources: list[Values] = []
        self.snapshot: Snapshot = {}

    def build(self, built: FromSource) -> Reference:
        """Return the image of a source, built unless its destination has one of the same inputs.

        Raises BundlepipeError.
        """
        from bundlepipe.verbs.building.kbld_sources import build_source

        source = replace(built.source, path=normalise(built.source.path, self._directory))
        described = self._described(source)
        if overlay := active_overlay():
            if not overlay.stands_in:
                raise Unforeseen(f"what is built of {built.source.path} is known when it is built")
            return self._stand_in(built, described, overlay)
        # Locks with the same image run one at a time, in any thread, process or run: builds are not reproducible,
        # and the second one finds the image of the first.
        key = fingerprint([source.path, repr(source.builder), built.destination and built.destination.new_image])
        os.makedirs(anchored(os.path.join(_LOCKS, key)), exist_ok=True)
        with locked(os.path.join(_LOCKS, key)):
            # Taken before the build, so that edits during it are stale.
            before = sources_now([described], {})
            image = build_source(
                source,
                built.destination,
                self._settings.stores,
                rebuild=self._settings.refreshes_by_name(built.name, self._name, f"lock_bundle:{self._name}"),
                emit=partial(self._tell, built.name),
            )
        with self._lock:
            self.sources.append({**described, _IMAGE: str(image)})
            self.snapshot.update(before)
        return image

    def _stand_in(self, built: FromSource, described: Values, overlay: Overlay) -> Reference:
        overlay.stood_in += 1
        files = {path: (state.mode, state.sha256) for path, state in sources_now([described], {}).items()}
        digest = Digest.of(fingerprint([repr(built.source.builder), sorted(files.items())]).encode())
        image = built.destination.new_image if built.destination else "stand-in.localhost/image"
        return Reference.parse(image).with_digest(digest)

    def _tell(self, image: str, event: Event) -> None:
        """Report the image along with each event: several may be built at once."""
        self._emit(OutputLine(f"{image}: {event.text}") if isinstance(event, OutputLine) else event)

    def _described(self, source: ImageSource) -> Values:
        """Return the content of a source as values hold it; BundlepipeError if runs would change it."""
        from bundlepipe.documents.kbld.builders import BuildxBuild, DockerBuild

        if not isinstance(source.builder, DockerBuild | BuildxBuild):
            return {_PATH: source.path}
        problem = next(faults(BuildContext(source.path, source.builder.file), self._written), None)
        if problem:
            raise BundlepipeError(f"{source.where}: {problem}")
        return {_PATH: source.path, _DOCKERFILE: source.builder.file}


def missing_images(sources: Sequence[Values], settings: Settings) -> list[Reason]:
    """Describe the images built from sources that no longer exist: one request each."""
    images = [Reference.parse(source[_IMAGE]) for source in sources]
    return [
        why
        for image in images
        for why in mismatch(look_up(DestinationLookup(image, settings)), str(image.digest), image)
    ]


def sources_now(sources: Sequence[Values], before: Snapshot) -> Snapshot:
    """Return the state of all files that some sources are built from; InputError for unreadable ones."""
    now: Snapshot = {}
    for source in sources:
        if _DOCKERFILE in source:
            now.update(BuildContext(source[_PATH], source[_DOCKERFILE]).snapshot(before))
        else:
            now.update(files_among([source[_PATH]], before))
    return now
