"""A circuit breaker for hosts: one thread finds out for all whether a host can be reached.

If no connection can be made for a request, other requests to the host are affected too. One thread
retries, with the usual patience, while all requests to the same host wait for its result. If it
fails, the host counts as unreachable, and requests to it fail at once, with the same message. From
time to time one of them is let through, without retries.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from bundlepipe.concurrency.cancellation import Cancelled
from bundlepipe.concurrency.single_flight import SingleFlight
from bundlepipe.errors import BundlepipeError, Unreachable
from bundlepipe.stores.http.faults import NoSuchHost
from bundlepipe.stores.http.retries import Retries, Transient

# Seconds after which a request to an unreachable host is let through.
LOOK_AGAIN = 30.0
# How often a request waits for a host that other threads then reach, but it does not.
_ROUNDS = 5

_Result = TypeVar("_Result")


class _Outage(Struct):
    """The error for a host that cannot be reached, and when it was last tried."""

    message: str
    looked: float


class Reachability:
    """The state of the hosts that requests to a registry lead to: itself, and its storage.

    `registry` is HOST[:PORT] of the registry. Its token service has a separate Reachability, even
    on the same host: requests to the registry wait for tokens, so tokens must not wait for the
    registry. May be used by several threads at once.
    """

    def __init__(self, registry: str, retries: Retries, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._retries = retries
        self._clock = clock
        self._lock = threading.Lock()
        self._outages: dict[str, _Outage] = {}
        self._waiting: SingleFlight[Callable[[], object]] = SingleFlight()
        self._here = threading.local()

    def run(self, host: str, attempt: Callable[[], _Result]) -> _Result:
        """Return the result of `attempt`, which first contacts `host` and is repeated until a connection is made.

        Raises Unreachable, with a message that names only the host, if none is made, and any other error of
        `attempt`, Transient included.
        """
        if self._is_led_here:
            # Its retries may send other requests, for example when the body of an upload is a
            # download: those must not wait for this thread itself.
            return self._attempt(host, attempt)
        self._waiting.join(host)
        self._raise_if_known(host)
        for _ in range(_ROUNDS):
            try:
                result = self._attempt(host, attempt)
            except Transient as fault:
                if not fault.unreachable:
                    raise
                outcome, leads = self._recover(fault, attempt)
                if leads:
                    return outcome()
            else:
                return result
        # The host comes and goes, and each time this request was too late.
        return self._attempt(host, attempt)

    def note_connection(self) -> None:
        """Let waiting threads continue: this thread has a connection for its retry, which may take long."""
        if self._is_led_here:
            self._waiting.share(self._here.host, _nothing)

    def _attempt(self, host: str, attempt: Callable[[], _Result]) -> _Result:
        try:
            result = attempt()
        except NoSuchHost as error:
            raise self._note(error.host, f"{self._named(error.host)}: {error.reason}") from error
        except Cancelled:
            raise
        except Transient as fault:
            if not fault.unreachable:
                self._forget(host)
            raise
        except BundlepipeError:
            self._forget(host)
            raise
        self._forget(host)
        return result

    def _recover(self, fault: Transient, attempt: Callable[[], _Result]) -> tuple[Callable[[], _Result], bool]:
        """Let one thread wait for a fault's host; return a function for its result, and whether it was this thread."""

        def wait() -> Callable[[], object]:
            return self._wait(fault, attempt)

        outcome, leads = self._waiting.do(fault.unreachable, wait)
        return cast("Callable[[], _Result]", outcome), leads

    def _wait(self, fault: Transient, attempt: Callable[[], object]) -> Callable[[], object]:
        """Retry until the host of a fault is reached; return a function that returns the result or raises its error.

        Raises Unreachable if it is not reached.
        """
        host, failures, waited = fault.unreachable, 0, 0.0
        # Threads that noticed the outage at the same time, but come later, do not start again.
        self._raise_if_known(host, looks=False)
        while True:
            failures += 1
            try:
                waited += self._retries.pause(self._about_host(fault), failures, waited)
            except Unreachable as error:
                raise self._note(host, str(error)) from fault
            try:
                with self._leading(host):
                    result = self._attempt(host, attempt)
            except Cancelled:
                raise
            except (Transient, BundlepipeError) as error:
                if not isinstance(error, Transient) or error.unreachable != host:
                    return partial(_throw, error)
                fault = error
            else:
                return partial(_give, result)

    @contextmanager
    def _leading(self, host: str) -> Iterator[None]:
        self._here.host = host
        try:
            yield
        finally:
            self._here.host = ""

    @property
    def _is_led_here(self) -> bool:
        return bool(getattr(self._here, "host", ""))

    def _about_host(self, fault: Transient) -> Transient:
        """Return a fault with a message that is the same for every request to the host."""
        parts = urlsplit(fault.url)
        url = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
        error = Unreachable(f"{self._named(fault.unreachable)}: {fault.reason}")
        return Transient(error, url, fault.reason, unreachable=fault.unreachable)

    def _named(self, host: str) -> str:
        return f"registry {host}" if host == self._registry else host

    def _note(self, host: str, message: str) -> Unreachable:
        with self._lock:
            self._outages[host] = _Outage(message, self._clock())
        return Unreachable(message)

    def _raise_if_known(self, host: str, *, looks: bool = True) -> None:
        with self._lock:
            outage = self._outages.get(host)
            if outage is None:
                return
            if looks and self._clock() - outage.looked >= LOOK_AGAIN:
                outage.looked = self._clock()
                return
        raise Unreachable(outage.message)

    def _forget(self, host: str) -> None:
        with self._lock:
            self._outages.pop(host, None)


def _nothing() -> None:
    """Stand in for a result: threads that waited for another request send their own."""


def _give(result: object) -> object:
    return result


def _throw(error: Exception) -> object:
    raise error
