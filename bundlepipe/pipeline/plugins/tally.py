"""Outcomes of the tasks of a run, and the summary lines at its end.

.  push_bundle  150 tasks: app-000, app-001, app-002 and 147 more  (no local record)
failed  push_bundle:web: web/.imgpkg/images.yml:3:1: expected a list
not reached  copy_bundle:web, pull_bundle:web
150 done, 1 failed, 2 not reached in 12.3 s, 604 requests, 1.2 MB sent, 34.5 kB received

Does not know where the lines are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum

from doit.exceptions import BaseFail
from msgspec import Struct, field

from bundlepipe.pipeline.doit_adapter.failures import in_one_line
from bundlepipe.progress.phrases import counted, few, human_size
from bundlepipe.stores.http.traffic import Traffic


class Outcome(Enum):
    """The outcome of a task, in the words and the order of the summary."""

    DONE = "done"
    UNCHANGED = "unchanged"
    UP_TO_DATE = "up to date"
    IGNORED = "ignored"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    NOT_REACHED = "not reached"


# The most reasons in the line of a group.
_MOST_REASONS = 2
# The most failures, different in words, with lines of their own.
_MOST_FAILURES = 8
_MARKS = {Outcome.DONE: ". ", Outcome.UNCHANGED: "= "}


class Failure(Struct):
    """A failure, and the tasks that failed with the same message."""

    line: str
    tasks: list[str] = field(default_factory=list)


class Tally:
    """Counts outcomes by task name; `planned` are the tasks that a run may run, `groups` are all groups in order."""

    def __init__(self, planned: Iterable[str] = (), groups: Iterable[str] = ()) -> None:
        self.planned = list(planned)
        self._order = {group: number for number, group in enumerate(groups)}
        self._started: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        self._has_untold: dict[tuple[str, Outcome], bool] = {}
        self._reasons: dict[tuple[str, Outcome], set[str]] = {}
        self._failures: dict[str, Failure] = {}

    def start(self, name: str) -> None:
        """Count a task that starts; any thread may call this."""
        self._started.add(name)

    def end(self, name: str, outcome: Outcome) -> None:
        """Count the outcome of a task."""
        self._outcomes[name] = outcome

    def count_for_group(self, name: str, outcome: Outcome, reasons: Sequence[str], *, is_told: bool) -> None:
        """Count a task that ran, for the line of its group, which is printed if one of its tasks had no line."""
        key = name.partition(":")[0], outcome
        self._has_untold[key] = self._has_untold.get(key, False) or not is_told
        self._reasons.setdefault(key, set()).update(reasons)

    def fail(self, name: str, failure: BaseFail) -> bool:
        """Count a failure; return whether it is the first with this message."""
        self.end(name, Outcome.FAILED)
        if not failure.report:
            return True
        words = f"{failure.get_name()}: {failure.get_msg()}"
        known = self._failures.setdefault(words, Failure(in_one_line(failure)))
        known.tasks.append(name)
        return len(known.tasks) == 1

    @property
    def is_empty(self) -> bool:
        """Return whether no task has started or ended: a failure is then not one of a run."""
        return not self._started and not self._outcomes

    @property
    def is_good(self) -> bool:
        """Return whether no task failed or was not reached."""
        return not {Outcome.FAILED, Outcome.NOT_REACHED} & set(self._outcomes.values())

    def standing(self) -> str:
        """Return the state of the run on one line."""
        ended = len(self._outcomes)
        return f"{ended} of {max(ended, len(self.planned))} tasks: {self._counts()}"

    def outcomes(self, *, is_complete: bool) -> Mapping[str, Outcome]:
        """Return the outcomes of all tasks by name at the end of the run. If it is not complete, it was interrupted."""
        self._count_the_rest(is_complete)
        return self._outcomes

    def lines(self, seconds: float, traffic: Traffic, *, is_complete: bool) -> Iterator[str]:
        """Yield the summary lines of the run, which took `seconds`. If it is not complete, it was interrupted."""
        if not is_complete or not self.is_good:
            self._count_the_rest(is_complete)
        yield from self._group_lines()
        yield from self._failure_lines()
        left = sorted(name for name, outcome in self._outcomes.items() if outcome is Outcome.NOT_REACHED)
        if left:
            yield f"not reached  {few(left)}"
        yield f"{self._counts() or 'nothing done'} in {seconds:.1f} s, {_told(traffic)}"

    def _failure_lines(self) -> Iterator[str]:
        failures = list(self._failures.values())
        # A single further failure is shown itself rather than as "1 other".
        shown = _MOST_FAILURES if len(failures) > _MOST_FAILURES + 1 else len(failures)
        for failure in failures[:shown]:
            yield f"failed  {few(sorted(failure.tasks))}: {failure.line}"
        others = failures[shown:]
        if others:
            tasks = sorted(name for failure in others for name in failure.tasks)
            yield f"failed  {few(tasks)}: see above"

    def _count_the_rest(self, is_complete: bool) -> None:
        """Count planned tasks that have not ended; in a complete run, those that started have."""
        for name in [*self.planned, *sorted(self._started)]:
            is_cut = name in self._started and not is_complete
            self._outcomes.setdefault(name, Outcome.INTERRUPTED if is_cut else Outcome.NOT_REACHED)

    def _counts(self) -> str:
        counts = Counter(self._outcomes.values())
        return ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome])

    def _group_lines(self) -> Iterator[str]:
        keys = [key for key, has_untold in self._has_untold.items() if has_untold]
        for group, outcome in sorted(keys, key=lambda key: (self._order.get(key[0], 0), key[1].value)):
            names = sorted(
                name.partition(":")[2]
                for name, ended in self._outcomes.items()
                if ended is outcome and name.startswith(f"{group}:")
            )
            reasons = sorted(self._reasons[group, outcome])
            # A reason that differs for each task says little about all.
            why = f"  ({', '.join(reasons)})" if 0 < len(reasons) <= _MOST_REASONS else ""
            yield f"{_MARKS[outcome]} {group}  {counted(len(names), 'task')}: {few(names)}{why}"


def _told(traffic: Traffic) -> str:
    bodies = f", {human_size(traffic.sent)} sent, {human_size(traffic.received)} received"
    return counted(traffic.requests, "request") + (bodies if traffic.requests else "")
