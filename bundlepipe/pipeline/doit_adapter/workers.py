"""Make signals end doit's threads and worker processes reliably, at any moment.

doit has gaps. A signal while it starts a worker leaves the worker running, and the worker loses it.
One during `Queue.put` leaves a thread blocked that Python waits for at exit. And one just before
`Queue.get` has to wait for the next item.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from multiprocessing import Process
from typing import Any

from doit import runner

from bundlepipe.concurrency.cancellation import awaited, uninterrupted
from bundlepipe.concurrency.termination import interrupt_between_steps


class Worker(Process):
    """A worker process of doit that its parent either knows or did not start."""

    def start(self) -> None:
        """Start the process, and handle a signal after that."""
        with uninterrupted:
            super().start()

    def run(self) -> None:
        """Run the process; from here on signals end it as usual."""
        uninterrupted.leave()
        super().run()


def end_workers_orderly() -> None:
    """From now on, let signals end the threads and workers of doit's runs."""
    if runner.Process is not Worker:
        # The name by which doit distinguishes processes from threads.
        runner.Process = Worker
        runner.MRunner.Child = staticmethod(Worker)
        for kind in (runner.MRunner, runner.MThreadRunner):
            kind.Queue = staticmethod(_orderly(kind.Queue))


def _orderly(make: Callable[[], Any]) -> Callable[[], Any]:
    @wraps(make)
    def made() -> Any:
        interrupt_between_steps()
        queue = make()
        get, put = queue.get, queue.put

        def put_without_interruption(item: object) -> None:
            with uninterrupted:
                put(item)

        def get_in_turns() -> Any:
            return awaited(get)

        queue.get, queue.put = get_in_turns, put_without_interruption
        return queue

    return made
