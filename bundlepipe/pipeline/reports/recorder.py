"""Record a run for its reports: called by the reporter, in the process and mostly in the thread of doit's runner."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from doit.exceptions import BaseFail, InvalidCommand
from doit.task import Task
from msgspec import Struct

from bundlepipe.filesystem.base_directory import base_directory
from bundlepipe.pipeline.doit_adapter.internals import Calculator, calculators
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.reports.kinds import wanted_paths
from bundlepipe.pipeline.running.edges import PipelineTask
from bundlepipe.pipeline.running.status import own_reasons
from bundlepipe.stores.http.traffic import traffic


def recorder_of(given: str, declared: Sequence[str]) -> Recorder | None:
    """Return the recorder for the reports that the environment variable, or else the pipelines, want.

    None if it has nothing but commas; InvalidCommand, with which doit ends the run, for the path of no report.
    """
    try:
        paths = wanted_paths(given, declared)
    except ValueError as error:
        raise InvalidCommand(str(error)) from None
    return Recorder(paths) if paths else None


class Times(Struct):
    """When a task's turn came, it began to run, and it ended, in seconds of the monotonic clock."""

    ready: float
    began: float | None = None
    ended: float | None = None


class Failed(Struct, frozen=True):
    """What doit says of a task that failed, and what its actions printed, whole: secrets are still to be redacted."""

    kind: str
    message: str
    traceback: str
    text: str
    output: str


class Recorder:
    """Records times, reasons and failures of tasks; `paths` of the reports are relative to `directory`."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self.directory = base_directory()
        self.process = os.getpid()
        self.began, self.clock = time.time(), time.monotonic()
        self.times: dict[str, Times] = {}
        self.failures: dict[str, Failed] = {}
        self.reasons: dict[str, list[Reason]] = {}
        self.account = traffic.keep_account()
        # One of a pipeline, which knows doit's records as soon as it was evaluated.
        self._condition: Calculator | None = None

    def select(self, task: Task) -> None:
        """Record that all tasks that this one needs have ended; measure its action."""
        if isinstance(task, PipelineTask):
            task.is_reported = True
            found = (each for each in calculators(task) if isinstance(each, Calculator))
            self._condition = self._condition or next(found, None)
        self.times[task.name] = Times(time.monotonic())

    def start(self, task: Task) -> None:
        """Record that a task begins to run, and why if it is a user's own; any thread may call this."""
        self._times(task).began = time.monotonic()
        # By the record of its last run, which its success replaces.
        records = self._condition.dependencies if self._condition else None
        if records is not None and not isinstance(task, PipelineTask):
            self.reasons[task.name] = own_reasons(task, records)

    def end(self, task: Task, reasons: Sequence[Reason] = ()) -> None:
        """Record that a task ended, or was found to be up to date; `reasons` are why it ran."""
        self._times(task).ended = time.monotonic()
        self.reasons.setdefault(task.name, list(reasons))

    def fail(self, task: Task, failure: BaseFail, reasons: Sequence[Reason] = ()) -> None:
        """Record why a task failed."""
        self.end(task, reasons)
        printed = "".join(text for action in task.actions for text in (action.out, action.err) if text)
        self.failures[task.name] = Failed(
            failure.get_name(), str(failure.message), "".join(failure.traceback), failure.get_msg(), printed
        )

    def _times(self, task: Task) -> Times:
        return self.times.setdefault(task.name, Times(time.monotonic()))
