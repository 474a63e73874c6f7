"""doit's threads and workers, so that a signal ends them all at whatever moment it comes.

What doit does has gaps. A signal while it starts a worker leaves one that nobody ends, and in
the worker it is lost. One in the middle of `Queue.put` leaves a thread asleep that Python
waits for in the end. And one just before `Queue.get` has to wait for what is put next.
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
    """A worker process of doit that the process which starts it knows, or that is not."""

    def start(self) -> None:
        """Start it, and deal with a signal then."""
        with uninterrupted:
            super().start()

    def run(self) -> None:
        """Do the work; signals end it as they do everywhere."""
        uninterrupted.leave()
        super().run()


def end_workers_orderly() -> None:
    """Let signals end the threads and workers of doit's runs from now on."""
    if runner.Process is not Worker:
        # doit tells processes from threads by this name.
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
