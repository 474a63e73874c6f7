"""copy_bundle."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from doit.task import Task

from bundlepipe.errors import BundlepipeError, NotFound
from bundlepipe.files import write_if_changed
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.inputs import Snapshot, file_snapshot
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.action import SUMMARY, UNCHANGED, Action, short
from bundlepipe.pipeline.declaration import Copy, LockSource
from bundlepipe.pipeline.paths import archives_in
from bundlepipe.pipeline.progress import emitter, human_size
from bundlepipe.pipeline.push_task import mismatch, placed
from bundlepipe.pipeline.remote import Question, ask
from bundlepipe.pipeline.settings import Settings
from bundlepipe.pipeline.sources import (
    FRESH,
    STAMPS,
    SourceStaleness,
    location_of,
    read_lock_file,
    source_text,
    stamps,
)
from bundlepipe.pipeline.staleness import FILES, OPTIONS, Values, to_values
from bundlepipe.pipeline.state import write_digest
from bundlepipe.stores.location import ARCHIVE_PREFIX, ArchiveLocation, LayoutLocation, Location, parse_location

if TYPE_CHECKING:
    from bundlepipe.verbs.copy import Copied, CopyRequest, Excluded

KIND = "copy"


def options_of(copy: Copy, settings: Settings) -> Values:
    """Return everything but digests that decides what is copied where."""
    return {
        "from": source_text(copy.source),
        "to": _placed(copy.to, settings),
        "tags": list(copy.tags),
        "lockOutput": copy.lock_output,
        "includeNonDistributableLayers": copy.include_non_distributable_layers,
        "cosignSignatures": copy.cosign_signatures,
        "referrers": copy.referrers,
        "repoBasedTags": copy.repo_based_tags,
        "exclude": list(copy.exclude),
    }


def _placed(to: str, settings: Settings) -> str:
    location = parse_location(to)
    return placed(location, settings) if isinstance(location, Reference) else to


def _locks_read(copy: Copy) -> list[str]:
    source = [copy.source.path] if isinstance(copy.source, LockSource) else []
    return [*source, *(item for item in copy.exclude if not item.startswith(ARCHIVE_PREFIX))]


def _archives_read(copy: Copy) -> list[str]:
    return archives_in([source_text(copy.source), *copy.exclude])


class CopyStaleness(SourceStaleness):
    """A copy is stale by its source's digest, by its locks and tars, and under `verify=registry` by its destination."""

    def __init__(self, copy: Copy, settings: Settings) -> None:
        archives = [*_archives_read(copy), *archives_in([copy.to])]
        super().__init__(copy, options_of(copy, settings), settings, archives)
        self._copy = copy

    def reasons(self, task: Task, values: Values) -> list[str]:
        """Compare as all tasks do; then look at a destination that is at hand, or is to be verified."""
        return super().reasons(task, values) or self._missing(values)

    def files_now(self, before: Snapshot) -> Snapshot:
        """Look at the locks that say what is copied, and what is left out."""
        return file_snapshot(_locks_read(self._copy), before)

    def _missing(self, values: Values) -> list[str]:
        destination = parse_location(self._copy.to)
        if isinstance(destination, ArchiveLocation):
            return []
        if isinstance(destination, LayoutLocation):
            return [] if _layout_has(destination, values["tag"], values["digest"]) else [f"{destination} is not there"]
        if not self._settings.verify:
            return []
        tag = values["tag"]
        asked = destination.repository.tagged(tag) if tag else Reference.parse(values["image"])
        return mismatch(ask(Question(asked, self._settings)), values["digest"], asked)


def _layout_has(destination: LayoutLocation, tag: str | None, digest: str) -> bool:
    from bundlepipe.stores.layout import LayoutStore

    layout = LayoutStore(destination.directory)
    try:
        return layout.resolve(tag) == digest if tag else layout.has_manifest(Digest.parse(digest))
    except NotFound:
        return False


class CopyAction(Action):
    """Copies, records the digest, writes the lock.

    `source_tag` is the tag of a source that is given by digest: what a push or another
    copy of this pipeline called it, or the lock file that says so.
    """

    def __init__(self, copy: Copy, source_tag: str | LockSource | None, settings: Settings) -> None:
        super().__init__()
        self._copy = copy
        self._source_tag = source_tag
        self._settings = settings

    def work(self) -> Values:
        """Make the destination have everything that the source stands for."""
        from bundlepipe.verbs.copy import copy

        declared, homes = self._copy, self._settings.homes
        fresh: Values | None = (self.task.meta or {}).get(FRESH)
        if fresh and homes.locate(location_of(declared.source))[1].digest == fresh["digest"]:
            return {**fresh, UNCHANGED: True, SUMMARY: f"{declared.to} unchanged, {short(fresh['digest'])}"}
        locks = file_snapshot(_locks_read(declared), {})
        read = stamps(_archives_read(declared))
        started = time.monotonic()
        copied = copy(self._request(), homes, emit=emitter(self.task.name))
        seconds = time.monotonic() - started
        if declared.lock_output:
            self._write_lock(declared.lock_output, copied)
        made = [str(root.image) if root.image else f"{declared.to}@{root.digest}" for root in copied.roots]
        write_digest(KIND, declared.name, "\n".join(made))
        return {
            "digest": ",".join(root.digest for root in copied.roots),
            "image": ",".join(made),
            "tag": copied.roots[0].tag if len(copied.roots) == 1 else None,
            UNCHANGED: not copied.changed,
            SUMMARY: _summary(declared, copied, seconds),
            OPTIONS: options_of(declared, self._settings),
            FILES: to_values(locks),
            STAMPS: {**read, **stamps(archives_in([declared.to]))},
        }

    def _request(self) -> CopyRequest:
        from bundlepipe.verbs.copy import CopyRequest

        declared, to = self._copy, parse_location(self._copy.to)
        source = declared.source
        return CopyRequest(
            source=read_lock_file(source.path) if isinstance(source, LockSource) else location_of(source),
            destination=to.repository if isinstance(to, Reference) else to,
            tag=_tag_of(to) or self._known_tag(),
            tags=declared.tags,
            include_non_distributable=declared.include_non_distributable_layers,
            cosign=declared.cosign_signatures,
            referrers=declared.referrers,
            repo_based_tags=declared.repo_based_tags,
            resume=declared.resume,
            exclude=[_excluded(item) for item in declared.exclude],
        )

    def _known_tag(self) -> str | None:
        if not isinstance(self._source_tag, LockSource):
            return self._source_tag
        return getattr(read_lock_file(self._source_tag.path), "tag", None)

    def _write_lock(self, path: str, copied: Copied) -> None:
        if copied.lock is None:
            raise BundlepipeError(f"{path}: {len(copied.roots)} bundles were copied, and a lock names one: copy each")
        write_if_changed(path, copied.lock.to_bytes())


def _tag_of(to: Location) -> str | None:
    return None if isinstance(to, ArchiveLocation) else to.tag


def _excluded(item: str) -> Excluded:
    if item.startswith(ARCHIVE_PREFIX):
        return ArchiveLocation(item.removeprefix(ARCHIVE_PREFIX))
    return read_lock_file(item)


def _summary(declared: Copy, copied: Copied, seconds: float) -> str:
    root = short(copied.roots[0].digest) if len(copied.roots) == 1 else f"{len(copied.roots)} roots"
    images = f"{copied.images} image{'' if copied.images == 1 else 's'}"
    blobs = f"{copied.uploaded} blobs uploaded, {copied.mounted} mounted, {copied.present} already there"
    left_out = sum(map(len, copied.skipped.values()))
    skipped = f", {left_out} non-distributable left out" if left_out else ""
    return f"{declared.to} {root}: {images}, {blobs}{skipped}, {human_size(copied.size)} in {seconds:.1f} s"


def remove_archive(task_name: str, path: str, dryrun: bool) -> None:
    """Remove the tar of a copy, and what an interrupted copy left of it: what `doit clean` does."""
    directory, name = os.path.split(path)
    for found in (path, *(os.path.join(directory, f".{name}.{kind}") for kind in ("partial", "previous"))):
        if os.path.lexists(found):
            print(f"{task_name} - removing file '{found}'")
            if not dryrun:
                os.remove(found)
