"""A cache of credentials, with expiry."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from bundlepipe.concurrency.single_flight import SingleFlight
from bundlepipe.stores.keychains.credentials import Credentials


class Memory:
    """Caches what was found for a key until it expires or is refused; an empty result is kept for good.

    May be used by several threads at once: those that need the same key share one search.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, Credentials | None] = {}
        self._searches: SingleFlight[Credentials | None] = SingleFlight()

    def get(
        self, key: Hashable, refused: Credentials | None, search: Callable[[], Credentials | None]
    ) -> Credentials | None:
        """Return the cached value of a key, or the result of `search` if it is missing or invalid; raises its
        errors.
        """

        def search_unless_known() -> Credentials | None:
            if not self._knows(key, refused):
                self._known[key] = search()
            return self._known[key]

        if self._knows(key, refused):
            return self._known[key]
        return self._searches.do((key, refused), search_unless_known)[0]

    def _knows(self, key: Hashable, refused: Credentials | None) -> bool:
        if key not in self._known:
            return False
        known = self._known[key]
        return known is None or (known.is_current and known != refused)
