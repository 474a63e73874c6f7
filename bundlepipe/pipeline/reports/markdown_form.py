"""The report as Markdown (GitHub's), bounded in length: for a pull request, or the summary of a CI job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bundlepipe.documents.markdown import as_code
from bundlepipe.errors import printable, shortened
from bundlepipe.pipeline.reports.content import (
    FAILED,
    IGNORED,
    INTERRUPTED,
    NEEDS,
    NOT_REACHED,
    SUCCEEDED,
    UP_TO_DATE,
    WORKER,
    Report,
)
from bundlepipe.progress.phrases import code_fence, counted, few, human_size

# GitHub refuses the summary of a step above 1 MiB, which may have other texts.
_LARGEST = 512 * 1024
_MOST_TASKS = 100
_MOST_FAILURES = 20
_MOST_STEPS = 50
_MOST_HOSTS = 20
_LONGEST_TEXT = 4000
_LONGEST_CELL = 200
_SUCCEEDED, _FAILED = "### ✅ bundlepipe: ", "### ❌ bundlepipe: "
# By which a file is recognised.
MARKDOWN_STARTS = (_SUCCEEDED, _FAILED)
_BECAUSE = {NEEDS: "needs the one before", WORKER: "no free worker before"}


def markdown_of(report: Report) -> str:
    """Return a report as Markdown; what is left out is counted."""
    whole = "\n".join(_lines(report, _MOST_TASKS, _MOST_FAILURES))
    # By its limits it is shorter by far, unless names are longer than any that occur.
    return whole if len(whole.encode()) <= _LARGEST else "\n".join(_lines(report, 0, 0))


def _lines(report: Report, most_tasks: int, most_failures: int) -> Iterator[str]:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in report.counts.items())
    start = _SUCCEEDED if report.outcome == SUCCEEDED else _FAILED
    yield f"{start}{report.outcome} in {report.seconds:.1f} s"
    yield ""
    yield f"{counts or 'nothing done'}. {_traffic_line(report)}"
    yield ""
    for error in report.errors:
        yield from _fenced(error)
    yield from _failures(report, most_failures)
    yield from _tasks(report, most_tasks)
    yield from _path(report)
    yield from _hosts(report)


def _traffic_line(report: Report) -> str:
    spent, saved = report.all_traffic, report.saved
    line = counted(spent.requests, "request").capitalize()
    if spent.requests:
        line += f", {human_size(spent.sent)} sent, {human_size(spent.received)} received"
    if spent.retries:
        line += f", {spent.retries} retried"
    if saved.blobs:
        line += f"; {counted(saved.blobs, 'blob')} ({human_size(saved.size)}) did not have to be transferred"
    return line + "."


def _failures(report: Report, most: int) -> Iterator[str]:
    failed = [task for task in report.tasks if task.outcome == FAILED]
    left = sorted(task.name for task in report.tasks if task.outcome in (NOT_REACHED, INTERRUPTED))
    for task in failed[:most]:
        yield f"**{_inline(task.label)}** failed:"
        yield ""
        text = task.failure.text if task.failure else ""
        yield from _fenced(text)
    if len(failed) > most:
        yield f"{counted(len(failed) - most, 'more task')} failed."
        yield ""
    if left:
        yield f"Not finished: {_inline(few(left))}."
        yield ""


def _tasks(report: Report, most: int) -> Iterator[str]:
    ran = [task for task in report.tasks if task.outcome not in (UP_TO_DATE, IGNORED, NOT_REACHED)]
    if not ran:
        return
    longest = sorted(ran, key=lambda task: task.seconds or 0.0, reverse=True)[:most]
    rows = [
        (
            _inline(task.name),
            task.outcome,
            f"{task.seconds or 0.0:.1f} s",
            _inline(task.why),
            _inline(task.summary),
        )
        for task in longest
    ]
    yield from _table(f"{counted(len(ran), 'task')} ran", ("task", "outcome", "ran", "why", "result"), rows)
    if len(longest) < len(ran):
        yield f"The {len(longest)} that took longest."
        yield ""


def _path(report: Report) -> Iterator[str]:
    if len(report.path) < 2:
        return
    rows = [
        (_inline(step.task), _BECAUSE.get(step.because, ""), f"{step.waited:.1f} s", f"{step.seconds:.1f} s")
        for step in report.path[-_MOST_STEPS:]
    ]
    title = f"Critical path: {counted(len(report.path), 'task')}"
    if len(report.path) > _MOST_STEPS:
        title += f", the last {_MOST_STEPS}"
    yield from _table(title, ("task", "why then", "waited", "ran"), rows)


def _hosts(report: Report) -> Iterator[str]:
    rows = [
        (
            _inline(host),
            str(spent.requests),
            human_size(spent.sent),
            human_size(spent.received),
            str(spent.retries),
        )
        for host, spent in list(report.traffic.items())[:_MOST_HOSTS]
    ]
    if rows:
        yield from _table("Traffic", ("host", "requests", "sent", "received", "retries"), rows)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table that is folded up, since a summary is one of several."""
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
    yield "</details>"
    yield ""


def _inline(text: str) -> str:
    """Return outside text for one line, cut."""
    return as_code(shortened(text, _LONGEST_CELL))


def _fenced(text: str) -> Iterator[str]:
    """Yield outside text as a block of code, with a fence longer than any in it."""
    cut = text.strip("\n")
    if len(cut) > _LONGEST_TEXT:
        cut = "…\n" + cut[-_LONGEST_TEXT:]
    fence = code_fence(cut)
    yield f"{fence}text"
    yield from (printable(line.replace("\t", "    ")) for line in cut.split("\n"))
    yield fence
    yield ""
