"""What is waited for when work is given up."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bundlepipe.concurrency.cancellation import (
    Cancellation,
    Cancelled,
    await_the_end_of_work,
    cancellable,
    cut_off_if_cancelled,
    is_cancelled,
    left_if_cancelled,
)

# Seconds: who waits for this long was forgotten.
LONG = 60


def test_a_cut_ends_the_wait() -> None:
    cancellation, waits, ended = Cancellation(), threading.Event(), threading.Event()

    def work() -> bool:
        with cut_off_if_cancelled(ended.set):
            waits.set()
            assert ended.wait(LONG)
        return is_cancelled()

    with ThreadPoolExecutor() as pool:
        result = pool.submit(cancellable, cancellation, work)
        assert waits.wait(LONG)
        cancellation.set()
        assert result.result()


def test_nothing_is_cut_before_or_after() -> None:
    cancellation, cuts = Cancellation(), list[str]()

    def work() -> None:
        with cut_off_if_cancelled(lambda: cuts.append("first")):
            pass
        with cut_off_if_cancelled(lambda: cuts.append("outer")), cut_off_if_cancelled(lambda: cuts.append("inner")):
            cancellation.set()
        with pytest.raises(Cancelled), cut_off_if_cancelled(lambda: cuts.append("late")):
            pytest.fail("it is too late")

    cancellable(cancellation, work)
    assert cuts == ["outer", "inner"]


def test_what_is_given_up_does_not_begin() -> None:
    cancellation = Cancellation()
    cancellation.set()
    with pytest.raises(Cancelled):
        cancellable(cancellation, lambda: pytest.fail("it is too late"))


def test_the_end_of_work_is_waited_for_and_not_for_ever() -> None:
    begun, may_end, was_waited_for = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert may_end.wait(LONG)

    def wait() -> bool:
        await_the_end_of_work(LONG)
        was_waited_for.set()
        return may_end.is_set()

    with ThreadPoolExecutor() as pool:
        result = pool.submit(cancellable, Cancellation(), work)
        assert begun.wait(LONG)
        await_the_end_of_work(0.01)
        waiting = pool.submit(wait)
        assert not was_waited_for.wait(0.1)
        may_end.set()
        assert waiting.result(LONG)
        result.result()


def test_who_is_given_up_in_another_process_says_so() -> None:
    assert str(pickle.loads(pickle.dumps(Cancelled()))) == "cancelled, since other work failed"


def test_a_signal_may_come_at_any_moment_of_a_pause() -> None:
    script = """
import signal
from bundlepipe.concurrency.cancellation import Cancellation, Cancelled, cancellable, pause

def work():
    while True:
        pause(0)

signal.signal(signal.SIGALRM, lambda *_: cancellation.set())
for _ in range(5000):
    cancellation = Cancellation()
    signal.setitimer(signal.ITIMER_REAL, 0.0001)
    try:
        cancellable(cancellation, work)
    except Cancelled:
        pass
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=LONG)


def test_without_anybody_to_give_it_up_there_is_nothing_to_cut() -> None:
    with cut_off_if_cancelled(lambda: pytest.fail("nobody asked")):
        assert left_if_cancelled(threading.current_thread) is threading.current_thread()


def _broken() -> None:
    raise KeyError("broken")


def test_what_can_be_left_gives_its_result_or_exception() -> None:
    left: list[str] = []

    def work() -> int:
        with pytest.raises(KeyError, match="broken"):
            left_if_cancelled(_broken, lambda: left.append("broken"))
        return left_if_cancelled(lambda: 42, lambda: left.append("42"))

    assert cancellable(Cancellation(), work) == 42
    assert not left


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_left_goes_on_and_is_tidied_up(fails: bool) -> None:
    cancellation, runs, may_end, tidied = Cancellation(), threading.Event(), threading.Event(), threading.Event()

    def endless() -> None:
        runs.set()
        assert may_end.wait(LONG)
        if fails:
            _broken()

    with ThreadPoolExecutor() as pool:
        result = pool.submit(cancellable, cancellation, lambda: left_if_cancelled(endless, tidied.set))
        assert runs.wait(LONG)
        cancellation.set()
        with pytest.raises(Cancelled):
            result.result(LONG)
    assert not tidied.is_set()
    may_end.set()
    assert tidied.wait(LONG)
