"""Make signals end doit's threads and worker processes reliably, at any moment.

doit has gaps. A signal while it starts a worker leaves the worker running, and the worker loses it.
One during `Queue.put` leaves a thread blocked that Python waits for at exit. And one just before
`Queue.get` has to wait for the next item. A worker outlives a parent that was
killed, and a parent waits forever for a worker that was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from multiprocessing import Process, parent_process
from typing import Any

from doit import runner

from bundlepipe.concurrency.cancellation import awaited, is_about_to_end, uninterrupted
from bundlepipe.concurrency.termination import end_orderly, interrupt_between_steps
from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly


class Worker(Process):
    """A worker process of doit that its parent either knows or did not start."""

    def __init__(self, target: Callable[..., object], args: tuple[Any, ...]) -> None:
        super().__init__(target=target, args=args)
        self._jobs = args[0]

    def start(self) -> None:
        """Start the process, and handle a signal after that."""
        with uninterrupted:
            super().start()
            _started.append(self)

    def run(self) -> None:
        """Run the process; from here on signals end it as usual."""
        uninterrupted.leave()
        # A worker of a forkserver has neither handlers of signals nor the methods of its queue and streams.
        end_orderly()
        interrupt_between_steps()
        end_quietly()
        _wait_in_turns(self._jobs, _end_if_lost)
        super().run()


_started: list[Worker] = []


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
        put = queue.put

        def put_without_interruption(item: object) -> None:
            with uninterrupted:
                put(item)

        queue.put = put_without_interruption
        _wait_in_turns(queue, _end_if_worker_was_killed)
        return queue

    return made


def _wait_in_turns(queue: Any, between_turns: Callable[[], object]) -> None:
    get = type(queue).get
    queue.get = lambda: awaited(partial(get, queue), between_turns)


def _end_if_lost() -> None:
    """End a worker whose parent is gone, or which lost the exit that a signal had raised, as in a finalizer."""
    parent = parent_process()
    if is_about_to_end() or (parent and not parent.is_alive()):
        raise SystemExit(1)


def _end_if_worker_was_killed() -> None:
    """End a run that would wait forever for the result of a worker."""
    for worker in _started:
        if worker.exitcode:
            how = f"by signal {-worker.exitcode}" if worker.exitcode < 0 else f"with status {worker.exitcode}"
            raise SystemExit(
                f"a worker process ended {how} before its task was done (the system may be out of memory): "
                f"run it again, with fewer at once by doit's `-n`"
            )
