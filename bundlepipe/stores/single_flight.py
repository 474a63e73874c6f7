"""Work that several threads want done at the same time is done once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


class SingleFlight(Generic[_Result]):
    """One thread does the work for a key; those that come meanwhile wait, and share its result or exception."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Future[_Result]] = {}

    def do(self, key: Hashable, work: Callable[[], _Result]) -> tuple[_Result, bool]:
        """Return what `work` returned, and whether it was called by this thread. Raises what it raised."""
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if not leads:
            return flight.result(), False
        try:
            result = work()
        except BaseException as error:
            self._land(key)
            flight.set_exception(error)
            raise
        self._land(key)
        flight.set_result(result)
        return result, True

    def _land(self, key: Hashable) -> None:
        with self._lock:
            del self._flights[key]


class Once(Generic[_Result]):
    """Remembers what was found out for a key; what was raised is not remembered."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Result] = {}
        self._flights: SingleFlight[_Result] = SingleFlight()

    def get(self, key: Hashable, work: Callable[[], _Result]) -> _Result:
        """Return what `work` returned when it was first called for the key."""

        def find_out() -> _Result:
            if key not in self._known:
                self._known[key] = work()
            return self._known[key]

        return self._known[key] if key in self._known else self._flights.do(key, find_out)[0]
