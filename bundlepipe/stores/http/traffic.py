"""Count this process's HTTP traffic with registries: requests, retries, and bytes of bodies.

`transport`, which all traffic passes through, counts; front ends report. Where one asks for it, traffic is
also counted by host, for a whole process or for one piece of work. Imported in every run, so it uses only the
standard library.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct

from bundlepipe.filesystem.base_directory import carry


class Traffic(Struct, frozen=True):
    """Requests, including redirected and repeated ones, bytes of request and response bodies, and retries."""

    requests: int = 0
    sent: int = 0
    received: int = 0
    retries: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.requests + other.requests,
            self.sent + other.sent,
            self.received + other.received,
            self.retries + other.retries,
        )


class Account:
    """Traffic by the host of each request, `HOST[:PORT]`; several threads may add to it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_host: dict[str, Traffic] = {}

    def add(self, traffic: Traffic, url: str) -> None:
        """Add traffic of requests for a URL."""
        # Most runs need no account, and none of the imports of URLs.
        from urllib.parse import urlsplit

        # What is before "@" may be a password.
        host = urlsplit(url).netloc.rpartition("@")[2]
        with self._lock:
            self._by_host[host] = self._by_host.get(host, Traffic()) + traffic

    def by_host(self) -> dict[str, Traffic]:
        """Return the traffic so far."""
        with self._lock:
            return dict(self._by_host)


class TrafficCounter:
    """Counts; several threads may do so at once."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset the counts, as a forked process must: earlier counts are its parent's."""
        self._lock = threading.Lock()
        self._counted = Traffic()
        self._account: Account | None = None

    def add(self, traffic: Traffic, url: str) -> None:
        """Add the traffic of requests for a URL to the counts."""
        with self._lock:
            self._counted += traffic
        for account in (self._account, _of_work.get()):
            if account:
                account.add(traffic, url)

    def sending(self, chunks: Iterable[bytes], url: str) -> Iterator[bytes]:
        """Yield the chunks of a body, counting each when it is requested."""
        for chunk in chunks:
            self.add(Traffic(sent=len(chunk)), url)
            yield chunk

    def counted(self) -> Traffic:
        """Return the counts since the process began."""
        return self._counted

    def keep_account(self) -> Account:
        """From now on, also count by host; return the account, which is empty."""
        self._account = Account()
        return self._account


# That of the work that this thread does, which may be a part of what another one does.
_of_work: ContextVar[Account | None] = carry(ContextVar("traffic", default=None))


@contextmanager
def accounted() -> Iterator[Account]:
    """Yield an account of the traffic of this thread in the context, and of threads that it leaves work to."""
    account = Account()
    token = _of_work.set(account)
    try:
        yield account
    finally:
        _of_work.reset(token)


traffic = TrafficCounter()
os.register_at_fork(after_in_child=traffic.forget)
