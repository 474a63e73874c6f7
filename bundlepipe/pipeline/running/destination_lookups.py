"""Look up what destinations hold, for many tasks in parallel if possible.

When a run begins, our reporter announces every push that the run may run. The first of them that
needs a result sends all requests together; without the reporter each is sent when its task's turn
comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from msgspec import Struct

from bundlepipe.errors import BundlepipeError
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.running.run import Settings

LOOKUP_RESULT = "lookup result"


class LookupResult(Struct, frozen=True):
    """The manifest that a destination's tag names now; `manifest` is None if there is none, or it is unknown.

    `problem` is why it is unknown; the action reports it, and does not look it up again.
    """

    manifest: Manifest | None
    problem: str | None = None


class DestinationLookup(Struct, frozen=True):
    """A push's lookup of its destination."""

    destination: Reference
    settings: Settings


def look_up(lookup: DestinationLookup) -> LookupResult:
    """Look up one destination: one request."""
    from bundlepipe.stores.protocol import find_manifest

    destination = lookup.destination
    try:
        store = lookup.settings.stores.repository(destination.repository, writes=True)
        return LookupResult(find_manifest(store, destination.identifier))
    except BundlepipeError as error:
        return LookupResult(None, str(error))


class Announced:
    """The lookups, by task name, that a run may need; may be used by several threads at once."""

    def __init__(self, lookups: Mapping[str, DestinationLookup]) -> None:
        self._lock = threading.Lock()
        self._lookups = dict(lookups)
        self._results: dict[str, LookupResult] = {}

    def result(self, task_name: str, recorded: Callable[[str], object]) -> LookupResult | None:
        """Return the result for a task, with those of all that need one; None if it was not announced.

        Only for tasks without a local record, or for all if the destination is verified.
        """
        with self._lock:
            if task_name in self._lookups:
                needed = {
                    name: lookup
                    for name, lookup in self._lookups.items()
                    if name == task_name or lookup.settings.verify or not recorded(name)
                }
                for name in needed:
                    del self._lookups[name]
                self._results.update(_look_up_all(needed))
            return self._results.pop(task_name, None)


def _look_up_all(lookups: Mapping[str, DestinationLookup]) -> dict[str, LookupResult]:
    from bundlepipe.concurrency.parallel import in_parallel

    return dict(zip(lookups, in_parallel(look_up, lookups.values()), strict=True))
