"""Run work once that several threads request at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from bundlepipe.concurrency.cancellation import Cancelled, is_cancelled

_Result = TypeVar("_Result")


class SingleFlight(Generic[_Result]):
    """One thread does the work for a key; threads that come meanwhile wait, and share its result or exception."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Future[_Result]] = {}

    def do(self, key: Hashable, work: Callable[[], _Result]) -> tuple[_Result, bool]:
        """Return what `work` returned, and whether this thread called it. Raises what it raised."""
        while True:
            with self._lock:
                flight = self._flights.get(key)
                if flight is None:
                    flight = self._flights[key] = Future()
                    break
            try:
                return flight.result(), False
            except Cancelled:
                # The other thread's work was cancelled, which need not be true of this one's.
                if is_cancelled():
                    raise
        return self._lead(key, flight, work), True

    def join(self, key: Hashable) -> None:
        """Wait for running work for a key to end, if there is any. Raises what it raised."""
        with self._lock:
            flight = self._flights.get(key)
        if flight:
            try:
                flight.result()
            except Cancelled:
                if is_cancelled():
                    raise

    def share(self, key: Hashable, result: _Result) -> None:
        """Pass a result to waiting threads before the work ends. Only for the thread that does the work."""
        with self._lock:
            flight = self._flights.pop(key, None)
        if flight:
            flight.set_result(result)

    def _lead(self, key: Hashable, flight: Future[_Result], work: Callable[[], _Result]) -> _Result:
        try:
            result = work()
        except BaseException as error:
            if self._land(key, flight):
                flight.set_exception(error)
            raise
        if self._land(key, flight):
            flight.set_result(result)
        return result

    def _land(self, key: Hashable, flight: Future[_Result]) -> bool:
        """Let other threads start again; return whether there is still something to share."""
        with self._lock:
            is_under_way = self._flights.get(key) is flight
            if is_under_way:
                del self._flights[key]
        return is_under_way


class Once(Generic[_Result]):
    """Caches results by key; exceptions are not cached."""

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
