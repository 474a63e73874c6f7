"""copy_bundle: copy a bundle, image or lock."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from doit.task import Task
from msgspec.structs import replace

from bundlepipe.errors import BundlepipeError, LayersMissing, NotFound
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.dangerous import refuse_repository
from bundlepipe.filesystem.overlay import active_overlay
from bundlepipe.filesystem.snapshots import Snapshot, file_snapshot
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.destinations import layouts_written, outputs_of, tag_of_push
from bundlepipe.pipeline.declared.model import Copy, CopySource, LockSource
from bundlepipe.pipeline.declared.paths import archives_in
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.records.state import (
    digest_file,
    forget_output,
    made_output,
    read_tag,
    record_output,
    tag_file,
    write_digest,
    write_tag,
)
from bundlepipe.pipeline.running.action import SUMMARY, UNCHANGED, Action, handed_on
from bundlepipe.pipeline.running.clean import Clean, forgetting, remove_file
from bundlepipe.pipeline.running.destination_lookups import LOOKUP_RESULT, DestinationLookup, look_up
from bundlepipe.pipeline.running.ordering import order_advice, place_of, unordered_beside
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.sources import (
    IMAGE_ID,
    STAMPS,
    SourceStaleness,
    copied_from,
    described,
    image_id,
    paths_read,
    read_lock_file,
    stamps,
)
from bundlepipe.pipeline.running.spec import PipelineContext, TaskSpec
from bundlepipe.pipeline.running.staleness import FILES, OPTIONS, Values, options_of, to_values
from bundlepipe.pipeline.tasks.push import is_another, mismatch, not_there, placed, result_for
from bundlepipe.progress.display import emitter
from bundlepipe.progress.phrases import human_size, short
from bundlepipe.stores.location import (
    ARCHIVE_PREFIX,
    ArchiveLocation,
    EngineLocation,
    LayoutLocation,
    Location,
    parse_location,
)

if TYPE_CHECKING:
    from bundlepipe.verbs.copying.request import Copied, CopyRequest, Excluded
    from bundlepipe.verbs.outputs.replacing import FileOutput


def spec(copy: Copy, context: PipelineContext) -> TaskSpec:
    """Return the task that copies."""
    settings = context.settings
    task_name, record = settings.task("copy_bundle", copy.name), settings.record(copy.name)
    records = [digest_file(Copy.kind, record), tag_file(record)]
    source_tag = tag_of_push(copy.source, context.pushed)
    excluded = [item.removeprefix(ARCHIVE_PREFIX) for item in copy.exclude]
    return TaskSpec(
        group="copy_bundle",
        name=copy.name,
        action=CopyAction(copy, source_tag, settings, context.copies_of_tars.get(place_of(copy), ())),
        uptodate=CopyStaleness(copy, source_tag, settings),
        doc=f"copy {described(copy.source)} to {copy.to}",
        records=records,
        targets=outputs_of(copy),
        clean=[
            *(forgetting(path) for path in records),
            Clean(remove_archives, task_name=task_name, copy=copy, record=record),
        ],
        reads=[([*paths_read(copy.source), *excluded], ())],
        source=copy.source,
        puts=copy.to,
        file_dep=[tag_file(settings.record(copy.source.name))] if isinstance(copy.source, CopySource) else [],
        after=copy.after,
    )


def _options(copy: Copy, source_tag: str | None, settings: Settings) -> Values:
    """Return all options besides digests that decide what is copied where; `source_tag` is a push's tag."""
    tag = _tag_of(parse_location(copy.to)) or source_tag
    return {**options_of(copy), "to": _placed(copy.to, settings), "tag": tag}


def _placed(to: str, settings: Settings) -> str:
    location = parse_location(to)
    return placed(location, settings) if isinstance(location, Reference) else to


def locks_read(copy: Copy) -> list[str]:
    """Return the lock files that a copy reads, and those that its tar file excludes."""
    source = [copy.source.path] if isinstance(copy.source, LockSource) else []
    return [*source, *(item for item in copy.exclude if not item.startswith(ARCHIVE_PREFIX))]


def _archives_read(copy: Copy) -> list[str]:
    return archives_in([str(copy.source), *copy.exclude])


class CopyStaleness(SourceStaleness):
    """Stale if its source's digest, its locks or tar files changed, and with `verify=registry` its destination."""

    compared = "the source of the copy, its locks and tars, its destination and other options"

    def __init__(self, copy: Copy, source_tag: str | None, settings: Settings) -> None:
        archives = [*_archives_read(copy), *archives_in([copy.to])]
        super().__init__(copy, _options(copy, source_tag, settings), settings, archives)
        self._copy = copy

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Compare as all tasks do; then check a local destination, or one that is to be verified."""
        return super().reasons(task, values) or self._missing(task, values)

    def inputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of the locks that the copy reads, and excludes."""
        return file_snapshot(locks_read(self._copy), before)

    def _missing(self, task: Task, values: Values) -> list[Reason]:
        destination = parse_location(self._copy.to)
        if isinstance(destination, ArchiveLocation):
            return []
        digests = list(filter(None, values["digest"].split(",")))
        tags = [*filter(None, [values.get("tag")]), *self._copy.tags]
        if isinstance(destination, LayoutLocation):
            is_there = _layout_has(destination, tags, digests)
            return [] if is_there else [not_there(destination)]
        if isinstance(destination, EngineLocation):
            return _misnamed(destination, tags, digests[0])
        return self.reasons_of_destination(task, values) if self._settings.verify else []

    def reasons_of_destination(self, task: Task, values: Values) -> list[Reason]:
        """Look up the tags of a repository that was copied to, or the images if it has none."""
        destination = parse_location(self._copy.to)
        if not isinstance(destination, Reference):
            return []
        digests = list(filter(None, values["digest"].split(",")))
        tags = [*filter(None, [values.get("tag")]), *self._copy.tags]
        asked = [(digests[0], destination.repository.tagged(tag)) for tag in tags]
        asked = asked or [(digest, destination.repository.at(Digest(digest))) for digest in digests]
        reasons: list[Reason] = []
        for digest, place in asked:
            result = look_up(DestinationLookup(place, self._settings))
            reasons += mismatch(result, digest, place)
            if result.problem:
                task.meta[LOOKUP_RESULT] = result
                break
        return reasons


def _layout_has(location: LayoutLocation, tags: Sequence[str], digests: Sequence[str]) -> bool:
    from bundlepipe.stores.layout.store import LayoutStore

    layout = LayoutStore(location.directory)
    try:
        return all(layout.has_manifest(Digest(digest)) for digest in digests) and all(
            layout.resolve(tag) == digests[0] for tag in tags
        )
    except NotFound:
        return False


def _misnamed(location: EngineLocation, tags: Sequence[str], copied: str) -> list[Reason]:
    """Return the reason if a name in the Docker Engine is not that of the copied image."""
    from bundlepipe.stores.engine.store import find_image

    named = {str(name): find_image(name) for name in map(location.tagged, tags)}
    return [is_another(name) if image else not_there(name) for name, image in named.items() if image != copied]


class CopyAction(Action):
    """Copies, records the digest and the tag, writes the lock.

    `source_tag` is the tag that a push of this pipeline gives the source, which is copied by
    digest; `of_tars` are the copies of tar files that go to the same place.
    """

    def __init__(self, copy: Copy, source_tag: str | None, settings: Settings, of_tars: Sequence[Copy] = ()) -> None:
        super().__init__()
        self._copy = copy
        self._of_tars = of_tars
        self._source_tag = source_tag
        self._settings = settings

    @property
    def is_foreseen(self) -> bool:
        """Whether it copies to a repository."""
        return isinstance(parse_location(self._copy.to), Reference)

    def stand_in(self, digest: Digest) -> None:
        """Record a stand-in of the copied image, and write those of the other outputs."""
        declared, record = self._copy, self._settings.record(self._copy.name)
        location = parse_location(declared.to)
        made = str(location.with_digest(digest)) if isinstance(location, Reference) else f"{declared.to}@{digest}"
        write_digest(declared.kind, record, made)
        if declared.kind == Copy.kind:
            write_tag(record, None)
        if not archives_in([declared.to]):
            super().stand_in(digest)

    def work(self) -> Values:
        """Copy everything that the source stands for to the destination."""
        from bundlepipe.pipeline.running.replacing import lock_output, tar_files
        from bundlepipe.verbs.copying.copy import copy
        from bundlepipe.verbs.outputs.replacing import check_all

        declared, stores = self._copy, self._settings.stores
        archives, record = archives_in([declared.to]), self._settings.record(declared.name)
        lock = lock_output(declared, declared.lock_output, self._settings) if declared.lock_output else None
        files = [file for path in archives for file in tar_files(declared, path, self._settings)]
        check_all([*files, lock] if lock else files)
        for directory in layouts_written(declared):
            refuse_repository(directory)
        result_for(self.task)  # which fails if the destination could not be asked
        locks = file_snapshot(locks_read(declared), {})
        read = stamps(_archives_read(declared))
        image = image_id(declared.source)
        started = time.monotonic()
        try:
            copied = copy(self._request(), stores, about_to=partial(check_all, files[:1]), emit=emitter(self.task.name))
        except LayersMissing as error:
            advice = order_advice(self._copy, unordered_beside(self._copy, self._of_tars))
            raise LayersMissing(f"{error}{advice}") from error
        seconds = None if active_overlay() else time.monotonic() - started
        if lock:
            _write_lock(lock, copied)
        made = [str(root.image) if root.image else f"{declared.to}@{root.digest}" for root in copied.roots]
        for path in archives:
            record_output(Copy.kind, record, path)
        tag = copied.roots[0].tag if len(copied.roots) == 1 else None
        if declared.kind == Copy.kind:
            write_tag(record, tag)
        elif len(made) != 1:
            raise BundlepipeError(
                f"{declared.source}: holds {len(made)} images, expected one: copy them, or name another"
            )
        write_digest(declared.kind, record, "\n".join(made))
        return {
            "digest": ",".join(root.digest for root in copied.roots),
            "image": ",".join(made),
            "tag": tag,
            UNCHANGED: not copied.changed,
            SUMMARY: _summary(declared, copied, seconds),
            OPTIONS: _options(declared, self._source_tag, self._settings),
            FILES: to_values(locks),
            STAMPS: {**read, **stamps(archives)},
            IMAGE_ID: image,
        }

    def adopt(self) -> None:
        """Record a tar file as that of this copy."""
        for path in archives_in([self._copy.to]):
            record_output(Copy.kind, self._settings.record(self._copy.name), path)

    def _request(self) -> CopyRequest:
        from bundlepipe.verbs.copying.request import CopyRequest

        declared, to = self._copy, parse_location(self._copy.to)
        source = copied_from(declared.source, self._settings)
        # A tar file includes the tags of its images.
        tag = None if isinstance(source, ArchiveLocation) else self._known_tag()
        return CopyRequest(
            source=source,
            destination=to.repository if isinstance(to, Reference) else to,
            tag=_tag_of(to) or tag,
            include_non_distributable=declared.include_non_distributable_layers,
            cosign=declared.cosign_signatures,
            exclude=[_excluded(item) for item in declared.exclude],
            foretold=self.foretold,
            **handed_on(declared, CopyRequest, but=("source", "exclude")),
        )

    def _known_tag(self) -> str | None:
        source = self._copy.source
        return read_tag(self._settings.record(source.name)) if isinstance(source, CopySource) else self._source_tag


def _write_lock(output: FileOutput, copied: Copied) -> None:
    if copied.lock is None:
        count = len(copied.roots)
        raise BundlepipeError(f"{output.path}: {count} bundles were copied, and a lock names one: copy each")
    from bundlepipe.verbs.outputs.kinds import kind_of

    replace(output, kinds=[kind_of(copied.lock)]).write(copied.lock.to_bytes())


def _tag_of(to: Location) -> str | None:
    return None if isinstance(to, ArchiveLocation) else to.tag


def _excluded(item: str) -> Excluded:
    if item.startswith(ARCHIVE_PREFIX):
        return ArchiveLocation(item.removeprefix(ARCHIVE_PREFIX))
    return read_lock_file(item)


def _summary(declared: Copy, copied: Copied, seconds: float | None) -> str:
    root = short(copied.roots[0].digest) if len(copied.roots) == 1 else f"{len(copied.roots)} roots"
    images = f"{copied.images} image{'' if copied.images == 1 else 's'}"
    uploaded = f"{copied.uploaded} blob{'' if copied.uploaded == 1 else 's'} uploaded"
    blobs = f"{uploaded}, {copied.mounted} mounted, {copied.present} already there"
    # A plan takes another time than the run.
    taken = "" if seconds is None else f" in {seconds:.1f} s"
    left_out = sum(map(len, copied.skipped.values()))
    skipped = f", {left_out} non-distributable left out" if left_out else ""
    return f"{declared.to} {root}: {images}, {blobs}{skipped}, {human_size(copied.size)}{taken}"


def remove_archives(task_name: str, copy: Copy, record: str, dryrun: bool) -> None:
    """Remove a copy's tar file, and its partial file: what `doit clean` does."""
    from bundlepipe.verbs.outputs.kinds import COPIED_TAR, PARTIAL_TAR

    for path in archives_in([copy.to]):
        directory, name = os.path.split(path)
        beside = [os.path.join(directory, f".{name}.{kind}") for kind in ("partial", "previous")]
        found = [file for file in beside if os.path.lexists(anchored(file)) and PARTIAL_TAR.matches(anchored(file))]
        if made_output(Copy.kind, record, path) and COPIED_TAR.matches(path):
            found.append(path)
        elif os.path.lexists(anchored(path)):
            print(f"{task_name} - not removing '{path}', which was not made by this copy")
        there = [file for file in found if os.path.lexists(anchored(file))]
        gone = [remove_file(task_name, file, dryrun=dryrun) for file in there]
        if all(gone) and not dryrun:
            forget_output(Copy.kind, record)
