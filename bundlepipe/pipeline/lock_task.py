"""lock_bundle, and the private task that finds which of our own images its configuration names."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.files import write_if_changed
from bundlepipe.oci.inputs import Snapshot, file_snapshot
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.action import SUMMARY, UNCHANGED, Action
from bundlepipe.pipeline.declaration import (
    Bundle,
    CopySource,
    MadeHere,
    programs_searched,
    search_exclude,
    searched_paths,
)
from bundlepipe.pipeline.edges import EDGES
from bundlepipe.pipeline.name_search import BY_RULES, names_by_rules, names_in
from bundlepipe.pipeline.programs import options_of as program_options
from bundlepipe.pipeline.programs import program_files, text_printed
from bundlepipe.pipeline.progress import emitter
from bundlepipe.pipeline.settings import Settings
from bundlepipe.pipeline.source_builds import SourceBuilder, sources_now
from bundlepipe.pipeline.staleness import FILES, OPTIONS, Staleness, Values, from_values, remember, to_values
from bundlepipe.pipeline.state import digest_file, read_digest

if TYPE_CHECKING:
    from bundlepipe.documents.images_lock import ImagesLock
    from bundlepipe.events import Emit
    from bundlepipe.verbs.lock import LockRequest

_SOURCES = "sources"
_NAMES = "names"
_KNOWN = "known"


def options_of(bundle: Bundle) -> Values:
    """Return everything but files and digests that decides what the lock says."""
    assert bundle.lock
    return {
        "files": list(searched_paths(bundle)),
        "programs": [program_options(program) for program in programs_searched(bundle)],
        "exclude": list(search_exclude(bundle)),
        "config": list(bundle.lock.config),
        "include": [item if isinstance(item, str) else f"{item.kind}:{item.name}" for item in bundle.lock.include],
        "platform": bundle.lock.platform,
    }


def _searched_now(bundle: Bundle, before: Snapshot) -> Snapshot:
    """Return the state of what is searched, of kbld's configuration, and of what programs read."""
    from bundlepipe.documents.searched_files import searched_files

    assert bundle.lock
    files = searched_files(searched_paths(bundle), search_exclude(bundle))
    now = file_snapshot([*files, *bundle.lock.config], before)
    for program in programs_searched(bundle):
        now.update(program_files(program, before))
    return now


class LockStaleness(Staleness):
    """A lock is stale by what it searches and builds, by images.yml itself, and when a refresh is asked for."""

    def __init__(self, bundle: Bundle, lock_path: str, settings: Settings) -> None:
        super().__init__(options_of(bundle))
        self._bundle = bundle
        self._lock_path = lock_path
        self._settings = settings
        self._sources: list[Values] = []

    def reasons(self, task: Task, values: Values) -> list[str]:
        """Compare as all tasks do; a refresh always runs."""
        # Which they are is written in files that are compared as well.
        self._sources = values.get(_SOURCES, [])
        return [*_refresh_reasons(self._bundle, self._settings), *super().reasons(task, values)]

    def files_now(self, before: Snapshot) -> Snapshot:
        """Look at every searched file, at what is built, and at images.yml."""
        return {
            **_searched_now(self._bundle, before),
            **sources_now(self._sources, before),
            **_present(self._lock_path, before),
        }


def _refresh_reasons(bundle: Bundle, settings: Settings) -> list[str]:
    assert bundle.lock
    if bundle.lock.refresh == "always":
        return ["refresh: always"]
    # Names in `refresh=` may be references as well: only the action sees which ones it has.
    return ["refresh asked for"] if settings.refresh else []


def _present(path: str, before: Snapshot) -> Snapshot:
    return file_snapshot([path], before) if os.path.isfile(path) else {}


class LockAction(Action):
    """Writes images.yml if it has to say something else."""

    def __init__(self, bundle: Bundle, lock_path: str, made_here: Mapping[str, MadeHere], settings: Settings) -> None:
        super().__init__()
        self._bundle = bundle
        self._lock_path = lock_path
        self._made_here = made_here
        self._settings = settings

    def work(self) -> Values:
        """Lock; references keep the digest that images.yml has for them."""
        from bundlepipe.verbs.lock import lock

        bundle, settings = self._bundle, self._settings
        assert bundle.lock
        before = _searched_now(bundle, {})
        path = self._lock_path
        emit = emitter(self.task.name)
        builder = SourceBuilder(bundle.lock.directory, settings, emit)
        locked = lock(self._request(emit), _read_lock(path), settings.resolver, builder.build)
        written = write_if_changed(path, locked.to_bytes())
        count = len(locked.images)
        what = f"{count} image{'' if count == 1 else 's'}"
        return {
            UNCHANGED: not written,
            SUMMARY: f"{path} {'' if written else 'unchanged, '}{what}",
            OPTIONS: options_of(bundle),
            _SOURCES: builder.sources,
            FILES: to_values({**before, **builder.snapshot, **file_snapshot([path], {})}),
        }

    def _request(self, emit: Emit) -> LockRequest:
        from bundlepipe.oci.manifest import Platform
        from bundlepipe.verbs.lock import LockRequest

        bundle, settings = self._bundle, self._settings
        assert bundle.lock
        everything = bundle.lock.refresh == "always" or settings.refreshes(bundle.name)
        return LockRequest(
            files=searched_paths(bundle),
            exclude=search_exclude(bundle),
            texts=[text_printed(program, settings, emit) for program in programs_searched(bundle)],
            config=bundle.lock.config,
            include={
                item if isinstance(item, str) else item.name: bundle.lock.where or bundle.name
                for item in bundle.lock.include
            },
            made={name: self._current(made) for name, made in self._made_here.items()},
            platform=Platform.parse(bundle.lock.platform) if bundle.lock.platform else None,
            refresh=lambda reference: everything or settings.refreshes(reference),
        )

    def _current(self, made: MadeHere) -> Reference | None:
        """Return the digest of something made here, if this task was known to depend on it."""
        if digest_file(made.kind, made.name) not in self.task.file_dep:
            return None
        return read_digest(made.kind, made.name)


def _read_lock(path: str) -> ImagesLock:
    from bundlepipe.documents.images_lock import ImagesLock

    try:
        with open(path, "rb") as file:
            return ImagesLock.parse(file.read(), path)
    except FileNotFoundError:
        return ImagesLock(())


class NameSearch(Staleness):
    """Finds which images and bundles of the pipeline a bundle's configuration names.

    The uptodate object of a private task that the lock has as `calc_dep`: the names become
    edges of the lock before its turn comes. Faulty files are left for the lock to report.
    """

    def __init__(self, bundle: Bundle, lock_task: str, made_here: Mapping[str, MadeHere], settings: Settings) -> None:
        super().__init__({})
        self._bundle = bundle
        self._lock_task = lock_task
        self._made_here = made_here
        self._settings = settings

    def __call__(self, task: Task, values: Values) -> bool:
        """Search what changed since the last run; always up to date, as it is itself the work."""
        before = from_values(values)
        # With other names made here, or another declaration, what was found earlier says nothing.
        known = [sorted(self._made_here), options_of(self._bundle)]
        names_before = values.get(_NAMES, {}) if values.get(_KNOWN) == known else {}
        try:
            now = _searched_now(self._bundle, before)
            names = self._names(before, now, names_before)
        except (BundlepipeError, OSError):
            now, names = {}, {}
        found = {name for in_path in names.values() for name in in_path} & self._made_here.keys()
        task.values = {
            EDGES: {self._lock_task: edges_to(self._acyclic(found))},
            FILES: to_values(now),
            _NAMES: names,
            _KNOWN: known,
        }
        if task.values != values and self._dependencies:
            remember(self._dependencies, task, task.values)
        return True

    def _names(self, before: Snapshot, now: Snapshot, names_before: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Return the names by the path that has them; those that kbld's rules or programs bring have none."""
        unchanged = {path for path in names_before if path in now and before[path].same_content(now[path])}
        if not self._goes_by_rules(names_before):
            names = {path: names_before[path] if path in unchanged else names_in(path, self._made_here) for path in now}
            if not self._goes_by_rules(names):
                return names
        if len(unchanged) == len(now) == len(names_before) - 1:
            return dict(names_before)
        by_rules = names_by_rules(self._bundle, self._made_here, self._settings)
        return {**{path: [] for path in now}, BY_RULES: by_rules}

    def _goes_by_rules(self, names: Mapping[str, list[str]]) -> bool:
        assert self._bundle.lock
        declared = self._bundle.lock.config or programs_searched(self._bundle)
        return bool(declared) or BY_RULES in names or any(BY_RULES in in_path for in_path in names.values())

    def _acyclic(self, names: Collection[str]) -> list[MadeHere]:
        """Leave out what needs this lock itself: the lock reports it, where doit would wait for ever."""

        def edges(task_name: str) -> list[str]:
            task = self.tasks_dict[task_name]
            late = [dep for search in task.calc_dep for dep in _late_edges(self.tasks_dict[search], task_name)]
            return [*task.task_dep, *late]

        made = [self._made_here[name] for name in sorted(names)]
        return [thing for thing in made if not _reaches(task_that_makes(thing), self._lock_task, edges)]


def _late_edges(search: Task, task_name: str) -> list[str]:
    found: list[str] = (search.values or {}).get(EDGES, {}).get(task_name, {}).get("task_dep", [])
    return found


def _reaches(start: str, end: str, edges: Callable[[str], list[str]]) -> bool:
    waiting, seen = [start], set[str]()
    while waiting:
        name = waiting.pop()
        if name == end:
            return True
        if name not in seen:
            seen.add(name)
            waiting.extend(edges(name))
    return False


def edges_to(made: Collection[MadeHere | CopySource]) -> dict[str, list[str]]:
    """Return the doit dependencies of a task on things made here: what makes them, and the digest it leaves."""
    ordered = sorted(made, key=lambda thing: (thing.kind, thing.name))
    return {
        "task_dep": [task_that_makes(thing) for thing in ordered],
        "file_dep": [digest_file(thing.kind, thing.name) for thing in ordered],
    }


def task_that_makes(thing: MadeHere | CopySource) -> str:
    """Return the name of the task that makes something."""
    return f"copy_bundle:{thing.name}" if isinstance(thing, CopySource) else f"push_{thing.kind}:{thing.name}"
