"""Shared by all tasks of a pipeline: stores, and the settings of this run."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct, field

from bundlepipe.filesystem.overlay import active_overlay
from bundlepipe.pipeline.records.groups import group_name
from bundlepipe.progress.display import tell_retries
from bundlepipe.stores.settings import RegistrySettings

# Imported only when a task runs: a run with nothing to do needs no stores.
if TYPE_CHECKING:
    from bundlepipe.documents.plan.saved import SavedPlan
    from bundlepipe.stores.opening import Stores
    from bundlepipe.stores.planned import PlannedStores, Transfers
    from bundlepipe.stores.resolved import Resolved
    from bundlepipe.verbs.images.resolver import Resolver

REFRESH_ALL = "all"
# The environment variable with the paths of reports, separated by commas.
REPORT_VARIABLE = "BUNDLEPIPE_REPORT"
_Key = tuple[tuple[str, RegistrySettings], ...]


class Settings(Struct, frozen=True):
    """Settings of a run: only values, so that they can be sent to worker processes.

    `refresh` holds the names in `doit refresh=...`, tasks as `GROUP:NAME`; `verify` is true if destinations are
    checked although the task's record is current; `force` has the names in `doit force=...`. `run_id`
    distinguishes runs of doit. `lock_file` holds what locks resolve, instead of each images.yml; `prefix` is
    that of the pipeline, empty if it is the only one; `plan` is the saved plan that is carried out.
    """

    registries: Mapping[str, RegistrySettings] = field(default_factory=dict)
    refresh: frozenset[str] = frozenset()
    verify: bool = False
    force: frozenset[str] = frozenset()
    run_id: str = ""
    lock_file: str | None = None
    prefix: str = ""
    plan: SavedPlan | None = None

    def task(self, group: str, name: str) -> str:
        """Return the name of a task of this pipeline."""
        return f"{group_name(group, self.prefix)}:{name}"

    def record(self, name: str) -> str:
        """Return the name of a record in this pipeline: other pipelines may use the same name."""
        return f"{self.prefix}:{name}" if self.prefix else name

    def refreshes(self, *names: str) -> bool:
        """Return whether one of these names, or everything, is to be resolved again."""
        return REFRESH_ALL in self.refresh or self.refreshes_by_name(*names)

    def refreshes_by_name(self, *names: str) -> bool:
        """Return whether one of these names is requested explicitly, not by `all`."""
        return not self.refresh.isdisjoint(names)

    def forces(self, *names: str) -> bool:
        """Return whether the output of a task with one of these names may be replaced regardless of its content."""
        return not self.force.isdisjoint(names)

    @property
    def stores(self) -> Stores:
        """The stores of this process: all its tasks share connections and tokens."""
        with _making:
            if _plans:
                return _plans[-1].stores(self._key)
            return self._carried.stores if self.plan else _stores(self._key, os.getpid())

    @property
    def resolver(self) -> Resolver:
        """The resolver of this process: a tag is looked up once, even for several locks."""
        with _making:
            if _plans:
                return _plans[-1].resolver(self._key)
            return self._carried.resolver if self.plan else _resolver(self._key, os.getpid())

    @property
    def _carried(self) -> CarriedAccess:
        assert self.plan
        key = (self._key, os.getpid())
        if key not in _carried:
            _carried[key] = CarriedAccess(self._key, self.plan)
        return _carried[key]

    @property
    def _key(self) -> _Key:
        return tuple(sorted(self.registries.items(), key=lambda item: item[0]))


class PlannedAccess:
    """The stores of a plan: what tasks write is remembered, and seen by later tasks.

    `offline`, no registry is asked; unless it `runs_programs`, those whose output is searched for images are not run.
    `transfers` counts what tasks will send and receive; `resolved` gets what tags are resolved to.
    """

    def __init__(self, *, offline: bool = False, runs_programs: bool = True, resolved: Resolved | None = None) -> None:
        from bundlepipe.stores.planned import Transfers

        self.transfers: Transfers = Transfers()
        self.runs_programs = runs_programs
        self._offline = offline
        self._resolved = resolved
        self._stores: dict[_Key, PlannedStores] = {}
        self._resolvers: dict[_Key, Resolver] = {}

    @property
    def destinations(self) -> dict[str, str | None]:
        """The digests that the tags of destinations name, None for nothing; only if `resolved` is there."""
        return {tag: digest for stores in self._stores.values() for tag, digest in stores.destinations.items()}

    def stores_of(self, settings: Settings) -> PlannedStores:
        """Return the stores of the tasks with these settings."""
        return self.stores(settings._key)

    def stores(self, registries: _Key) -> PlannedStores:
        """Return the stores for these settings."""
        from bundlepipe.stores.planned import PlannedStores

        if registries not in self._stores:
            self._stores[registries] = PlannedStores(
                dict(registries), self.transfers, offline=self._offline, resolved=self._resolved
            )
        return self._stores[registries]

    def resolver(self, registries: _Key) -> Resolver:
        """Return the resolver for these settings."""
        from bundlepipe.verbs.images.keeping_resolver import KeepingResolver
        from bundlepipe.verbs.images.resolver import Resolver

        overlay = active_overlay()
        # Each lock that uses a stand-in of a digest has to ask for it.
        if registries not in self._resolvers or (overlay and overlay.stands_in):
            stores = self.stores(registries)
            self._resolvers[registries] = (
                Resolver(stores) if self._resolved is None else KeepingResolver(stores, self._resolved)
            )
        return self._resolvers[registries]


# The plan that is being made, if there is one.
_plans: list[PlannedAccess] = []


class CarriedAccess:
    """The stores of a process that carries out a plan: tags are those of the plan."""

    def __init__(self, registries: _Key, plan: SavedPlan) -> None:
        from bundlepipe.stores.resolved import Resolved, ResolvedStores
        from bundlepipe.verbs.images.keeping_resolver import KeepingResolver

        resolved = Resolved(plan.resolved)
        self.stores: Stores = ResolvedStores(dict(registries), resolved, emit=tell_retries)
        self.resolver: Resolver = KeepingResolver(self.stores, resolved)


# By the settings and the process; a run carries out one plan.
_carried: dict[tuple[_Key, int], CarriedAccess] = {}


@contextmanager
def planned_access(
    *, offline: bool = False, runs_programs: bool = True, resolved: Resolved | None = None
) -> Iterator[PlannedAccess]:
    """Let all tasks use the stores of a plan within the context."""
    access = PlannedAccess(offline=offline, runs_programs=runs_programs, resolved=resolved)
    _plans.append(access)
    try:
        yield access
    finally:
        _plans.remove(access)


def may_run_programs() -> bool:
    """Return whether programs that print configuration may run: in a run, and in most plans."""
    return not _plans or _plans[-1].runs_programs


# A cached property could be computed by several threads at once.
_making = threading.Lock()


@cache
def _stores(registries: tuple[tuple[str, RegistrySettings], ...], process: int) -> Stores:
    from bundlepipe.stores.opening import Stores

    return Stores(dict(registries), emit=tell_retries)


@cache
def _resolver(registries: tuple[tuple[str, RegistrySettings], ...], process: int) -> Resolver:
    from bundlepipe.verbs.images.resolver import Resolver

    return Resolver(_stores(registries, process))
