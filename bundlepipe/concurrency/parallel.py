"""Run functions in parallel threads, for requests that wait for a network."""

from __future__ import annotations

import queue
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, TypeVar

from bundlepipe.concurrency.cancellation import Cancellation, Cancelled, awaited, cancellable, cut_off_if_cancelled
from bundlepipe.errors import InvalidContent
from bundlepipe.events import Emit, Event
from bundlepipe.filesystem.base_directory import carried

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")
Step = TypeVar("Step", bound=Hashable)

CONCURRENT_REQUESTS = 8


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the function's results in the order of the items.

    If one fails, or the caller is interrupted or cancelled, no further one begins, running ones are
    cancelled, and the first exception is raised.
    """
    todo = list(items)
    if len(todo) < 2:
        return [function(item) for item in todo]
    done: queue.SimpleQueue[Future[Result]] = queue.SimpleQueue()
    with _cancelled_together(min(CONCURRENT_REQUESTS, len(todo)), "requests") as (pool, stopping):
        futures = [pool.submit(cancellable, stopping, carried(partial(function, item))) for item in todo]
        for future in futures:
            future.add_done_callback(done.put)
        for _ in futures:
            awaited(done.get).result()
        return [future.result() for future in futures]


def run_in_order(steps: Mapping[Step, Sequence[Step]], run: Callable[[Step, Emit], None], emit: Emit) -> None:
    """Run each step after its prerequisites (its value in `steps`), as many in parallel as there are threads.

    If one fails, or the caller is interrupted or cancelled, no further step begins, running ones end where they wait
    or emit an event, and the first exception is raised. Raises InvalidContent for a cycle of steps.
    """
    sorter = TopologicalSorter(steps)
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " -> ".join(map(str, error.args[1]))
        raise InvalidContent(f"these belong to one another in a cycle: {cycle}") from None
    done: queue.SimpleQueue[tuple[Step, Future[None]]] = queue.SimpleQueue()
    with _cancelled_together(CONCURRENT_REQUESTS, "transfers") as (pool, stopping):

        def emit_unless_stopping(event: Event) -> None:
            if stopping.has_happened:
                raise Cancelled
            emit(event)

        while sorter.is_active():
            for step in sorter.get_ready():
                future = pool.submit(cancellable, stopping, carried(partial(run, step, emit_unless_stopping)))
                future.add_done_callback(lambda future, step=step: done.put((step, future)))  # type: ignore[misc]
            step, future = awaited(done.get)
            future.result()
            sorter.done(step)


@contextmanager
def _cancelled_together(threads: int, name: str) -> Iterator[tuple[ThreadPoolExecutor, Cancellation]]:
    """Yield a thread pool, and a Cancellation for its work: set by a failure in the context, and by the caller's."""
    from concurrent.futures import ThreadPoolExecutor

    stopping = Cancellation()
    with cut_off_if_cancelled(stopping.set), ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        try:
            yield pool, stopping
        except BaseException:
            stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
