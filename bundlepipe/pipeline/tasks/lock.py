"""lock_bundle: maintain the images.yml of a bundle."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from doit.task import Task

from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.files import write_if_changed
from bundlepipe.filesystem.snapshots import Snapshot, file_snapshot
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.model import (
    Bundle,
    Lock,
    MadeHere,
    Program,
    images_lock_path,
    programs_searched,
    search_exclude,
    searched_paths,
)
from bundlepipe.pipeline.declared.paths import is_excluded
from bundlepipe.pipeline.reasons import REFRESH_ALWAYS, REFRESH_REQUESTED, Reason
from bundlepipe.pipeline.records.groups import is_task
from bundlepipe.pipeline.records.read_files import files_among
from bundlepipe.pipeline.records.state import digest_file, read_digest
from bundlepipe.pipeline.running.action import SUMMARY, UNCHANGED, Action
from bundlepipe.pipeline.running.edges import is_bundles_own
from bundlepipe.pipeline.running.programs import files_of_programs, options_of_files, text_printed
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.spec import PipelineContext, Read, TaskSpec
from bundlepipe.pipeline.running.staleness import FILES, OPTIONS, Staleness, Values, options_of, to_values
from bundlepipe.pipeline.tasks.lock_file import Entries, LockFileResults, begin, changes, from_list, to_list
from bundlepipe.pipeline.tasks.source_builds import SourceBuilder, missing_images, sources_now
from bundlepipe.progress.display import emitter

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock
    from bundlepipe.events import Emit
    from bundlepipe.verbs.images.lock import LockRequest

SOURCES = "sources"
ENTRIES = "entries"
RUN = "run"
# In `task.meta`, which is sent to workers: entries that other locks refresh in this run, in their old
# state.
_AGAIN = "again"
# The private task that finds the images made here which a lock names.
NAME_SEARCH = "_named_images"


def spec(bundle: Bundle, lock: Lock, context: PipelineContext) -> TaskSpec:
    """Return the task that maintains the images.yml of a bundle."""
    settings = context.settings
    # Computed once: a path that does not exist yet may be a directory or a file when the lock runs.
    lock_path = images_lock_path(bundle)
    return TaskSpec(
        group="lock_bundle",
        name=bundle.name,
        action=LockAction(bundle, lock, lock_path, context.made_here, settings, context.images_locks),
        uptodate=LockStaleness(bundle, lock, lock_path, settings, context.refreshed_locks),
        doc=f"lock the images of bundle {bundle.name}",
        targets=[lock_path],
        reads=reads_of_lock(bundle, lock),
        needs=[item for item in lock.include if not isinstance(item, str)],
        calc_dep=[settings.task(NAME_SEARCH, bundle.name)],
        after=bundle.after,
    )


def reads_of_lock(bundle: Bundle, lock: Lock) -> list[Read]:
    """Return the paths that a lock reads."""
    return [
        (searched_paths(bundle), partial(_is_not_searched, search_exclude(bundle))),
        (lock.config, ()),
        (files_of_programs(lock.files or ()), is_bundles_own),
    ]


def _is_not_searched(exclude: Sequence[str], name: str) -> bool:
    return is_bundles_own(name) or is_excluded(name, exclude)


def lock_options(bundle: Bundle) -> Values:
    """Return all options besides files and digests that decide the content of the lock."""
    assert bundle.lock
    searched: list[str | Program] = [*searched_paths(bundle), *programs_searched(bundle)]
    return {**options_of(bundle.lock), **options_of_files(searched), "exclude": list(search_exclude(bundle))}


def _all_options(bundle: Bundle, settings: Settings) -> Values:
    return {**lock_options(bundle), "lockFile": settings.lock_file}


def searched_now(bundle: Bundle, lock: Lock, before: Snapshot) -> Snapshot:
    """Return the state of searched files, of kbld's configuration, and of files that programs read."""
    from bundlepipe.documents.search.paths import searched_files

    files = searched_files(searched_paths(bundle), search_exclude(bundle))
    now = file_snapshot([*files, *lock.config], before)
    for program in programs_searched(bundle):
        now.update(files_among(program.files, before))
    return now


class LockStaleness(Staleness):
    """Stale if files it searches and builds, or images.yml itself, changed, and when a refresh is requested.

    With a lock file, also if those of its entries changed that it used, and by a refresh of one of the
    `refreshed` locks that used one of them: any lock may come first, and all get the new digest.
    """

    compared = "the searched files, what is built of them, images.yml and the options of the lock"

    def __init__(
        self, bundle: Bundle, lock: Lock, lock_path: str, settings: Settings, refreshed: Collection[str]
    ) -> None:
        super().__init__(_all_options(bundle, settings))
        self._refreshed = refreshed
        self._bundle = bundle
        self._lock = lock
        self._lock_path = lock_path
        self._settings = settings
        self._sources: list[Values] = []

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Compare as all tasks do; a refresh always runs. Built images are looked up if requested."""
        # The images are in files that are compared as well.
        self._sources = values.get(SOURCES, [])
        reasons = [*_refresh_reasons(self._bundle, self._lock, self._settings), *self._refreshed_reasons(task, values)]
        reasons += self._moved(values)
        reasons += super().reasons(task, values)
        return reasons if reasons or not self._settings.verify else missing_images(self._sources, self._settings)

    def _refreshed_reasons(self, task: Task, values: Values) -> list[Reason]:
        """Return whether other locks refresh an entry of this one; the action gets all such entries in `task.meta`."""
        if self._settings.lock_file is None or not self._refreshed:
            return []
        again: Entries = {}
        reasons: list[Reason] = []
        own = from_list(values.get(ENTRIES, [])).keys()
        for name in sorted({*self._refreshed} - {task.name}):
            other = self.recorded(name)
            # A lock that ran in this run has moved its entries already.
            if other.get(RUN) == self._settings.run_id:
                continue
            entries = from_list(other.get(ENTRIES, []))
            again.update(entries)
            reasons += [
                Reason("entryRefreshed", key[0], f"{name} refreshes {key[0]}") for key in sorted(own & entries.keys())
            ]
        if again:
            task.meta[_AGAIN] = to_list(again)
        return reasons

    def _moved(self, values: Values) -> list[Reason]:
        """Return the entries of the lock file that changed since this lock used them."""
        path = self._settings.lock_file
        return changes(path, from_list(values.get(ENTRIES, []))) if path else []

    def adopted_values(self, values: Values) -> Values:
        """Return the values as this run would record them, so that no entry of the lock file counts as unused."""
        adopted = super().adopted_values(values)
        return {**adopted, RUN: self._settings.run_id} if ENTRIES in values else adopted

    def inputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of every searched file, of built sources, and of images.yml."""
        return {
            **searched_now(self._bundle, self._lock, before),
            **sources_now(self._sources, before),
            **_present(self._lock_path, before),
        }


def _refresh_reasons(bundle: Bundle, lock: Lock, settings: Settings) -> list[Reason]:
    if lock.refresh == "always":
        return [REFRESH_ALWAYS]
    # Names in `refresh=` may also be references: only the action knows its references.
    named = f"lock_bundle:{bundle.name}" in settings.refresh or not all(map(is_task, settings.refresh))
    return [REFRESH_REQUESTED] if named else []


def _present(path: str, before: Snapshot) -> Snapshot:
    return file_snapshot([path], before) if os.path.isfile(anchored(path)) else {}


class LockAction(Action):
    """Writes images.yml if its content changes.

    `images_locks` are those of all locks of the pipeline: a new lock file is filled from them.
    """

    def __init__(
        self,
        bundle: Bundle,
        lock: Lock,
        lock_path: str,
        made_here: Mapping[str, MadeHere],
        settings: Settings,
        images_locks: Sequence[str],
    ) -> None:
        super().__init__()
        self._images_locks = images_locks
        self._bundle = bundle
        self._lock = lock
        self._lock_path = lock_path
        self._made_here = made_here
        self._settings = settings

    @property
    def is_foreseen(self) -> bool:
        """Whether no program prints what is searched."""
        return not programs_searched(self._bundle)

    @property
    def lock_file(self) -> str | None:
        """The lock file that images.yml comes from, if there is one: then images.yml need not be committed."""
        return self._settings.lock_file

    # The lock has all that it decides.
    decisive_options = ()
    checks_output = True

    def stand_in(self, digest: Digest) -> None:
        """Write a stand-in of the lock: one without images, with the digest in a comment."""
        from bundlepipe.documents.imgpkg.images_lock import ImagesLock

        write_if_changed(self._lock_path, ImagesLock(()).to_bytes() + f"# {digest}\n".encode())

    def work(self) -> Values:
        """Lock; references keep their digest in the lock file, or without one in images.yml."""
        from bundlepipe.pipeline.running.replacing import images_lock_output
        from bundlepipe.verbs.images.lock import lock

        bundle, settings = self._bundle, self._settings
        output = images_lock_output(bundle, self._lock_path, settings)
        output.check_place()
        before = searched_now(bundle, self._lock, {})
        path = self._lock_path
        emit = emitter(self.task.name)
        builder = SourceBuilder(bundle, self._lock, path, settings, emit)
        results = self._results()
        locked = lock(self._request(emit), results or _read_lock(path), settings.resolver, builder.build)
        content = locked.to_bytes()
        self.check_output(path, content)
        written = output.write(content)
        count = len(locked.images)
        what = f"{count} image{'' if count == 1 else 's'}"
        used = {ENTRIES: to_list(results.used), RUN: settings.run_id} if results else {}
        return {
            **used,
            UNCHANGED: not (written or (results and results.has_changed)),
            SUMMARY: f"{path} {'' if written else 'unchanged, '}{what}",
            OPTIONS: _all_options(bundle, settings),
            SOURCES: builder.sources,
            FILES: to_values({**before, **builder.snapshot, **file_snapshot([path], {})}),
        }

    def _results(self) -> LockFileResults | None:
        path = self._settings.lock_file
        if path is None:
            return None
        begin(path, self._images_locks, self._made_here)
        return LockFileResults(path, from_list((self.task.meta or {}).get(_AGAIN, [])))

    def _request(self, emit: Emit) -> LockRequest:
        from bundlepipe.oci.manifest import Platform
        from bundlepipe.verbs.images.lock import LockRequest

        bundle, lock, settings = self._bundle, self._lock, self._settings
        everything = lock.refresh == "always" or settings.refreshes(bundle.name, f"lock_bundle:{bundle.name}")
        return LockRequest(
            files=searched_paths(bundle),
            exclude=search_exclude(bundle),
            texts=[text_printed(program, settings, emit) for program in programs_searched(bundle)],
            config=lock.config,
            include={item if isinstance(item, str) else item.name: lock.where or bundle.name for item in lock.include},
            made={name: self._current(made) for name, made in self._made_here.items()},
            platform=Platform.parse(lock.platform) if lock.platform else None,
            refresh=lambda reference: everything or settings.refreshes(reference),
        )

    def _current(self, made: MadeHere) -> Reference | None:
        """Return the digest of something made here, if it was known that this task depends on it."""
        record = self._settings.record(made.name)
        if digest_file(made.kind, record) not in self.task.file_dep:
            return None
        return read_digest(made.kind, record)


def _read_lock(path: str) -> ImagesLock:
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock
    from bundlepipe.filesystem.files import read_document

    if not os.path.exists(anchored(path)):
        return ImagesLock(())
    return ImagesLock.parse(read_document(path), path)
