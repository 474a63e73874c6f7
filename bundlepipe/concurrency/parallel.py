"""Run functions in parallel threads, for requests that wait for a network."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bundlepipe.concurrency.cancellation import Cancellation, Cancelled, awaited, cancellable, cut_off_if_cancelled
from bundlepipe.errors import InvalidContent
from bundlepipe.events import Emit, Event
from bundlepipe.filesystem.base_directory import carried

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")
Step = TypeVar("Step", bound=Hashable)

CONCURRENT_REQUESTS = 8
# Submitted work takes memory until it is done; this keeps all threads busy.
_AHEAD = 2 * CONCURRENT_REQUESTS


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the function's results in the order of the items.

    If one fails, or the caller is interrupted or cancelled, no further one begins, running ones are
    cancelled, and the first exception is raised.
    """
    todo = list(items)
    if len(todo) < 2:
        return [function(item) for item in todo]
    waiting, results = iter(enumerate(todo)), dict[int, Result]()
    with _submitting(min(CONCURRENT_REQUESTS, len(todo)), "requests") as (submit, done, _):
        for index, item in islice(waiting, _AHEAD):
            submit(index, partial(function, item))
        while len(results) < len(todo):
            index, future = awaited(done.get)
            results[index] = future.result()
            for index, item in islice(waiting, 1):
                submit(index, partial(function, item))
    return [results[index] for index in range(len(todo))]


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
    ready: deque[Step] = deque()
    with _submitting(CONCURRENT_REQUESTS, "transfers") as (submit, done, stopping):

        def emit_unless_stopping(event: Event) -> None:
            if stopping.has_happened:
                raise Cancelled
            emit(event)

        submitted = 0
        while sorter.is_active():
            ready.extend(sorter.get_ready())
            while ready and submitted < _AHEAD:
                step = ready.popleft()
                submit(step, partial(run, step, emit_unless_stopping))
                submitted += 1
            step, future = awaited(done.get)
            future.result()
            sorter.done(step)
            submitted -= 1


class _Submit(Protocol):
    def __call__(self, key: Any, function: Callable[[], Any]) -> None: ...


@contextmanager
def _submitting(
    threads: int, name: str
) -> Iterator[tuple[_Submit, queue.SimpleQueue[tuple[Any, Future[Any]]], Cancellation]]:
    """Yield how to submit work to a pool of threads by a key, and the queue to which it comes, with its key, when done.

    The Cancellation is for all of it: set by a failure in the context, and by the caller's.
    """
    from concurrent.futures import ThreadPoolExecutor

    stopping = Cancellation()
    done: queue.SimpleQueue[tuple[Any, Future[Any]]] = queue.SimpleQueue()
    with cut_off_if_cancelled(stopping.set), ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:

        def submit(key: Any, function: Callable[[], Any]) -> None:
            future = pool.submit(cancellable, stopping, carried(function))
            future.add_done_callback(lambda future: done.put((key, future)))

        try:
            yield submit, done, stopping
        except BaseException:
            stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
