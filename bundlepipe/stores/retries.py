"""Another attempt: which faults deserve one, when it is made, and when to give up."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeVar

from bundlepipe.cancellation import pause
from bundlepipe.errors import StoreError
from bundlepipe.events import Emit, Retrying
from bundlepipe.stores.answers import Answer, describe_status, public_url, refusal
from bundlepipe.stores.redaction import Redactor

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})

# A registry that wants to be left alone for longer gets its wish: the error says so.
LONGEST_WAIT = 120.0

_FIRST_DELAY = 0.25
_LONGEST_DELAY = 30.0
_USUAL_TRIES = 5
# Who is told to slow down is not told that something is wrong: it takes minutes to give up,
# unless fewer tries than usual were asked for.
_TRIES_WHEN_THROTTLED = 12

_Result = TypeVar("_Result")


class Transient(Exception):
    """An attempt failed in a way that the next one may not.

    `error` is what to raise if there is no next attempt, `reason` says in few words what
    happened at `url` (which has no query string), and `wait` how many seconds the server
    asked for. `throttled` says that there were too many requests, not that one failed.
    """

    def __init__(
        self, error: StoreError, url: str, reason: str, wait: float | None = None, *, throttled: bool = False
    ) -> None:
        super().__init__(reason)
        self.error = error
        self.url = url
        self.reason = reason
        self.wait = wait
        self.throttled = throttled


@dataclass(frozen=True)
class Retries:
    """How often something is tried, and what is done between two attempts.

    Delays grow exponentially and are spread at random, so that clients that failed
    together do not come back together.
    """

    emit: Emit
    tries: int = _USUAL_TRIES
    sleep: Callable[[float], None] = pause

    def run(self, attempt: Callable[[], _Result]) -> _Result:
        """Return what `attempt` returns, calling it again while it raises Transient and tries are left.

        Raises the error of the last Transient, and whatever else `attempt` raises.
        """
        failures = 0
        while True:
            try:
                return attempt()
            except Transient as fault:
                failures += 1
                self.pause(fault, failures)

    def pause(self, fault: Transient, failures: int) -> None:
        """Wait before the next attempt after `failures` failed ones; raise the fault's error if there is to be none.

        Raises Cancelled if the work that this belongs to is given up meanwhile.
        """
        patient = fault.throttled and self.tries >= _USUAL_TRIES
        if failures >= (max(self.tries, _TRIES_WHEN_THROTTLED) if patient else self.tries):
            attempts = "attempt" if failures == 1 else "attempts"
            raise type(fault.error)(f"{fault.error}; gave up after {failures} {attempts}") from fault
        if fault.wait is not None and fault.wait > LONGEST_WAIT:
            raise type(fault.error)(f"{fault.error}; the server asks to come back in {fault.wait:.0f} s") from fault
        delay = min(_FIRST_DELAY * 2 ** (failures - 1), _LONGEST_DELAY) * random.uniform(0.5, 1)
        if fault.wait is not None:
            delay = max(delay, fault.wait * random.uniform(1, 1.1))
        self.emit(Retrying(fault.url, fault.reason, delay))
        self.sleep(delay)


def raise_if_transient(answer: Answer, redactor: Redactor) -> None:
    """Raise Transient for an answer whose status is worth another attempt."""
    if answer.status in RETRIED_STATUSES:
        error, reason = refusal(answer, redactor), describe_status(answer.status)
        wait, throttled = retry_after(answer.headers), answer.status == HTTPStatus.TOO_MANY_REQUESTS
        raise Transient(error, public_url(answer.url), reason, wait, throttled=throttled)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks for, in seconds or as a date (RFC 9110, 10.2.3); None without it."""
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
