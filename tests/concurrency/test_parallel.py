"""Work side by side: the first failure ends all of it, whatever the rest is waiting for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial

import pytest

from bundlepipe.concurrency.cancellation import Cancellation, Cancelled, cancellable, pause
from bundlepipe.concurrency.parallel import in_parallel, run_in_order
from bundlepipe.errors import InvalidContent, StoreError
from bundlepipe.events import ignore

# Who waits for this long has not been woken.
FOR_EVER = 3600


def test_results_come_in_the_order_of_the_items() -> None:
    assert in_parallel(lambda number: number * 2, range(100)) == list(range(0, 200, 2))


@pytest.mark.parametrize("kind", [StoreError, KeyboardInterrupt])
def test_a_failure_ends_the_pauses_of_others(kind: type[BaseException]) -> None:
    waiting = threading.Barrier(3)

    def work(number: int) -> None:
        waiting.wait(60)
        if number == 2:
            raise kind("broken")
        pause(FOR_EVER)

    with pytest.raises(kind, match="broken"):
        in_parallel(work, range(3))


@pytest.mark.parametrize(
    "run", [partial(in_parallel, items=range(3)), lambda work: run_in_order({0: [], 1: [], 2: []}, work, ignore)]
)
def test_a_signal_that_another_thread_takes_ends_the_wait(run: Callable[[Callable[..., None]], object]) -> None:
    waiting = threading.Barrier(3)

    def work(number: int, *_: object) -> None:
        waiting.wait(60)
        if number == 0:
            # As if it had come between the look of the main thread and its wait, which only a signal to itself ends.
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        pause(FOR_EVER)

    with pytest.raises(KeyboardInterrupt):
        run(work)


def test_a_failed_step_ends_the_pauses_of_others() -> None:
    waiting = threading.Barrier(2)
    outcomes: list[type[BaseException]] = []

    def run(step: str, emit: object) -> None:
        waiting.wait(60)
        if step == "fails":
            raise StoreError("broken")
        try:
            pause(FOR_EVER)
        except Cancelled:
            outcomes.append(Cancelled)
            raise

    with pytest.raises(StoreError, match="broken"):
        run_in_order({"waits": [], "fails": []}, run, ignore)
    assert outcomes == [Cancelled]


def test_what_is_given_up_gives_up_what_it_has_begun() -> None:
    waiting = threading.Barrier(3)

    def wait(number: int) -> None:
        waiting.wait(60)
        pause(FOR_EVER)

    def run(step: str, emit: object) -> None:
        if step == "fails":
            waiting.wait(60)
            raise StoreError("broken")
        in_parallel(wait, range(2))

    with pytest.raises(StoreError, match="broken"):
        run_in_order({"waits": [], "fails": []}, run, ignore)


def test_steps_in_a_cycle_are_an_error() -> None:
    with pytest.raises(InvalidContent, match=r"in a cycle: . -> . -> ."):
        run_in_order({"a": ["b"], "b": ["a"]}, lambda step, emit: None, ignore)


def test_a_pause_by_itself_just_waits() -> None:
    pause(0)
    cancellable(Cancellation(), lambda: pause(0))
