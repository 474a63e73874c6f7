"""When another attempt is made, and after which pause."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from bundlepipe.errors import StoreError, Unreachable
from bundlepipe.events import Event, Retrying
from bundlepipe.stores.http.retries import Retries, Transient, retry_after
from bundlepipe.stores.settings import NetworkSettings, patience


def _fault(wait: float | None = None) -> Transient:
    return Transient(Unreachable("GET x: broken"), "https://r.example/x", "broken", wait)


def test_the_result_of_the_first_good_attempt_is_returned() -> None:
    events: list[Event] = []
    pauses: list[float] = []
    outcomes = [_fault(), _fault(), None]

    def attempt() -> str:
        fault = outcomes.pop(0)
        if fault:
            raise fault
        return "done"

    assert Retries(events.append, 3, pauses.append).run(attempt) == "done"
    assert events == [Retrying("https://r.example/x", "broken", pause) for pause in pauses]
    assert len(pauses) == 2


def test_the_last_fault_becomes_the_error() -> None:
    def attempt() -> None:
        raise _fault()

    with pytest.raises(Unreachable, match=r"^GET x: broken; gave up after 2 attempts$"):
        Retries(lambda _: None, 2, lambda _: None).run(attempt)


def _host_fault(host: str = "r.example", wait: float | None = None) -> Transient:
    return Transient(Unreachable("GET x: down"), f"https://{host}/x", "down", wait, of_host=True)


AT_ONCE = r"^https://r\.example: down; other requests were retried without success$"


def test_what_is_a_fault_of_the_host_is_not_tried_again_for_ever() -> None:
    pauses: list[float] = []
    retries = Retries(lambda _: None, 3, pauses.append)
    for _ in range(2):
        with pytest.raises(Unreachable, match=r"^GET x: down; gave up after 3 attempts$"):
            retries.run(_failing(_host_fault()))
    with pytest.raises(Unreachable, match=AT_ONCE):
        retries.run(_failing(_host_fault()))
    assert len(pauses) == 4
    # Others have their attempts: faults of one request, and those of another host.
    for other in (_fault(), _host_fault("other.example")):
        with pytest.raises(Unreachable, match=r"gave up after 3 attempts$"):
            retries.run(_failing(other))
    retries.note_answer("other.example")
    with pytest.raises(Unreachable, match=AT_ONCE):
        retries.run(_failing(_host_fault()))
    retries.note_answer("r.example")
    with pytest.raises(Unreachable, match=r"gave up after 3 attempts$"):
        retries.run(_failing(_host_fault()))


def test_a_host_out_of_patience_counts_as_well() -> None:
    retries = Retries(lambda _: None, 20, lambda _: None, patience=1)
    for expected in ("GET x: down; gave up after", "GET x: down; gave up after", AT_ONCE):
        with pytest.raises(Unreachable, match=expected):
            retries.run(_failing(_host_fault()))


def test_a_single_attempt_is_told_as_such() -> None:
    retries = Retries(lambda _: None, 1, lambda _: None)
    for _ in range(4):
        with pytest.raises(Unreachable, match=r"^GET x: down; gave up after 1 attempt$"):
            retries.run(_failing(_host_fault()))


def test_other_errors_pass() -> None:
    attempts = []

    def attempt() -> None:
        attempts.append(1)
        raise StoreError("final")

    with pytest.raises(StoreError, match="final"):
        Retries(lambda _: None).run(attempt)
    assert len(attempts) == 1


def test_a_wait_that_the_server_asks_for_is_not_cut_short() -> None:
    pauses: list[float] = []
    retries = Retries(lambda _: None, 5, pauses.append)
    retries.pause(_fault(wait=30), 1)
    retries.pause(_fault(wait=0), 1)

    assert 30 <= pauses[0] <= 33
    assert pauses[1] > 0


def test_patience_has_an_end() -> None:
    pauses: list[float] = []
    retries = Retries(lambda _: None, 5, pauses.append, patience=60)
    limit = "the limit is 60 s in all: try later, or set BUNDLEPIPE_PATIENCE"

    with pytest.raises(Unreachable, match=f"asks to come back in 61 s, and {limit}$"):
        retries.pause(_fault(wait=61), 1)
    assert retries.pause(_fault(wait=40), 1) == pauses[0]
    with pytest.raises(Unreachable, match=f"gave up after 2 attempts and 40 s of waiting, and {limit}$"):
        retries.pause(_fault(wait=40), 2, 40)
    with pytest.raises(Unreachable, match=r"gave up after 2 attempts and 4\d s of waiting"):
        retries.run(_failing(_fault(wait=40)))


def _failing(fault: Transient) -> Callable[[], None]:
    def attempt() -> None:
        raise fault

    return attempt


def test_of_threads_that_wait_for_the_same_reason_one_tells() -> None:
    events: list[Event] = []
    meeting = threading.Barrier(3)

    def meet(_: float) -> None:
        meeting.wait(10)

    retries = Retries(events.append, 5, meet)
    faults = [_fault(), _fault(), Transient(Unreachable("x"), "https://r.example/y", "broken")]

    with ThreadPoolExecutor(3) as pool:
        assert len(list(pool.map(lambda fault: retries.pause(fault, 1), faults))) == 3

    assert len(events) == 1


@pytest.mark.parametrize(("text", "seconds"), [("", 300), ("7", 7), ("0", 0)])
def test_patience_is_a_matter_of_the_environment(text: str, seconds: float) -> None:
    assert patience(NetworkSettings(), {"BUNDLEPIPE_PATIENCE": text}) == seconds
    assert patience(NetworkSettings(patience=1), {"BUNDLEPIPE_PATIENCE": text}) == 1


@pytest.mark.parametrize("text", ["5m", "-1", "1.5", "٣"])
def test_a_patience_that_is_no_number_is_an_error(text: str) -> None:
    with pytest.raises(StoreError, match=r"^BUNDLEPIPE_PATIENCE: '.*' is not a number of seconds"):
        patience(NetworkSettings(), {"BUNDLEPIPE_PATIENCE": text})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), (" 17 ", 17), ("", None), ("-3", None), ("1.5", None), ("soon", None), ("٣", None), ("²", None)],
)
def test_retry_after_in_seconds_is_read(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}) == seconds


def test_retry_after_as_a_date_is_read() -> None:
    now = datetime.now(timezone.utc)
    later = retry_after({"Retry-After": format_datetime(now + timedelta(seconds=90), usegmt=True)})
    assert later is not None
    assert 60 < later <= 90
    assert retry_after({"Retry-After": format_datetime(now - timedelta(days=9), usegmt=True)}) == 0
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00"}) == 0
    assert retry_after({}) is None
