"""Requests side by side: they wait for a network, not for the processor."""

from __future__ import annotations

import queue
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from bundlepipe.cancellation import Cancellation, Cancelled, cancellable, cut_off_if_cancelled
from bundlepipe.errors import InvalidContent
from bundlepipe.events import Emit, Event

Item = TypeVar("Item")
Result = TypeVar("Result")
Step = TypeVar("Step", bound=Hashable)

CONCURRENT_REQUESTS = 8


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the function's results in the order of the items.

    When one fails, or the caller is interrupted or given up, no further one begins, those
    under way are given up, and the first exception is raised.
    """
    todo = list(items)
    if len(todo) < 2:
        return [function(item) for item in todo]
    stopping = Cancellation()
    threads = ThreadPoolExecutor(min(CONCURRENT_REQUESTS, len(todo)), thread_name_prefix="requests")
    with cut_off_if_cancelled(stopping.set), threads as pool:
        try:
            futures = [pool.submit(cancellable, stopping, partial(function, item)) for item in todo]
            finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future in finished:
                    future.result()
            return [future.result() for future in futures]
        except BaseException:
            stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def run_in_order(steps: Mapping[Step, Sequence[Step]], run: Callable[[Step, Emit], None], emit: Emit) -> None:
    """Run each step once those it comes after (its value in `steps`) are done, as many at once as there are threads.

    When one fails, or the caller is interrupted or given up, no further step begins, those
    under way end where they wait or emit an event, and the first exception is raised. Raises
    InvalidContent for steps that come after one another in a circle.
    """
    sorter = TopologicalSorter(steps)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(map(str, error.args[1]))
        raise InvalidContent(f"these belong to one another in a circle: {circle}") from None
    stopping = Cancellation()
    done: queue.SimpleQueue[tuple[Step, Future[None]]] = queue.SimpleQueue()

    def emit_unless_stopping(event: Event) -> None:
        if stopping.has_happened:
            raise Cancelled
        emit(event)

    threads = ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="transfers")
    with cut_off_if_cancelled(stopping.set), threads as pool:
        try:
            while sorter.is_active():
                for step in sorter.get_ready():
                    future = pool.submit(cancellable, stopping, partial(run, step, emit_unless_stopping))
                    future.add_done_callback(lambda future, step=step: done.put((step, future)))  # type: ignore[misc]
                step, future = done.get()
                future.result()
                sorter.done(step)
        except BaseException:
            stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
