"""Count this process's HTTP traffic with registries: requests and bytes of bodies.

`transport`, which all traffic passes through, counts; front ends report. Imported in every run, so it
uses only the standard library.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator

from msgspec import Struct


class Traffic(Struct, frozen=True):
    """Requests, including redirected and repeated ones, and the bytes of request and response bodies."""

    requests: int = 0
    sent: int = 0
    received: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.requests + other.requests, self.sent + other.sent, self.received + other.received)


class TrafficCounter:
    """Counts; several threads may do so at once."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset the counts, as a forked process must: earlier counts are its parent's."""
        self._lock = threading.Lock()
        self._counted = Traffic()

    def add(self, traffic: Traffic) -> None:
        """Add to the counts."""
        with self._lock:
            self._counted += traffic

    def sending(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks of a body, counting each when it is requested."""
        for chunk in chunks:
            self.add(Traffic(sent=len(chunk)))
            yield chunk

    def counted(self) -> Traffic:
        """Return the counts since the process began."""
        return self._counted


traffic = TrafficCounter()
os.register_at_fork(after_in_child=traffic.forget)
