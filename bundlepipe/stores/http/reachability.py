"""Whether hosts can be reached, which one thread finds out for all others: a circuit breaker.

A request that no connection comes about for is no matter of that request alone. One thread
tries again, with the usual patience, while all that ask the same host wait for what comes of
it. If nothing does, the host counts as unreachable, and requests to it fail at once, with
the same message. From time to time one of them is let through, without any patience.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from bundlepipe.concurrency.cancellation import Cancelled
from bundlepipe.concurrency.single_flight import SingleFlight
from bundlepipe.errors import BundlepipeError, Unreachable
from bundlepipe.stores.http.faults import NoSuchHost
from bundlepipe.stores.http.retries import Retries, Transient

# Seconds after which a request to a host that was unreachable is let through.
LOOK_AGAIN = 30.0
# How often a request waits for a host that others then reach, but not this one.
_ROUNDS = 5

_Result = TypeVar("_Result")


@dataclass
class _Outage:
    """What is said of a host that cannot be reached, and when somebody last looked."""

    message: str
    looked: float


class Reachability:
    """What is known about the hosts that requests to a registry lead to: itself, and its storage.

    `registry` is HOST[:PORT] of the registry. Its token service has a Reachability of its own,
    even where it is the same host: requests to the registry wait for tokens, so tokens must
    not wait for the registry. May be used by several threads at once.
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
        """Return what `attempt` returns, which asks `host` first, and is called again until a connection comes about.

        Raises Unreachable, with a message that names the host alone, if that does not happen,
        and what else `attempt` raises, Transient included.
        """
        if self._is_led_here:
            # What it tries again asks for something else meanwhile, as an upload whose body is a
            # download does: that must not wait for itself.
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
        # It comes and goes, and each time this one came too late.
        return self._attempt(host, attempt)

    def note_connection(self) -> None:
        """Let others go on at once: a connection came about for what this thread tries again, which may take long."""
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
        """Have one thread wait for the host of a fault; return what gives its result, and whether it is this one."""

        def wait() -> Callable[[], object]:
            return self._wait(fault, attempt)

        outcome, leads = self._waiting.do(fault.unreachable, wait)
        return cast("Callable[[], _Result]", outcome), leads

    def _wait(self, fault: Transient, attempt: Callable[[], object]) -> Callable[[], object]:
        """Try again until the host of a fault is reached; return what gives the result of that, or raises its error.

        Unreachable if it is not reached.
        """
        host, failures, waited = fault.unreachable, 0, 0.0
        # Those who found out at the same time, but later, begin nothing anew.
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
        """Return a fault in words that are the same for every request to the host."""
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
    """Take the place of a result: those who wait for another request make their own."""


def _give(result: object) -> object:
    return result


def _throw(error: Exception) -> object:
    raise error
