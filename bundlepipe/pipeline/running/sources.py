"""Convert a declared source of a copy or pull to a location, when its task runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeGuard

from doit.task import Task

from bundlepipe.errors import BundlepipeError, NotFound, Unreachable
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.files import read_document
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.model import Copy, CopySource, LockSource, Pull, Source
from bundlepipe.pipeline.declared.paths import archives_in
from bundlepipe.pipeline.reasons import REFRESH_ALWAYS, REFRESH_REQUESTED, Reason
from bundlepipe.pipeline.records.groups import GROUP_OF
from bundlepipe.pipeline.records.state import read_copied, read_digest
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.staleness import OPTIONS, Staleness, Values
from bundlepipe.stores.location import (
    ENGINE_PREFIX,
    LAYOUT_PREFIX,
    ArchiveLocation,
    EngineLocation,
    LayoutLocation,
    Location,
    parse_location,
)

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock

STAMPS = "stamps"
IMAGE_ID = "imageID"

Stamps = dict[str, list[int]]


def described(source: Source) -> str:
    """Return a source as the documentation of a task names it."""
    if isinstance(source, str):
        return source
    return f"what {source.path} names" if isinstance(source, LockSource) else f"{source.kind} {source.name}"


def is_remote(source: Source) -> TypeGuard[str]:
    """Return whether a source is a reference, whose tag may move in a registry."""
    return isinstance(source, str) and isinstance(parse_location(source), Reference)


def location_of(source: Source, settings: Settings) -> Location:
    """Return the current location of a source with one image, in the pipeline with these settings.

    Raises BundlepipeError if the task that makes it has not run yet, DocumentError for a faulty
    lock and for one that names several images.
    """
    if isinstance(source, str):
        return parse_location(source)
    if isinstance(source, LockSource):
        from bundlepipe.documents.imgpkg.bundle_lock import BundleLock

        return BundleLock.parse(read_document(source.path), source.path).image
    if isinstance(source, CopySource):
        locations = read_copied(settings.record(source.name))
        if len(locations) == 1:
            return locations[0]
        raise BundlepipeError(
            f"copy '{source.name}' copied {len(locations)} images: name one of them instead, or a bundle of them"
        )
    return read_digest(source.kind, settings.record(source.name))


def copied_from(source: Source, settings: Settings) -> Location | BundleLock | ImagesLock:
    """Return the source of a copy: one image, a tar file with all its images, or a lock.

    Raises BundlepipeError if the task that makes it has not run yet, DocumentError for a faulty
    lock.
    """
    if isinstance(source, LockSource):
        return read_lock_file(source.path)
    if isinstance(source, CopySource):
        images = read_copied(settings.record(source.name))
        if len(images) > 1 and (references := [image for image in images if isinstance(image, Reference)]):
            from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock

            return ImagesLock(tuple(ImageRef(reference, {KBLD_ID: str(reference)}) for reference in references))
    return location_of(source, settings)


def read_lock_file(path: str) -> BundleLock | ImagesLock:
    """Return the lock in a file; InputError if it cannot be read, DocumentError if it is faulty."""
    from bundlepipe.documents.imgpkg.any_lock import parse_lock

    return parse_lock(read_document(path), path)


def paths_read(source: Source) -> list[str]:
    """Return the local paths that a source consists of or is named by."""
    if isinstance(source, LockSource):
        return [source.path]
    if not isinstance(source, str):
        return []
    location = parse_location(source)
    if isinstance(location, LayoutLocation):
        return [location.directory]
    return [location.path] if isinstance(location, ArchiveLocation) else []


def stamps(paths: Sequence[str]) -> Stamps:
    """Return stamps that show whether a tar file changed, without reading gigabytes of it."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(anchored(path))
            found[path] = [status.st_size, status.st_mtime_ns]
    return found


def image_id(source: Source) -> str | None:
    """Return the image ID of a source in the Docker Engine, None for another source; StoreError if it has none now."""
    if not isinstance(source, str) or not source.startswith(ENGINE_PREFIX):
        return None
    from bundlepipe.stores.engine.store import EngineStore

    location = parse_location(source)
    assert isinstance(location, EngineLocation)
    return EngineStore(location).image_id


class SourceStaleness(Staleness):
    """Staleness of a task with a source.

    A local source is checked, but a missing one does not make the task stale, since a disk may have
    been unplugged; the tag of a remote one is looked up again only on request. `archives` are the
    tar files that the task uses.
    """

    def __init__(
        self, thing: Copy | Pull, options: Values, settings: Settings, archives: Sequence[str] | None = None
    ) -> None:
        super().__init__(options)
        self._thing = thing
        self._settings = settings
        self._archives = archives_in([str(thing.source)]) if archives is None else archives

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Compare as all tasks do, and check a local source; a refresh looks up the source's tag again."""
        reasons = super().reasons(task, values)
        if OPTIONS in values:
            reasons += [*self._changed_archives(values), *self._changed_layout(values), *self._changed_image(values)]
        return list(dict.fromkeys([*self.refresh_reasons(), *reasons]))

    @property
    def archives_read(self) -> Sequence[str]:
        """The tar files that the task uses."""
        return self._archives

    def adopted_values(self, values: Values) -> Values:
        """Return the values with the stamps that tar files have here."""
        return {**super().adopted_values(values), STAMPS: stamps(self._archives)}

    def resolve_source(self) -> None:
        """Resolve the tag of a remote source, for a plan that is to be carried out with it; StoreError if it cannot."""
        source = self._thing.source
        if is_remote(source):
            self._settings.stores.locate(parse_location(source))

    def refresh_reasons(self) -> list[Reason]:
        """Return why the source's tag is to be looked up again, regardless of other reasons."""
        source = self._thing.source
        if not is_remote(source):
            return []
        if self._thing.refresh == "always":
            return [REFRESH_ALWAYS]
        task = f"{GROUP_OF[self._thing.kind]}:{self._thing.name}"
        asked = self._settings.refreshes(self._thing.name, task, source)
        return [REFRESH_REQUESTED] if asked else []

    def _changed_archives(self, values: Values) -> Iterator[Reason]:
        before, now = values.get(STAMPS, {}), stamps(self._archives)
        yield from (_changed(path) for path in now if path in before and before[path] != now[path])

    def _changed_layout(self, values: Values) -> list[Reason]:
        source = self._thing.source
        if not isinstance(source, str) or not source.startswith(LAYOUT_PREFIX):
            return []
        try:
            _, manifest = self._settings.stores.locate(parse_location(source))
        except NotFound:
            return []
        return [] if manifest.digest == values["digest"] else [_changed(source)]

    def _changed_image(self, values: Values) -> list[Reason]:
        try:
            now = image_id(self._thing.source)
        except (NotFound, Unreachable):
            return []
        return [] if now in (None, values.get(IMAGE_ID)) else [_changed(str(self._thing.source))]


def _changed(source: str) -> Reason:
    return Reason("sourceChanged", source, f"{source} changed")
