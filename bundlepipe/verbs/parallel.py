"""Requests side by side: they wait for a network, not for the processor."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from graphlib import TopologicalSorter
from typing import TypeVar

from bundlepipe.errors import BundlepipeError
from bundlepipe.events import Emit, Event

Item = TypeVar("Item")
Result = TypeVar("Result")
Step = TypeVar("Step", bound=Hashable)

CONCURRENT_REQUESTS = 8


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the function's results in the order of the items; the first exception is raised."""
    todo = list(items)
    if len(todo) < 2:
        return [function(item) for item in todo]
    with ThreadPoolExecutor(min(CONCURRENT_REQUESTS, len(todo)), thread_name_prefix="requests") as pool:
        return list(pool.map(function, todo))


class Cancelled(BundlepipeError):
    """A step was given up because another one failed."""


def run_in_order(steps: Mapping[Step, Sequence[Step]], run: Callable[[Step, Emit], None], emit: Emit) -> None:
    """Run each step once those it comes after (its value in `steps`) are done, as many at once as there are threads.

    When one fails, or the caller is interrupted, no further step begins, those under way
    end at the next event that they emit, and the first exception is raised.
    """
    sorter = TopologicalSorter(steps)
    sorter.prepare()
    stopping = threading.Event()
    done: queue.SimpleQueue[tuple[Step, Future[None]]] = queue.SimpleQueue()

    def emit_unless_stopping(event: Event) -> None:
        if stopping.is_set():
            raise Cancelled("given up, since another transfer failed")
        emit(event)

    with ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="transfers") as pool:
        try:
            while sorter.is_active():
                for step in sorter.get_ready():
                    future = pool.submit(run, step, emit_unless_stopping)
                    future.add_done_callback(lambda future, step=step: done.put((step, future)))  # type: ignore[misc]
                step, future = done.get()
                future.result()
                sorter.done(step)
        except BaseException:
            stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
