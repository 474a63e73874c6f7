"""The report as JSON, by `schemas/report.schema.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from bundlepipe.documents.schemas import API_VERSION
from bundlepipe.pipeline.reasons import as_json
from bundlepipe.pipeline.reports.content import OUTCOMES, Report, ReportedTask
from bundlepipe.pipeline.running.measuring import Amount
from bundlepipe.stores.http.traffic import Traffic

# By which a file is recognised.
JSON_START = f'{{\n  "apiVersion": "{API_VERSION}",\n  "kind": "Report",\n'
_WAYS = ("transferred", "mounted", "present")


def json_of(report: Report) -> str:
    """Return a report as JSON."""
    return json.dumps(_document(report), indent=2) + "\n"


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch as RFC 3339 has them, in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _document(report: Report) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Report",
        "version": report.version,
        **({"job": report.job} if report.job else {}),
        **({"plan": report.plan} if report.plan else {}),
        "outcome": report.outcome,
        "began": timestamp(report.began),
        "seconds": _seconds(report.seconds),
        "workers": report.lanes,
        "counts": {state_of(outcome): report.counts.get(outcome, 0) for outcome in OUTCOMES},
        "errors": list(report.errors),
        "traffic": {**_traffic(report.all_traffic), "hosts": _hosts(report.traffic), "shared": _traffic(report.shared)},
        "blobs": _blobs(report.blobs),
        "criticalPath": [
            {
                "task": step.task,
                "because": step.because,
                "waited": _seconds(step.waited),
                "seconds": _seconds(step.seconds),
            }
            for step in report.path
        ],
        "tasks": [_task(task) for task in report.tasks],
    }


def _task(task: ReportedTask) -> dict[str, Any]:
    times = {"ready": task.ready, "checked": task.checked, "began": task.began, "ended": task.ended}
    optional = {
        **{name: None if value is None else _seconds(value) for name, value in times.items()},
        "seconds": None if task.seconds is None else _seconds(task.seconds),
        "worker": task.lane,
        "job": task.job or None,
        "heldUpBy": {"task": task.held_up_by, "because": task.because} if task.held_up_by else None,
        "summary": task.summary or None,
        "digest": task.digest or None,
        "traffic": {**_traffic(task.all_traffic), "hosts": _hosts(task.traffic)} if task.traffic else None,
        "blobs": _blobs(task.blobs) if task.blobs else None,
        "error": _error(task),
    }
    return {
        "name": task.name,
        "description": task.doc,
        "state": state_of(task.outcome),
        "reasons": as_json(task.reasons),
        "needs": list(task.needs),
        "critical": task.is_critical,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _error(task: ReportedTask) -> dict[str, str] | None:
    failure = task.failure
    if failure is None:
        return None
    details = {"text": failure.text, "output": failure.output}
    return {
        "kind": failure.kind,
        "message": failure.line,
        **{name: value for name, value in details.items() if value},
    }


def _traffic(traffic: Traffic) -> dict[str, int]:
    return {name: getattr(traffic, name) for name in Traffic.__struct_fields__}


def _hosts(traffic: Mapping[str, Traffic]) -> list[dict[str, Any]]:
    return [{"host": host, **_traffic(spent)} for host, spent in traffic.items()]


def _blobs(blobs: Mapping[str, Amount]) -> dict[str, dict[str, int]]:
    amounts = {way: blobs.get(way, Amount()) for way in _WAYS}
    return {way: {"count": amount.blobs, "bytes": amount.size} for way, amount in amounts.items()}


def _seconds(value: float) -> float:
    return round(max(0.0, value), 6)


def state_of(outcome: str) -> str:
    """Return the outcome of a task as JSON has it."""
    first, *others = outcome.split()
    return first + "".join(word.capitalize() for word in others)
