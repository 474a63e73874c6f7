"""Merge the reports of the jobs that carried out one plan into the report of one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.documents.plan.saved import SavedShard
from bundlepipe.pipeline.reports.content import (
    DONE,
    FAILED,
    INTERRUPTED,
    NOT_REACHED,
    SUCCEEDED,
    UNCHANGED,
    WORKER,
    Report,
    ReportedTask,
    by_host,
    by_time,
    clean,
    difference,
)
from bundlepipe.pipeline.reports.waits import Hold, Lane, Span, critical_path, holds
from bundlepipe.stores.http.traffic import Traffic

# What is shown of a task that several jobs report, if no plan says whose it is: the first of these.
_TELLING = (FAILED, INTERRUPTED, DONE, UNCHANGED)

_SILENT = "left no report: its job did not run, or ended before it could write one"


class _Placed(Struct, frozen=True):
    """A task of a job, with its times and the number of its lane in the merged report."""

    task: ReportedTask
    span: Span | None
    lane: int | None


def merged(reports: Sequence[Report], shards: Sequence[SavedShard] | None = None, plan: str = "") -> Report:
    """Return the report of all jobs as of one run, which began with the first of them.

    `shards` are those of the plan of this identity, each after those that it needs; reports of other jobs do not
    count. A task is shown as its own job reports it, and not as jobs do that only look for its result; without
    `shards`, as the job that did most. A task that its job does not report was not reached. Of two reports of one job,
    the later counts, since it was run again.
    """
    latest = _latest(reports)
    if shards is not None:
        latest = _in_turn(latest, shards)
    began = min((report.began for report in latest), default=0.0)
    placed = _own(_placed(latest, began), shards)
    reported = {report.job for report in latest}
    lacking = {shard.name: names for shard in shards or () if (names := _lacking(shard, placed))}
    missing = [_not_reported(name, job) for job, names in lacking.items() for name in names]
    silent = [shard.name for shard in shards or () if shard.name not in reported]
    spans = {name: each.span for name, each in placed.items() if each.span}
    lanes = _lanes(placed.values())
    needs = {name: each.task.needs for name, each in placed.items()}
    held = holds(spans, needs, lanes)
    path = critical_path(spans, held)
    critical = {step.task for step in path}
    tasks = [_shown(each, held.get(name), name in critical) for name, each in placed.items()]
    traffic = by_host(report.traffic for report in latest)
    of_tasks = sum((task.all_traffic for task in tasks), Traffic())
    return Report(
        version=latest[0].version if latest else "",
        job="",
        plan=plan,
        began=began,
        seconds=max((report.began + report.seconds - began for report in latest), default=0.0),
        outcome=_outcome(latest, has_all=not missing and not silent),
        tasks=[*sorted(tasks, key=by_time), *missing],
        path=path,
        traffic=traffic,
        shared=difference(sum(traffic.values(), Traffic()), of_tasks),
        errors=[
            *_errors(latest, placed),
            *(f"{job}: {_SILENT}" for job in silent),
            *(f"{job}: {_told_lacking(names)}" for job, names in lacking.items() if job not in silent),
        ],
    )


def _latest(reports: Iterable[Report]) -> list[Report]:
    found: dict[str, Report] = {}
    for number, report in enumerate(sorted(reports, key=lambda report: report.began)):
        found[report.job or f"report {number + 1}"] = report
    return [report if report.job else replace(report, job=job) for job, report in found.items()]


def _in_turn(reports: Iterable[Report], shards: Sequence[SavedShard]) -> list[Report]:
    """Return the reports of shards, none of which begins before all that it needs has ended: clocks may differ."""
    of_job = {report.job: report for report in reports}
    found, ends = [], dict[str, float]()
    for shard in shards:
        report = of_job.get(shard.name)
        earliest = max((ends[need] for need in shard.needs if need in ends), default=0.0)
        if report is None:
            ends[shard.name] = earliest
            continue
        began = max(earliest, report.began)
        ends[shard.name] = began + report.seconds
        found.append(replace(report, began=began))
    return sorted(found, key=lambda report: report.began)


def _lacking(shard: SavedShard, placed: Mapping[str, _Placed]) -> list[str]:
    """Return the tasks of a shard that its job does not report."""
    return [name for name in map(clean, shard.tasks) if name not in placed]


def _told_lacking(tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
    return f"its report lacks {tasks[0]}{more}: its run ended before it came there, or was not one of the whole shard"


def _placed(reports: Sequence[Report], began: float) -> Iterator[tuple[str, _Placed]]:
    """Yield (job, task) with times from the beginning of the first job; jobs have lanes of their own while they run."""
    free: list[float] = []
    for report in reports:
        start, end = report.began - began, report.began - began + report.seconds
        idle = [number for number, until in enumerate(free) if until <= start]
        chosen = [*idle, *range(len(free), len(free) + report.lanes)][: report.lanes]
        free += [0.0] * (max(chosen, default=-1) + 1 - len(free))
        for number in chosen:
            free[number] = end
        for task in sorted(report.tasks, key=by_time):
            lane = chosen[task.lane - 1] + 1 if task.lane and task.began is not None else None
            yield report.job, _Placed(replace(task, job=report.job), _span(task, start), lane)


def _lanes(shown: Iterable[_Placed]) -> dict[str, Lane]:
    """Return the lanes of the tasks that ran; one that waited for a worker did so for the task before it there."""
    found: dict[str, Lane] = {}
    last: dict[int, ReportedTask] = {}
    for each in shown:
        if each.lane:
            task, before = each.task, last.get(each.lane)
            is_before = before is not None and before.job == task.job and before.name == task.held_up_by
            found[task.name] = Lane(each.lane, before.name if before and is_before else None, task.because == WORKER)
            last[each.lane] = task
    return found


def _span(task: ReportedTask, start: float) -> Span | None:
    if task.ready is None or task.ended is None:
        return None
    return Span(task.ready + start, None if task.began is None else task.began + start, task.ended + start)


def _own(placed: Iterable[tuple[str, _Placed]], shards: Sequence[SavedShard] | None) -> dict[str, _Placed]:
    """Return what is shown of each task."""
    if shards is not None:
        owner = {clean(task): shard.name for shard in shards for task in shard.tasks}
        return {each.task.name: each for job, each in placed if owner.get(each.task.name) == job}
    found: dict[str, _Placed] = {}
    for _, each in placed:
        known = found.get(each.task.name)
        if known is None or _rank(each.task) < _rank(known.task):
            found[each.task.name] = each
    return found


def _rank(task: ReportedTask) -> int:
    return _TELLING.index(task.outcome) if task.outcome in _TELLING else len(_TELLING)


def _shown(placed: _Placed, hold: Hold | None, is_critical: bool) -> ReportedTask:
    task, span, lane = placed.task, placed.span, placed.lane
    shift = 0.0 if span is None or task.ready is None else span.ready - task.ready
    return replace(
        task,
        ready=span.ready if span else None,
        checked=None if task.checked is None else task.checked + shift,
        began=span.began if span else None,
        ended=span.ended if span else None,
        lane=lane,
        held_up_by=hold.task if hold else None,
        because=hold.because if hold else None,
        is_critical=is_critical,
    )


def _not_reported(task: str, job: str) -> ReportedTask:
    return ReportedTask(
        name=task,
        doc="",
        outcome=NOT_REACHED,
        reasons=(),
        needs=(),
        failure=None,
        ready=None,
        checked=None,
        began=None,
        ended=None,
        lane=None,
        held_up_by=None,
        because=None,
        is_critical=False,
        summary="",
        digest="",
        traffic={},
        blobs={},
        job=job,
    )


def _errors(reports: Sequence[Report], shown: Mapping[str, _Placed]) -> Iterator[str]:
    """Yield the errors of no task, and failures of tasks that are shown as another job reports them."""
    for report in reports:
        yield from (f"{report.job}: {error}" for error in report.errors)
        for task in report.tasks:
            is_shown = task.name in shown and shown[task.name].task.job == report.job
            if task.failure and task.outcome == FAILED and not is_shown:
                yield f"{report.job}: {task.name}: {task.failure.line}"


def _outcome(reports: Sequence[Report], *, has_all: bool) -> str:
    outcomes = {report.outcome for report in reports}
    if FAILED in outcomes or not has_all:
        return FAILED
    return INTERRUPTED if INTERRUPTED in outcomes else SUCCEEDED
