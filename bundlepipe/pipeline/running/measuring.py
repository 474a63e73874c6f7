"""Measure what the action of a task costs: time, traffic and blobs. Imported only in runs that are reported."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from doit.task import Task
from msgspec import Struct

from bundlepipe.events import BlobDone, Event
from bundlepipe.progress.display import display
from bundlepipe.stores.http.traffic import Traffic, accounted

# In `task.meta`, which workers return even if a task fails.
MEASURED = "measured"


class Amount(Struct, frozen=True):
    """A number of blobs, and their bytes."""

    blobs: int = 0
    size: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.blobs + other.blobs, self.size + other.size)


class Measured(Struct, frozen=True):
    """When an action began and ended, in seconds of the monotonic clock, its process, its traffic by host, its blobs.

    `blobs` are amounts by what happened to the blobs, as in `BlobDone`: "transferred", "mounted", "present". Those
    of a blob that is reported more than once count once, with the last report.
    """

    began: float
    ended: float
    process: int
    traffic: Mapping[str, Traffic]
    blobs: Mapping[str, Amount]


@contextmanager
def measured(task: Task) -> Iterator[None]:
    """Measure the context, and put the result into `task.meta`, however it ends."""
    began = time.monotonic()
    blobs = _Blobs()
    with accounted() as account, display.heard(task.name, blobs.take):
        try:
            yield
        finally:
            result = Measured(began, time.monotonic(), os.getpid(), account.by_host(), blobs.amounts())
            task.meta = {**(task.meta or {}), MEASURED: result}


class _Blobs:
    """Counts blobs; several threads may do so at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: dict[str, BlobDone] = {}

    def take(self, event: Event) -> None:
        if isinstance(event, BlobDone):
            with self._lock:
                self._done[event.digest] = event

    def amounts(self) -> dict[str, Amount]:
        amounts: dict[str, Amount] = {}
        with self._lock:
            for event in self._done.values():
                amounts[event.how] = amounts.get(event.how, Amount()) + Amount(1, event.size)
        return amounts
