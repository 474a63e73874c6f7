"""Read a report from its JSON, which `json_form` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from bundlepipe.documents.schemas import validator
from bundlepipe.errors import DocumentError, quoted
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.reports.content import OUTCOMES, Failure, Report, ReportedTask, Step
from bundlepipe.pipeline.reports.json_form import state_of
from bundlepipe.pipeline.running.measuring import Amount
from bundlepipe.stores.http.traffic import Traffic

_SCHEMA = "report"
_KIND = "Report"
_OUTCOME_OF = {state_of(outcome): outcome for outcome in OUTCOMES}


def read_report(content: bytes, path: str) -> Report:
    """Return the report in a JSON file; DocumentError for any other content. `path` is for messages."""
    data = _data(content, path)
    at_all = data["traffic"]
    return Report(
        version=data["version"],
        job=data.get("job", ""),
        plan=data.get("plan", ""),
        began=_time(data["began"]),
        seconds=data["seconds"],
        outcome=data["outcome"],
        tasks=[_task(task) for task in data["tasks"]],
        path=[Step(step["task"], step["because"], step["waited"], step["seconds"]) for step in data["criticalPath"]],
        traffic=_by_host(at_all),
        shared=_traffic(at_all["shared"]),
        errors=data["errors"],
    )


def is_report(content: bytes) -> bool:
    """Return whether a file is JSON of the kind of reports, whatever its layout and the rest of it."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("kind") == _KIND


def _data(content: bytes, path: str) -> Any:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        pass
    else:
        if not isinstance(data, dict) or data.get("kind") != _KIND:
            # Another kind of document would have a fault for each of its keys.
            raise DocumentError(
                [f"{path}:1:1: {_what(data)}, expected a {_KIND}, as BUNDLEPIPE_REPORT=FILE.json writes"]
            )
        if validator.is_valid(data, _SCHEMA) and _is_time(data["began"]):
            return data
    # Only faults need positions.
    from bundlepipe.documents.yaml.reader import load_one

    document = load_one(content, path)
    validator.check(document, _SCHEMA)
    if not _is_time(document.data["began"]):
        told = f"{quoted(document.data['began'])} is no time, expected one such as 2026-02-28T00:00:00Z"
        raise DocumentError([document.problem(["began"], told)])
    return document.data


def _what(data: Any) -> str:
    kind = data.get("kind") if isinstance(data, dict) else None
    return f"is a document of the kind {quoted(kind)}" if isinstance(kind, str) else "has no kind"


def _time(text: str) -> float:
    """Return seconds since the epoch; ValueError or OverflowError for a text that is no time in RFC 3339."""
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if time.tzinfo is None:
        raise ValueError("it has no zone")
    return time.astimezone(timezone.utc).timestamp()


def _is_time(text: str) -> bool:
    try:
        _time(text)
    except (ValueError, OverflowError):
        return False
    return True


def _task(data: Mapping[str, Any]) -> ReportedTask:
    held, error = data.get("heldUpBy", {}), data.get("error")
    return ReportedTask(
        name=data["name"],
        doc=data["description"],
        outcome=_OUTCOME_OF[data["state"]],
        reasons=[Reason(each["code"], each["subject"], each["because"]) for each in data["reasons"]],
        needs=data["needs"],
        failure=_failure(error) if error else None,
        ready=data.get("ready"),
        checked=data.get("checked"),
        began=data.get("began"),
        ended=data.get("ended"),
        lane=data.get("worker"),
        held_up_by=held.get("task"),
        because=held.get("because"),
        is_critical=data["critical"],
        summary=data.get("summary", ""),
        digest=data.get("digest", ""),
        traffic=_by_host(data["traffic"]) if "traffic" in data else {},
        blobs={way: Amount(each["count"], each["bytes"]) for way, each in data.get("blobs", {}).items()},
        job=data.get("job", ""),
    )


def _failure(error: Mapping[str, str]) -> Failure:
    return Failure(error["kind"], error["message"], error.get("text", ""), error.get("output", ""))


def _by_host(data: Mapping[str, Any]) -> dict[str, Traffic]:
    return {each["host"]: _traffic(each) for each in data["hosts"]}


def _traffic(data: Mapping[str, int]) -> Traffic:
    return Traffic(*(data[name] for name in Traffic.__struct_fields__))
