"""Lists and tables of the page: the critical path, traffic by host, and all tasks."""

from __future__ import annotations

from collections.abc import Iterator

from bundlepipe.pipeline.reports.content import NEEDS, NOT_REACHED, START, WORKER, Report, ReportedTask, Step
from bundlepipe.pipeline.reports.page.markup import anchor, css_class, escaped, link, part, seconds, state
from bundlepipe.progress.phrases import counted, human_size
from bundlepipe.stores.http.traffic import Traffic

_BECAUSE = {START: "", NEEDS: "needs the task above", WORKER: "no worker was free before the task above ended"}
# A longer path is folded up, and the longest of its tasks are named.
_MOST_STEPS = 25
_NAMED_STEPS = 8
_HEADS = ("Task", "State", "Began", "Ran", "Why", "Held up by", "Traffic", "Result")


def path_list(report: Report) -> Iterator[str]:
    """Yield the section with the critical path."""
    if not report.path:
        return
    yield '<section aria-labelledby="path"><h2 id="path">Critical path</h2>'
    yield "<p>The run ended when the last of these did, and each began only after the one above it.</p>"
    is_long = len(report.path) > _MOST_STEPS
    if is_long:
        longest = sorted(report.path, key=lambda step: step.seconds, reverse=True)[:_NAMED_STEPS]
        named = ", ".join(f"{link(step.task)} ({seconds(step.seconds)})" for step in longest)
        yield f"<p>The longest: {named}.</p>"
        yield f"<details><summary>All {len(report.path)} tasks</summary>"
    yield '<ol class="path">'
    yield from (_step(step, report) for step in report.path)
    yield f"</ol>{'</details>' if is_long else ''}</section>"


def _step(step: Step, report: Report) -> str:
    task, length = report.by_name[step.task], max(report.seconds, 0.001)
    start = task.began if task.began is not None else task.ready or 0.0
    because = f"<small>{escaped(_BECAUSE[step.because])}</small>" if _BECAUSE[step.because] else ""
    waited = f", waited {seconds(step.waited)}" if step.waited >= 0.05 else ""
    return (
        f"<li><span>{link(step.task)} {because}</span><span>{seconds(step.seconds)}{waited}</span>"
        f'<svg aria-hidden="true" width="100%" height="8"><rect class="wait" x="{part(start - step.waited, length)}" '
        f'width="{part(step.waited, length)}" height="8"/><rect class="run {css_class(task.outcome)}" '
        f'x="{part(start, length)}" width="{max(0.3, step.seconds / length * 100):.3f}%" height="8"/></svg></li>'
    )


def hosts_table(report: Report) -> Iterator[str]:
    """Yield the section with the traffic by host."""
    if not report.traffic:
        return
    yield '<section aria-labelledby="hosts"><h2 id="hosts">Registries</h2>'
    yield '<table class="numbers"><thead><tr><th scope="col">Host</th>'
    yield from (f'<th scope="col">{head}</th>' for head in ("Requests", "Sent", "Received", "Retries"))
    yield "</tr></thead><tbody>"
    yield from (_host(host, traffic) for host, traffic in report.traffic.items())
    yield "</tbody></table>"
    if report.shared.requests:
        yield (
            f"<p>{counted(report.shared.requests, 'request')} of these belong to no single task: destinations are "
            "looked up together.</p>"
        )
    yield "</section>"


def _host(host: str, traffic: Traffic) -> str:
    numbers = {
        "Requests": str(traffic.requests),
        "Sent": human_size(traffic.sent),
        "Received": human_size(traffic.received),
        "Retries": str(traffic.retries),
    }
    cells = "".join(f'<td data-head="{head}">{value}</td>' for head, value in numbers.items())
    return f'<tr><th scope="row">{escaped(host)}</th>{cells}</tr>'


def tasks_table(report: Report) -> Iterator[str]:
    """Yield the section with all tasks. Its filter and sorting need JavaScript, and are hidden without it."""
    yield '<section aria-labelledby="tasks"><h2 id="tasks">Tasks</h2>'
    yield '<form id="filter" role="search" hidden>'
    yield (
        '<label>Filter <input type="search" id="words" placeholder="name, reason, digest, error" '
        'autocomplete="off" aria-describedby="hint"></label>'
    )
    yield '<fieldset><legend class="hidden">States</legend>'
    for outcome, count in report.counts.items():
        yield (
            f'<label><input type="checkbox" name="state" value="{css_class(outcome)}" checked> '
            f"{state(outcome)} {count}</label>"
        )
    yield '</fieldset><span id="hint"><kbd>/</kbd> filters, <kbd>Esc</kbd> clears</span>'
    yield '<output id="shown" aria-live="polite"></output></form>'
    yield '<table id="all"><thead><tr>'
    yield from (f'<th scope="col">{head}</th>' for head in _HEADS)
    yield "</tr></thead><tbody>"
    yield from (_row(task) for task in report.tasks)
    yield "</tbody></table></section>"


def _row(task: ReportedTask) -> str:
    spent = task.all_traffic
    cells = (
        (task.outcome, state(task.outcome) + (' <span class="mark">critical</span>' if task.is_critical else "")),
        (task.began, "" if task.began is None else seconds(task.began)),
        (task.seconds, "" if task.seconds is None else seconds(task.seconds)),
        (task.why, escaped(task.why)),
        (task.held_up_by, link(task.held_up_by) if task.held_up_by else ""),
        (spent.sent + spent.received, _traffic(spent)),
        (task.summary, _result(task)),
    )
    joined = "".join(
        f'<td data-head="{head}" data-key="{escaped("" if key is None else str(key))}">{shown}</td>'
        for head, (key, shown) in zip(_HEADS[1:], cells, strict=True)
    )
    title = f' title="{escaped(task.doc)}"' if task.doc else ""
    job = f" <small>{escaped(task.job)}</small>" if task.job else ""
    return (
        f'<tr id="{anchor(task.name)}" tabindex="-1" class="{css_class(task.outcome)}">'
        f'<th scope="row" data-key="{escaped(task.name)}"{title}>{escaped(task.name)}{job}</th>{joined}</tr>'
    )


def _traffic(spent: Traffic) -> str:
    if not spent.requests:
        return ""
    sizes = [f"{human_size(size)} {way}" for size, way in ((spent.sent, "sent"), (spent.received, "received")) if size]
    retried = [f"{spent.retries} retried"] if spent.retries else []
    return escaped(", ".join([counted(spent.requests, "request"), *retried, *sizes]))


def _result(task: ReportedTask) -> str:
    lines = []
    if task.failure and task.outcome == NOT_REACHED:
        lines.append(escaped(task.failure.line))
    elif task.failure:
        lines.append(f"<pre>{escaped(task.failure.text.strip())}</pre>")
    if task.summary:
        lines.append(escaped(task.summary))
    if task.saved.blobs:
        lines.append(f"{counted(task.saved.blobs, 'blob')} ({human_size(task.saved.size)}) not transferred")
    if task.digest:
        lines.append(f"<code>{escaped(task.digest)}</code>")
    return "<br>".join(lines)
