"""What tasks waited for: lanes of tasks that ran one after the other, what held each up, and the critical path."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from bundlepipe.pipeline.reports.content import NEEDS, START, WORKER, Step

# Seconds, and a part of the median length of a task.
_LONGEST_PAUSE = 0.25
_PART = 0.2


class Span(Struct, frozen=True):
    """When a task was `ready` to be looked at, `began` to run, if it did, and `ended`."""

    ready: float
    began: float | None
    ended: float

    @property
    def start(self) -> float:
        """When it began to run, or else its turn came."""
        return self.ready if self.began is None else self.began


class Lane(Struct, frozen=True):
    """The lane of a task that ran, the task before it there, and whether all lanes were busy until that ended."""

    number: int
    before: str | None = None
    was_needed: bool = False


class Hold(Struct, frozen=True):
    """What a task began after, and why."""

    task: str
    because: str


def lanes(spans: Mapping[str, Span]) -> dict[str, Lane]:
    """Return the lanes of the tasks that ran: as few as possible, each task in the one that was freed last."""
    ran = sorted((name for name in spans if spans[name].began is not None), key=lambda name: spans[name].start)
    chosen: dict[str, tuple[int, str | None]] = {}
    last: list[str] = []
    for name in ran:
        free = [number for number, other in enumerate(last) if spans[other].ended <= spans[name].start]
        if free:
            number = max(free, key=lambda number: spans[last[number]].ended)
            chosen[name] = number, last[number]
            last[number] = name
        else:
            chosen[name] = len(last), None
            last.append(name)
    busy = _Busy([[spans[name] for name in ran if chosen[name][0] == number] for number in range(len(last))])
    return {
        name: Lane(number + 1, before, before is not None and busy.all_at(spans[before].ended))
        for name, (number, before) in chosen.items()
    }


class _Busy:
    """Tells when all lanes were in use, between two tasks of a busy one as well."""

    def __init__(self, in_lanes: Sequence[Sequence[Span]]) -> None:
        self._in_lanes = in_lanes
        self._starts = [[span.start for span in lane] for lane in in_lanes]
        self._pause = _usual_pause(span for lane in in_lanes for span in lane)

    def all_at(self, time: float) -> bool:
        """Return whether no lane was idle at a time for longer than the usual pause."""
        return all(self._is_busy(number, time) for number in range(len(self._in_lanes)))

    def _is_busy(self, number: int, time: float) -> bool:
        # The last task that began before the end of the pause is also the last to end.
        index = bisect_left(self._starts[number], time + self._pause) - 1
        return index >= 0 and self._in_lanes[number][index].ended >= time - self._pause


def _usual_pause(spans: Iterable[Span]) -> float:
    """Return the seconds that doit may take to choose the next task for a worker, which say nothing of waiting."""
    lengths = [span.ended - span.start for span in spans]
    return min(_LONGEST_PAUSE, median(lengths) * _PART) if lengths else 0.0


def holds(
    spans: Mapping[str, Span], needs: Mapping[str, Sequence[str]], in_lanes: Mapping[str, Lane]
) -> dict[str, Hold]:
    """Return what held each task up: of the tasks that it needs, or that had its lane, the one that ended last."""
    found: dict[str, Hold] = {}
    too_short = _usual_pause(spans[name] for name in in_lanes)
    for name, span in spans.items():
        candidates = [other for other in needs.get(name, ()) if other in spans and spans[other].ended <= span.start]
        last = max(candidates, key=lambda other: spans[other].ended, default=None)
        if last:
            found[name] = Hold(last, NEEDS)
        lane = in_lanes.get(name)
        # Until the end of the one before, it could not have begun.
        waited = lane and lane.before and lane.was_needed and lane.before
        if waited and (last is None or spans[waited].ended - spans[last].ended > too_short):
            found[name] = Hold(waited, WORKER)
    return found


def critical_path(spans: Mapping[str, Span], held: Mapping[str, Hold]) -> list[Step]:
    """Return the tasks that the run's end waited for, in order: each began after the one before it."""
    ran = [name for name, span in spans.items() if span.began is not None]
    name = max(ran, key=lambda name: spans[name].ended, default=None)
    steps: list[Step] = []
    seen = set[str]()
    # Clocks are coarse: tasks that took no time may seem to have waited for one another.
    while name is not None and name not in seen:
        seen.add(name)
        hold, span = held.get(name), spans[name]
        before = spans[hold.task].ended if hold else 0.0
        seconds = span.ended - span.start
        steps.append(Step(name, hold.because if hold else START, max(0.0, span.start - before), seconds))
        name = hold.task if hold else None
    return steps[::-1]
