"""What all tasks of a pipeline share: registries, and what this run was asked to do."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from bundlepipe.pipeline.records.groups import group_name
from bundlepipe.progress.display import tell_retries
from bundlepipe.stores.settings import RegistrySettings

# Imported only when a task runs: a run with nothing to do needs no stores.
if TYPE_CHECKING:
    from bundlepipe.stores.homes import Homes
    from bundlepipe.verbs.images.resolver import Resolver

REFRESH_ALL = "all"


@dataclass(frozen=True)
class Settings:
    """Values only, so that they reach worker processes however those are started.

    `refresh` holds what `doit refresh=...` names, tasks as `GROUP:NAME`; `verify` is true where destinations are
    asked although the local state is fresh; `force` what `doit force=...` names. `run_id` tells
    one run of doit from the next. `lock_file` holds what locks resolve, in place of each images.yml;
    `prefix` is that of the pipeline, empty for the only one.
    """

    registries: Mapping[str, RegistrySettings] = field(default_factory=dict)
    refresh: frozenset[str] = frozenset()
    verify: bool = False
    force: frozenset[str] = frozenset()
    run_id: str = ""
    lock_file: str | None = None
    prefix: str = ""

    def task(self, group: str, name: str) -> str:
        """Return the name of a task of this pipeline."""
        return f"{group_name(group, self.prefix)}:{name}"

    def record(self, name: str) -> str:
        """Return what the records of something made here are called: other pipelines may have the name too."""
        return f"{self.prefix}:{name}" if self.prefix else name

    def refreshes(self, *names: str) -> bool:
        """Tell whether one of these names, or everything, is to be resolved anew."""
        return REFRESH_ALL in self.refresh or self.refreshes_by_name(*names)

    def refreshes_by_name(self, *names: str) -> bool:
        """Tell whether one of these names is asked for, which `all` does not do."""
        return not self.refresh.isdisjoint(names)

    def forces(self, *names: str) -> bool:
        """Tell whether the output of a task with one of these names may be replaced whatever it is."""
        return not self.force.isdisjoint(names)

    @property
    def homes(self) -> Homes:
        """The stores of this process: connections and tokens are shared by all its tasks."""
        with _making:
            return _homes(self._key, os.getpid())

    @property
    def resolver(self) -> Resolver:
        """The resolver of this process: a tag is asked for once, however many locks name it."""
        with _making:
            return _resolver(self._key, os.getpid())

    @property
    def _key(self) -> tuple[tuple[str, RegistrySettings], ...]:
        return tuple(sorted(self.registries.items(), key=lambda item: item[0]))


# A cache does not keep threads that come at once from making one each.
_making = threading.Lock()


@cache
def _homes(registries: tuple[tuple[str, RegistrySettings], ...], process: int) -> Homes:
    from bundlepipe.stores.homes import Homes

    return Homes(dict(registries), emit=tell_retries)


@cache
def _resolver(registries: tuple[tuple[str, RegistrySettings], ...], process: int) -> Resolver:
    from bundlepipe.verbs.images.resolver import Resolver

    return Resolver(_homes(registries, process))
