"""lock_bundle, and the private task that finds which of our own images its configuration names."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from doit.task import Task

from bundlepipe.errors import BundlepipeError, DocumentError
from bundlepipe.files import write_if_changed
from bundlepipe.oci.inputs import Snapshot, file_snapshot
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.action import SUMMARY, UNCHANGED, Action
from bundlepipe.pipeline.declaration import Bundle, CopySource, MadeHere, search_exclude, searched_paths
from bundlepipe.pipeline.edges import EDGES
from bundlepipe.pipeline.settings import Settings
from bundlepipe.pipeline.staleness import FILES, OPTIONS, Staleness, Values, from_values, remember, to_values
from bundlepipe.pipeline.state import digest_file, read_digest

_NAMES = "names"
_KNOWN = "known"


def options_of(bundle: Bundle) -> Values:
    """Return everything but files and digests that decides what the lock says."""
    assert bundle.lock
    return {
        "files": list(searched_paths(bundle)),
        "exclude": list(search_exclude(bundle)),
        "include": [item if isinstance(item, str) else f"{item.kind}:{item.name}" for item in bundle.lock.include],
        "platform": bundle.lock.platform,
    }


def _searched_now(bundle: Bundle, before: Snapshot) -> Snapshot:
    from bundlepipe.documents.searched_files import searched_files

    return file_snapshot(searched_files(searched_paths(bundle), search_exclude(bundle)), before)


class LockStaleness(Staleness):
    """A lock is stale by what it searches, by images.yml itself, and when a refresh is asked for."""

    def __init__(self, bundle: Bundle, lock_path: str, settings: Settings) -> None:
        super().__init__(options_of(bundle))
        self._bundle = bundle
        self._lock_path = lock_path
        self._settings = settings

    def reasons(self, task: Task, values: Values) -> list[str]:
        """Compare as all tasks do; a refresh always runs."""
        return [*_refresh_reasons(self._bundle, self._settings), *super().reasons(task, values)]

    def files_now(self, before: Snapshot) -> Snapshot:
        """Look at every searched file, and at images.yml."""
        return {**_searched_now(self._bundle, before), **_present(self._lock_path, before)}


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

        bundle = self._bundle
        before = _searched_now(bundle, {})
        path = self._lock_path
        locked = lock(self._request(), _read_lock(path), self._settings.resolver)
        written = write_if_changed(path, locked.to_bytes())
        count = len(locked.images)
        what = f"{count} image{'' if count == 1 else 's'}"
        return {
            UNCHANGED: not written,
            SUMMARY: f"{path} {'' if written else 'unchanged, '}{what}",
            OPTIONS: options_of(bundle),
            FILES: to_values({**before, **file_snapshot([path], {})}),
        }

    def _request(self) -> Any:
        from bundlepipe.oci.manifest import Platform
        from bundlepipe.verbs.lock import LockRequest

        bundle, settings = self._bundle, self._settings
        assert bundle.lock
        everything = bundle.lock.refresh == "always" or settings.refreshes(bundle.name)
        return LockRequest(
            files=searched_paths(bundle),
            exclude=search_exclude(bundle),
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


def _read_lock(path: str) -> Any:
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

    def __init__(self, bundle: Bundle, lock_task: str, made_here: Mapping[str, MadeHere]) -> None:
        super().__init__({})
        self._bundle = bundle
        self._lock_task = lock_task
        self._made_here = made_here

    def __call__(self, task: Task, values: Values) -> bool:
        """Search what changed since the last run; always up to date, as it is itself the work."""
        before = from_values(values)
        # With other names made here, what was found earlier says nothing.
        names_before = values.get(_NAMES, {}) if values.get(_KNOWN) == sorted(self._made_here) else {}
        try:
            now = _searched_now(self._bundle, before)
            names = {
                path: names_before[path]
                if path in names_before and before[path].same_content(state)
                else _names_in(path, self._made_here)
                for path, state in now.items()
            }
        except (BundlepipeError, OSError):
            now, names = {}, {}
        task.values = {
            EDGES: {self._lock_task: edges_to(self._acyclic({name for found in names.values() for name in found}))},
            FILES: to_values(now),
            _NAMES: names,
            _KNOWN: sorted(self._made_here),
        }
        if task.values != values and self._dependencies:
            remember(self._dependencies, task, task.values)
        return True

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


def _names_in(path: str, known: Collection[str]) -> list[str]:
    with open(path, "rb") as file:
        content = file.read()
    # Parsing is slow, and most files name nothing that is made here.
    if b"image" not in content or not any(name.encode() in content for name in known):
        return []
    from bundlepipe.documents.image_search import find_images

    try:
        return sorted({found.value for found in find_images(content, path)} & set(known))
    except DocumentError:
        return []
