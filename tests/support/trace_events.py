"""The rules of Google's Trace Event Format for the events that reports use, and of viewers for what they show.

Source: "Trace Event Format", Google: JSON Object Format, Complete Events, Flow Events, Metadata Events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_Event = Mapping[str, Any]

# The fields of each phase, with their types; all events have a phase, a name, a process and a thread.
_FIELDS: Mapping[str, Mapping[str, type]] = {
    "X": {"cat": str, "ts": int, "dur": int, "args": dict},
    "s": {"cat": str, "ts": int, "id": int},
    "f": {"cat": str, "ts": int, "id": int, "bp": str},
    "M": {"args": dict},
}
_COMMON: Mapping[str, type] = {"ph": str, "name": str, "pid": int, "tid": int}
# Metadata, and the one argument that each has.
_METADATA: Mapping[str, tuple[str, type]] = {
    "process_name": ("name", str),
    "process_labels": ("labels", str),
    "process_sort_index": ("sort_index", int),
    "thread_name": ("name", str),
    "thread_sort_index": ("sort_index", int),
}


def trace_faults(trace: Any) -> Iterator[str]:
    """Yield what a trace, as read from JSON, has against the rules."""
    if not isinstance(trace, dict) or not isinstance(trace.get("traceEvents"), list):
        yield "the trace is an object with a list of traceEvents"
        return
    if trace.get("displayTimeUnit", "ms") not in ("ms", "ns"):
        yield f"displayTimeUnit: {trace['displayTimeUnit']!r}"
    events: list[_Event] = trace["traceEvents"]
    faults = [fault for event in events for fault in _faults(event)]
    yield from faults
    if faults:
        return
    slices = [event for event in events if event.get("ph") == "X"]
    yield from _overlaps(slices)
    yield from _loose_flows([event for event in events if event.get("ph") in ("s", "f")], slices)
    named = {(event["pid"], event["tid"]) for event in events if event.get("name") == "thread_name"}
    yield from (f"thread {event['tid']} has no name" for event in slices if (event["pid"], event["tid"]) not in named)


def _faults(event: _Event) -> Iterator[str]:
    fields = {**_COMMON, **_FIELDS.get(event.get("ph", ""), {})}
    if event.get("ph") not in _FIELDS:
        yield f"phase {event.get('ph')!r}"
    if set(event) != set(fields):
        yield f"fields {sorted(event)}"
    for name, kind in fields.items():
        value = event.get(name)
        if type(value) is not kind:
            yield f"{name}: {value!r}"
        elif isinstance(value, int) and value < 0:
            yield f"{name}: {value} is below zero"
    if event.get("ph") == "M":
        argument, kind = _METADATA.get(event.get("name", ""), ("", object))
        if set(event["args"]) != {argument} or not isinstance(event["args"].get(argument), kind):
            yield f"metadata {event['name']}: {event['args']}"
    if event.get("ph") == "f" and event.get("bp") != "e":
        yield f"binding point {event['bp']!r}: only e binds to the slice around it"


def _overlaps(slices: Sequence[_Event]) -> Iterator[str]:
    """Yield slices of a thread that neither follow one another nor are one in the other."""
    order = sorted(slices, key=lambda event: (event["pid"], event["tid"], event["ts"], -event["dur"]))
    open_ends: dict[tuple[int, int], list[int]] = {}
    for event in order:
        ends = open_ends.setdefault((event["pid"], event["tid"]), [])
        while ends and ends[-1] <= event["ts"]:
            ends.pop()
        if ends and event["ts"] + event["dur"] > ends[-1]:
            yield f"{event['name']} overlaps another in thread {event['tid']}"
        ends.append(event["ts"] + event["dur"])


def _loose_flows(flows: Sequence[_Event], slices: Sequence[_Event]) -> Iterator[str]:
    """Yield flows without two ends, in this order, each inside of a slice of its thread."""
    ends = {phase: {(e["cat"], e["name"], e["id"]): e for e in flows if e["ph"] == phase} for phase in "sf"}
    if set(ends["s"]) != set(ends["f"]) or max(Counter(e["ph"] + str(e["id"]) for e in flows).values(), default=1) > 1:
        yield "flows without two ends"
        return
    for key, start in ends["s"].items():
        if start["ts"] > ends["f"][key]["ts"]:
            yield f"flow {key} ends before it starts"
    for event in flows:
        around = [each for each in slices if (each["pid"], each["tid"]) == (event["pid"], event["tid"])]
        if not any(each["ts"] <= event["ts"] <= each["ts"] + each["dur"] for each in around):
            yield f"flow {event['id']} is in no slice"
