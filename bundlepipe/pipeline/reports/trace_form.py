"""The report as a trace, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

Source: "Trace Event Format", Google, the JSON object format with metadata (M), complete (X) and flow (s, f) events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bundlepipe.pipeline.reports.content import UP_TO_DATE, Report, ReportedTask
from bundlepipe.pipeline.reports.json_form import timestamp

# By which a file is recognised.
TRACE_START = '{"displayTimeUnit": "ms", "otherData": {"bundlepipe": '
_PROCESS = 1
# The thread of doit's runner, which finds out whether tasks have to run.
_CHECKS = 0
# Microseconds; a flow belongs to the slice that it begins in, so it must not begin after its end.
_LEAST = 1


def trace_of(report: Report) -> str:
    """Return a report as JSON of trace events: a thread for each lane, and one for checks."""
    events = [*_names(report), *_slices(report), *_flows(report)]
    lines = ",\n".join(json.dumps(event) for event in events)
    details = {"began": timestamp(report.began), "outcome": report.outcome}
    about = f"{json.dumps(report.version)}, {json.dumps(details)[1:]}"
    return f'{TRACE_START}{about}, "traceEvents": [\n{lines}\n]}}\n'


def _names(report: Report) -> Iterator[dict[str, Any]]:
    yield _named("process_name", _CHECKS, "bundlepipe")
    for thread in range(report.lanes + 1):
        yield _named("thread_name", thread, f"worker {thread}" if thread else "checks")
        yield {"ph": "M", "pid": _PROCESS, "tid": thread, "name": "thread_sort_index", "args": {"sort_index": thread}}


def _named(kind: str, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": _PROCESS, "tid": thread, "name": kind, "args": {"name": name}}


def _slices(report: Report) -> Iterator[dict[str, Any]]:
    for task in report.tasks:
        checked = task.ended if task.outcome == UP_TO_DATE else task.checked
        if task.ready is not None and checked is not None:
            yield _slice(task, _CHECKS, task.ready, checked, "check", {"outcome": task.outcome})
        if task.began is not None and task.ended is not None and task.lane is not None:
            category = f"{task.group},critical" if task.is_critical else task.group
            yield _slice(task, task.lane, task.began, task.ended, category, _details(task))


def _slice(
    task: ReportedTask, thread: int, began: float, ended: float, category: str, details: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": _PROCESS,
        "tid": thread,
        "name": task.name,
        "cat": category,
        "ts": _time(began),
        "dur": max(_LEAST, _time(ended) - _time(began)),
        "args": details,
    }


def _details(task: ReportedTask) -> dict[str, Any]:
    spent = task.all_traffic
    details = {
        "job": task.job,
        "outcome": task.outcome,
        "why": task.why,
        "held up by": task.held_up_by,
        "result": task.summary,
        "digest": task.digest,
        "error": task.failure and task.failure.line,
        "requests": spent.requests,
        "sent": spent.sent,
        "received": spent.received,
        "retries": spent.retries,
    }
    return {name: value for name, value in details.items() if value}


def _flows(report: Report) -> Iterator[dict[str, Any]]:
    """Yield an arrow from each task that ran to those that it held up."""
    for number, task in enumerate(report.tasks):
        before = report.by_name.get(task.held_up_by or "")
        if before is None or before.lane is None or task.lane is None:
            continue
        if task.began is None or before.began is None or before.ended is None:
            continue
        flow = {"cat": "wait", "name": task.because, "id": number, "pid": _PROCESS}
        yield {"ph": "s", **flow, "tid": before.lane, "ts": max(_time(before.began), _time(before.ended) - _LEAST)}
        yield {"ph": "f", "bp": "e", **flow, "tid": task.lane, "ts": _time(task.began)}


def _time(seconds: float) -> int:
    return max(0, round(seconds * 1_000_000))
