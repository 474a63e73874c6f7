"""Make the report of a run from what was recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from doit.task import Task
from msgspec.structs import replace

from bundlepipe.pipeline.doit_adapter.failures import first_line
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.reports.content import (
    FAILED,
    INTERRUPTED,
    NOT_REACHED,
    SUCCEEDED,
    UP_TO_DATE,
    Failure,
    Report,
    ReportedTask,
    by_host,
    by_time,
    clean,
    difference,
)
from bundlepipe.pipeline.reports.recorder import Recorder
from bundlepipe.pipeline.reports.waits import Span, critical_path, holds, lanes
from bundlepipe.pipeline.running.action import SUMMARY
from bundlepipe.pipeline.running.edges import PipelineTask, needs_among
from bundlepipe.pipeline.running.measuring import MEASURED, Measured
from bundlepipe.pipeline.running.staleness import CHECKED
from bundlepipe.stores.http.traffic import Traffic

Redact = Callable[[str], str]

# The most characters of captured output that a report has: the last ones, which say why a task failed.
_LONGEST_OUTPUT = 10_000


def made_report(
    record: Recorder,
    tasks: Mapping[str, Task],
    outcomes: Mapping[str, str],
    errors: Sequence[str],
    redact: Redact,
    *,
    is_complete: bool,
) -> Report:
    """Return the report of the tasks in `outcomes`, in texts of which `redact` replaces secrets.

    `errors` are those of no task; a run that is not complete was interrupted, or ended by them.
    """
    now = time.monotonic()
    return _Making(record, tasks, outcomes, redact, now).report(errors, is_complete=is_complete)


class _Making:
    def __init__(
        self,
        record: Recorder,
        tasks: Mapping[str, Task],
        outcomes: Mapping[str, str],
        redact: Redact,
        now: float,
    ) -> None:
        self._record = record
        self._tasks = tasks
        self._outcomes = outcomes
        self._redact = redact
        self._now = now
        self._spans = {name: span for name in outcomes if (span := self._span(name))}
        self._needs = needs_among(outcomes, self._direct_needs, outcomes.__contains__)
        self._lanes = lanes(self._spans)
        self._holds = holds(self._spans, self._needs, self._lanes)

    def report(self, errors: Sequence[str], *, is_complete: bool) -> Report:
        path = critical_path(self._spans, self._holds)
        critical = {step.task for step in path}
        reported = [self._task(name, name in critical) for name in self._outcomes]
        at_all = by_host(self._traffic())
        of_tasks = sum((task.all_traffic for task in reported), Traffic())
        pipelines = [task for task in self._tasks.values() if isinstance(task, PipelineTask)]
        return Report(
            version=version("bundlepipe"),
            job=next((task.shard for task in pipelines if task.shard), ""),
            plan=next((task.plan for task in pipelines if task.plan), ""),
            began=self._record.began,
            seconds=self._now - self._record.clock,
            outcome=_outcome_of_run(self._outcomes.values(), errors, is_complete=is_complete),
            tasks=sorted(reported, key=by_time),
            path=[replace(step, task=clean(step.task)) for step in path],
            traffic=at_all,
            shared=difference(sum(at_all.values(), Traffic()), of_tasks),
            errors=[self._text(error) for error in errors],
        )

    def _task(self, name: str, is_critical: bool) -> ReportedTask:
        task, span, measured = self._tasks[name], self._spans.get(name), self._measured(name)
        outcome = self._outcomes[name]
        hold, lane = self._holds.get(name), self._lanes.get(name)
        checked = (task.meta or {}).get(CHECKED) if isinstance(task, PipelineTask) else None
        values: Mapping[str, Any] = task.values or {}
        return ReportedTask(
            name=clean(name),
            doc=self._text(task.doc),
            outcome=outcome,
            reasons=[self._reason(reason) for reason in self._record.reasons.get(name, ())],
            needs=[clean(need) for need in self._needs[name]],
            failure=self._failure(name),
            ready=span.ready if span else None,
            checked=None if checked is None else checked - self._record.clock,
            began=span.began if span else None,
            ended=span.ended if span else None,
            lane=lane.number if lane else None,
            held_up_by=clean(hold.task) if hold else None,
            because=hold.because if hold else None,
            is_critical=is_critical,
            # That of a task that did not run is of an earlier run.
            summary="" if outcome == UP_TO_DATE else self._text(values.get(SUMMARY)),
            digest="" if outcome in (FAILED, INTERRUPTED, NOT_REACHED) else self._text(values.get("digest")),
            traffic=measured.traffic if measured else {},
            blobs=measured.blobs if measured else {},
        )

    def _span(self, name: str) -> Span | None:
        """Return when a task ran, by its worker's own measurement if there is one; a task that was cut off runs on."""
        times, measured = self._record.times.get(name), self._measured(name)
        if times is None or self._outcomes[name] == NOT_REACHED:
            return None
        began = measured.began if measured else times.began
        ended = measured.ended if measured else times.ended
        zero = self._record.clock
        return Span(
            times.ready - zero, None if began is None else began - zero, (self._now if ended is None else ended) - zero
        )

    def _measured(self, name: str) -> Measured | None:
        task = self._tasks[name]
        measured: Measured | None = (task.meta or {}).get(MEASURED) if isinstance(task, PipelineTask) else None
        return measured

    def _direct_needs(self, name: str) -> Iterable[str]:
        task = self._tasks.get(name)
        return () if task is None else (*task.task_dep, *task.calc_dep, *task.setup_tasks)

    def _failure(self, name: str) -> Failure | None:
        failed = self._record.failures.get(name)
        if failed is None:
            return None
        # Before anything is cut, so that no part of a secret is left.
        line = first_line(self._text(failed.message), self._text(failed.traceback)) or failed.kind
        if self._outcomes[name] == NOT_REACHED:
            return Failure(failed.kind, f"needs {line}, which did not succeed", "")
        return Failure(failed.kind, line, self._text(failed.text), self._text(failed.output)[-_LONGEST_OUTPUT:])

    def _traffic(self) -> Iterator[Mapping[str, Traffic]]:
        """Yield the traffic of this process, and of tasks in other processes, by host."""
        yield self._record.account.by_host()
        for name in self._outcomes:
            measured = self._measured(name)
            if measured and measured.process != self._record.process:
                yield measured.traffic

    def _reason(self, reason: Reason) -> Reason:
        return replace(reason, subject=self._text(reason.subject), because=self._text(reason.because))

    def _text(self, value: object) -> str:
        return clean(self._redact(value)) if isinstance(value, str) else ""


def _outcome_of_run(outcomes: Iterable[str], errors: Sequence[str], *, is_complete: bool) -> str:
    if not is_complete and not errors:
        return INTERRUPTED
    return FAILED if errors or {FAILED, NOT_REACHED, INTERRUPTED} & set(outcomes) else SUCCEEDED
