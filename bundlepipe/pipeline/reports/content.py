"""The content of a report, which all its forms show. Times are seconds since the run began."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from msgspec import Struct

from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.running.measuring import Amount
from bundlepipe.stores.http.traffic import Traffic

# The outcomes of tasks, in the words of the summary, in its order.
DONE, UNCHANGED, UP_TO_DATE, IGNORED = "done", "unchanged", "up to date", "ignored"
FAILED, INTERRUPTED, NOT_REACHED = "failed", "interrupted", "not reached"
OUTCOMES = (DONE, UNCHANGED, UP_TO_DATE, IGNORED, FAILED, INTERRUPTED, NOT_REACHED)

# Outcomes of a run.
SUCCEEDED = "succeeded"

# Why a task of the critical path began when it did: nothing held it up, it needs the one before, or there was no
# free worker until that one ended.
START, NEEDS, WORKER = "start", "needs", "worker"


class Failure(Struct, frozen=True):
    """Why a task failed: doit's name of it (`TaskFailed`, `TaskError`), its first line, all of its text.

    `output` is what the actions of a user's own task printed, if doit captured it.
    """

    kind: str
    line: str
    text: str
    output: str = ""


class ReportedTask(Struct, frozen=True, kw_only=True):
    """One task. `ready` is when its turn came, `checked` when it was found stale, `began` and `ended` when it ran.

    `ended` of a task that was up to date is when that was found out. `lane` is a number from 1 on: tasks of one lane
    ran one after the other. `held_up_by` is the task that it began after, for the reason `because`. In a merged
    report, `job` is the shard of the plan whose job did it.
    """

    name: str
    doc: str
    outcome: str
    reasons: Sequence[Reason]
    needs: Sequence[str]
    failure: Failure | None
    ready: float | None
    checked: float | None
    began: float | None
    ended: float | None
    lane: int | None
    held_up_by: str | None
    because: str | None
    is_critical: bool
    summary: str
    digest: str
    traffic: Mapping[str, Traffic]
    blobs: Mapping[str, Amount]
    job: str = ""

    @property
    def group(self) -> str:
        """The group of the task, or its own name."""
        return self.name.partition(":")[0]

    @property
    def label(self) -> str:
        """Its name, with that of its job in a merged report."""
        return f"{self.name} in {self.job}" if self.job else self.name

    @property
    def why(self) -> str:
        """The reasons as one text."""
        return ", ".join(reason.because for reason in self.reasons)

    @property
    def seconds(self) -> float | None:
        """How long it ran; None if it did not."""
        return None if self.began is None or self.ended is None else self.ended - self.began

    @property
    def all_traffic(self) -> Traffic:
        """Its traffic with all hosts."""
        return sum(self.traffic.values(), Traffic())

    @property
    def saved(self) -> Amount:
        """The blobs that it did not have to transfer."""
        return saved_of(self.blobs)


class Step(Struct, frozen=True):
    """A task of the critical path: it `waited` after the end of the step before it, then ran for `seconds`."""

    task: str
    because: str
    waited: float
    seconds: float


class Report(Struct, frozen=True, kw_only=True, dict=True):
    """A run. `began` is seconds since the epoch; `errors` are those of no task.

    If the run did one shard of a plan, `job` is its name; `plan` is the identity of the saved plan that it carried out,
    or whose jobs the reports are merged. `traffic` is that of all by host; `shared` is the part that
    belongs to no single task, such as the lookups of all destinations, which are done together before the first push.
    """

    version: str
    began: float
    seconds: float
    outcome: str
    tasks: Sequence[ReportedTask]
    path: Sequence[Step]
    traffic: Mapping[str, Traffic]
    shared: Traffic
    errors: Sequence[str]
    job: str = ""
    plan: str = ""

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of tasks by outcome, without zeros."""
        outcomes = [task.outcome for task in self.tasks]
        return {outcome: count for outcome in OUTCOMES if (count := outcomes.count(outcome))}

    @cached_property
    def by_name(self) -> dict[str, ReportedTask]:
        """The tasks by name."""
        return {task.name: task for task in self.tasks}

    @property
    def all_traffic(self) -> Traffic:
        """The traffic of the run."""
        return sum(self.traffic.values(), Traffic())

    @cached_property
    def blobs(self) -> dict[str, Amount]:
        """The blobs of all tasks by what happened to them."""
        found: dict[str, Amount] = {}
        for task in self.tasks:
            for how, amount in task.blobs.items():
                found[how] = found.get(how, Amount()) + amount
        return found

    @cached_property
    def jobs(self) -> int:
        """The number of jobs, in a merged report."""
        return len({task.job for task in self.tasks if task.job})

    @property
    def saved(self) -> Amount:
        """The blobs that did not have to be transferred."""
        return saved_of(self.blobs)

    @cached_property
    def lanes(self) -> int:
        """The number of lanes: the most tasks that ran at a time."""
        return max((task.lane or 0 for task in self.tasks), default=0)


def saved_of(blobs: Mapping[str, Amount]) -> Amount:
    """Return the blobs that were at the destination, or in another repository of its registry."""
    return blobs.get("present", Amount()) + blobs.get("mounted", Amount())


def clean(text: str) -> str:
    """Return a text that is UTF-8, as all of a report is: names of files may hold other bytes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def by_time(task: ReportedTask) -> tuple[float, str]:
    """Return what orders tasks by the time when they began; those that did not come last."""
    start = task.began if task.began is not None else task.ready
    return (float("inf") if start is None else start, task.name)


def by_host(each: Iterable[Mapping[str, Traffic]]) -> dict[str, Traffic]:
    """Return the sum of the traffic of several by host, that of the most bytes first."""
    found: dict[str, Traffic] = {}
    for traffic in each:
        for host, spent in traffic.items():
            found[host] = found.get(host, Traffic()) + spent
    return dict(sorted(found.items(), key=lambda item: (-item[1].received - item[1].sent, item[0])))


def difference(whole: Traffic, part: Traffic) -> Traffic:
    """Return the traffic of a run that is not that of its tasks; one that was cut off did not tell its own."""
    names = Traffic.__struct_fields__
    return Traffic(*(max(0, getattr(whole, name) - getattr(part, name)) for name in names))
