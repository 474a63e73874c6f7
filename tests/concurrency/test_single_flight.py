"""Work that several threads want at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bundlepipe.concurrency.cancellation import Cancellation, Cancelled, cancellable, pause
from bundlepipe.concurrency.single_flight import SingleFlight


def test_those_who_come_meanwhile_share_the_result() -> None:
    flights: SingleFlight[int] = SingleFlight()
    runs, may_land, waiting = [], threading.Event(), threading.Semaphore(0)

    def work() -> int:
        runs.append(1)
        may_land.wait()
        return 42

    def ask(_: int) -> tuple[int, bool]:
        waiting.release()
        return flights.do("key", work)

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(ask, number) for number in range(4)]
        for _ in range(4):
            waiting.acquire()
        # All have come; those that have not yet asked will find the flight in the air, or start another.
        threading.Event().wait(0.05)
        may_land.set()
        results = [future.result() for future in futures]
    assert {result for result, _ in results} == {42}
    assert sum(leads for _, leads in results) == len(runs) == 1


def test_those_who_come_meanwhile_share_the_fault() -> None:
    flights: SingleFlight[int] = SingleFlight()
    may_land = threading.Event()

    def work() -> int:
        may_land.wait()
        raise ValueError("once")

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(flights.do, "key", work) for _ in range(2)]
        threading.Event().wait(0.05)
        may_land.set()
        for future in futures:
            with pytest.raises(ValueError, match="once"):
                future.result()


def test_who_comes_later_works_again() -> None:
    flights: SingleFlight[int] = SingleFlight()
    with pytest.raises(ZeroDivisionError):
        flights.do("key", lambda: 1 // 0)

    assert flights.do("key", lambda: 1) == (1, True)
    assert flights.do("key", lambda: 2) == (2, True)
    assert flights.do("other", lambda: 3) == (3, True)


def test_who_is_not_given_up_does_not_share_that_another_was() -> None:
    flights: SingleFlight[int] = SingleFlight()
    stopping, is_in_the_air = Cancellation(), threading.Event()

    def give_up() -> int:
        is_in_the_air.set()
        pause(3600)
        return 1

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(cancellable, stopping, lambda: flights.do("key", give_up))
        is_in_the_air.wait()
        follower = pool.submit(flights.do, "key", lambda: 2)
        threading.Event().wait(0.05)
        stopping.set()
        assert follower.result() == (2, True)
        with pytest.raises(Cancelled):
            leader.result()
