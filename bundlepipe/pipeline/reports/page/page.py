"""The page: head, outcome, failures, timeline, critical path, traffic, tasks."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from bundlepipe.documents.pages import policy_of
from bundlepipe.pipeline.reports.content import FAILED, INTERRUPTED, NOT_REACHED, SUCCEEDED, Report, ReportedTask
from bundlepipe.pipeline.reports.json_form import timestamp
from bundlepipe.pipeline.reports.page.markup import escaped, link, seconds, state
from bundlepipe.pipeline.reports.page.tables import hosts_table, path_list, tasks_table
from bundlepipe.pipeline.reports.page.timeline import timeline
from bundlepipe.progress.phrases import counted, human_size

# Failures that are shown at once; others are in the table.
_MOST_FAILURES = 50
# The first lines, by which a file is recognised.
PAGE_START = "<!DOCTYPE html>\n<!-- bundlepipe report -->\n"


def page_of(report: Report) -> str:
    """Return a report as one HTML file."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    own = files(__package__)
    style, script = (own.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    title = f"bundlepipe: {report.outcome}, {timestamp(report.began)}"
    yield f'{PAGE_START}<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy_of(style, script)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>{escaped(title)}</title>"
    yield f"<style>{style}</style>\n</head>\n<body>"
    yield from _header(report)
    yield "<main>"
    yield from _errors(report)
    yield from timeline(report)
    yield from path_list(report)
    yield from hosts_table(report)
    yield from tasks_table(report)
    yield "</main>"
    yield f"<script>{script}</script>\n</body>\n</html>"


def _header(report: Report) -> Iterator[str]:
    is_good = report.outcome == SUCCEEDED
    jobs = f"{counted(report.jobs, 'job')}, " if report.jobs else ""
    yield f'<header class="{"good" if is_good else "bad"}">'
    yield f"<h1>Run {escaped(report.outcome)} <small>in {seconds(report.seconds)}</small></h1>"
    yield (
        f'<p class="when">bundlepipe {escaped(report.version)}, began <time>{timestamp(report.began)}</time>, '
        f"{jobs}at most {counted(report.lanes, 'task')} at a time</p>"
    )
    yield '<ul class="counts">'
    yield from (f"<li>{state(outcome)} <b>{count}</b></li>" for outcome, count in report.counts.items())
    yield "</ul>"
    yield f'<dl class="totals">{"".join(_totals(report))}</dl>'
    yield "</header>"


def _totals(report: Report) -> Iterator[str]:
    spent, saved = report.all_traffic, report.saved
    busy = sum(task.seconds or 0.0 for task in report.tasks)
    totals = {
        "Requests": f"{spent.requests}" + (f", {spent.retries} retried" if spent.retries else ""),
        "Sent": human_size(spent.sent),
        "Received": human_size(spent.received),
        "Not transferred": f"{counted(saved.blobs, 'blob')}, {human_size(saved.size)}",
        "Time in tasks": seconds(busy),
        "Critical path": f"{seconds(sum(step.seconds for step in report.path))} in {counted(len(report.path), 'task')}",
    }
    yield from (f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in totals.items())


def _errors(report: Report) -> Iterator[str]:
    failed = [task for task in report.tasks if task.outcome == FAILED]
    left = [task for task in report.tasks if task.outcome in (INTERRUPTED, NOT_REACHED)]
    if not (failed or left or report.errors):
        return
    yield '<section aria-labelledby="failures"><h2 id="failures">What went wrong</h2>'
    yield from (f"<pre>{escaped(error)}</pre>" for error in report.errors)
    for task in failed[:_MOST_FAILURES]:
        yield from _failure(task)
    if len(failed) > _MOST_FAILURES:
        yield f"<p>{counted(len(failed) - _MOST_FAILURES, 'more task')} failed: see the table.</p>"
    if left:
        names = ", ".join(link(task.name) for task in left)
        yield f"<details><summary>{counted(len(left), 'task')} not finished</summary><p>{names}</p></details>"
    yield "</section>"


def _failure(task: ReportedTask) -> Iterator[str]:
    failure = task.failure
    yield f"<h3>{link(task.name)}</h3>"
    if failure:
        yield f"<pre>{escaped(failure.text.strip())}</pre>"
        if failure.output:
            yield f"<details><summary>Its output</summary><pre>{escaped(failure.output)}</pre></details>"
