"""Retries: which faults are retried, after which delay, and how often."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from bundlepipe.concurrency.cancellation import pause
from bundlepipe.errors import StoreError
from bundlepipe.events import Emit, Retrying
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http.answers import Answer, describe_status, public_url, registry_refusal
from bundlepipe.stores.http.traffic import Traffic, traffic
from bundlepipe.stores.settings import DEFAULT_PATIENCE, PATIENCE_VARIABLE

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})

_FIRST_DELAY = 0.25
_LONGEST_DELAY = 30.0
# Random addition to a wait that a server asked for, so that clients do not return together.
_LONGEST_SPREAD = 1.1
_USUAL_TRIES = 5
# Throttling is not a fault: it takes minutes until retries end, unless fewer tries than usual were
# set.
_TRIES_WHEN_THROTTLED = 12
# Statuses of a gateway whose servers are absent. A 500 may concern one request only.
_OF_THE_HOST = frozenset({502, 503, 504})
# After that many requests failed despite retries, others with the same fault of the host are not
# retried.
_ENOUGH_IN_VAIN = 2

_Result = TypeVar("_Result")


class Transient(Exception):
    """An attempt failed in a way that the next one may not.

    `error` is what to raise if there is no next attempt, `reason` a short description of what
    happened at `url` (which has no query string), and `wait` how many seconds the server asked to
    wait. `throttled` says that there were too many requests, not that one failed. `unreachable` is
    the HOST[:PORT] to which no connection could be made, if that was the fault. `of_host` says that
    other requests to the host are likely to fail in the same way.
    """

    def __init__(
        self,
        error: StoreError,
        url: str,
        reason: str,
        wait: float | None = None,
        *,
        throttled: bool = False,
        unreachable: str = "",
        of_host: bool = False,
    ) -> None:
        super().__init__(reason)
        self.error = error
        self.url = url
        self.reason = reason
        self.wait = wait
        self.throttled = throttled
        self.unreachable = unreachable
        self.of_host = of_host

    @property
    def host(self) -> str:
        """The HOST[:PORT] of the request."""
        return urlsplit(self.url).netloc


class Retries:
    """How often requests are retried, and what happens between attempts; one object for all requests to a host.

    `tries` is the number of attempts, and `patience` the total seconds to wait between all attempts at one
    request. Delays grow exponentially and have a random part, so that clients that failed together do not
    return together. For a fault of the host only its first requests are retried; later ones are sent once,
    until one succeeds. May be used by several threads.
    """

    def __init__(
        self,
        emit: Emit,
        tries: int = _USUAL_TRIES,
        sleep: Callable[[float], None] = pause,
        patience: float = DEFAULT_PATIENCE,
    ) -> None:
        self._emit = emit
        self._tries = tries
        self._sleep = sleep
        self._patience = patience
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()
        self._in_vain: Counter[str] = Counter()

    def run(self, attempt: Callable[[], _Result]) -> _Result:
        """Return the result of `attempt`, calling it again while it raises Transient and tries are left.

        Raises the error of the last Transient, and any other exception of `attempt`.
        """
        failures, waited = 0, 0.0
        while True:
            try:
                return attempt()
            except Transient as fault:
                failures += 1
                waited += self.pause(fault, failures, waited)

    def pause(self, fault: Transient, failures: int, waited: float = 0.0) -> float:
        """Wait before the next attempt, and return the seconds waited.

        `failures` attempts have failed, with `waited` seconds of waiting between them. Raises the
        fault's error, with the reason, if there is no further attempt, and Cancelled if this work
        is cancelled meanwhile.
        """
        if fault.of_host and self._tries > 1 and self._in_vain[fault.host] >= _ENOUGH_IN_VAIN:
            place = urlunsplit((*urlsplit(fault.url)[:2], "", "", ""))
            raise type(fault.error)(f"{place}: {fault.reason}; other requests were retried without success") from fault
        patient = fault.throttled and self._tries >= _USUAL_TRIES
        if failures >= (max(self._tries, _TRIES_WHEN_THROTTLED) if patient else self._tries):
            raise self._given_up(fault, f"gave up after {_counted(failures)}") from fault
        delay: float = min(_FIRST_DELAY * 2 ** (failures - 1), _LONGEST_DELAY) * random.uniform(0.5, 1)
        if fault.wait is not None:
            delay = max(delay, fault.wait * random.uniform(1, _LONGEST_SPREAD))
        if waited + (delay if fault.wait is None else fault.wait) > self._patience:
            raise self._given_up(fault, self._out_of_patience(fault, failures, waited)) from fault
        with self._telling(fault, delay):
            self._sleep(delay)
        traffic.add(Traffic(retries=1), fault.url)
        return delay

    def note_answer(self, host: str) -> None:
        """Record that a host works again: a request to HOST[:PORT] got a response that is not a fault of the host."""
        self._in_vain.pop(host, None)

    def _given_up(self, fault: Transient, why: str) -> StoreError:
        if fault.of_host:
            self._in_vain[fault.host] += 1
        return type(fault.error)(f"{fault.error}; {why}")

    def _out_of_patience(self, fault: Transient, failures: int, waited: float) -> str:
        limit = f"the limit is {self._patience:.0f} s in all: try later, or set {PATIENCE_VARIABLE}"
        if fault.wait is not None and fault.wait > self._patience:
            return f"the server asks to come back in {fault.wait:.0f} s, and {limit}"
        return f"gave up after {_counted(failures)} and {waited:.0f} s of waiting, and {limit}"

    @contextmanager
    def _telling(self, fault: Transient, delay: float) -> Iterator[None]:
        """Report a wait, unless another thread has reported one for the same reason at the same host."""
        what = (fault.host, fault.reason)
        with self._lock:
            tells = what not in self._told
            self._told.add(what)
        if not tells:
            yield
            return
        try:
            self._emit(Retrying(fault.url, fault.reason, delay))
            yield
        finally:
            with self._lock:
                self._told.discard(what)


def _counted(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def raise_if_transient(answer: Answer, redactor: Redactor) -> None:
    """Raise Transient for a response whose status is worth a retry."""
    if answer.status in RETRIED_STATUSES:
        error, reason = registry_refusal(answer, redactor), describe_status(answer.status)
        wait, throttled = retry_after(answer.headers), answer.status == HTTPStatus.TOO_MANY_REQUESTS
        of_host = answer.status in _OF_THE_HOST and wait is None
        raise Transient(error, public_url(answer.url), reason, wait, throttled=throttled, of_host=of_host)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in `Retry-After`, given in seconds or as a date (RFC 9110, 10.2.3); None without it."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
