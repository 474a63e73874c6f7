"""How much this process has said to registries and heard from them: requests and bytes of their bodies.

`transport`, through which all of it goes, counts; doors tell. Imported in every run, so it
uses the standard library only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """Requests, redirected and repeated ones included, and the bytes that their bodies and answers had."""

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
        """Begin anew, as a forked process has to: what came before is its parent's."""
        self._lock = threading.Lock()
        self._counted = Traffic()

    def add(self, traffic: Traffic) -> None:
        """Count what came in addition."""
        with self._lock:
            self._counted += traffic

    def sending(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks of a body, each counted when it is asked for."""
        for chunk in chunks:
            self.add(Traffic(sent=len(chunk)))
            yield chunk

    def counted(self) -> Traffic:
        """Return what was counted since the process began."""
        return self._counted


traffic = TrafficCounter()
os.register_at_fork(after_in_child=traffic.forget)
