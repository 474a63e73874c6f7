"""The timeline: a row for checks and one for each lane, as an SVG whose lengths are parts of the page's width."""

from __future__ import annotations

from collections.abc import Iterator

from bundlepipe.pipeline.reports.content import UP_TO_DATE, Report, ReportedTask
from bundlepipe.pipeline.reports.page.markup import anchor, css_class, escaped, part, seconds

_ROW = 26
_BAR = 20
_AXIS = 22
# Parts of the width: narrower bars have no room for a name, and none is narrower than can be seen.
_ROOM = 4.0
_NARROWEST = 0.12
_MOST_TICKS = 8
_STEPS = (1, 2, 5)


def timeline(report: Report) -> Iterator[str]:
    """Yield the section with the timeline; nothing if no task ran."""
    if not report.lanes:
        return
    length = max(report.seconds, 0.001)
    rows = report.lanes + 1
    height = _AXIS + rows * _ROW
    yield '<section aria-labelledby="timeline"><h2 id="timeline">Timeline</h2>'
    yield (
        "<p>Tasks with a thick border are on the critical path. "
        "The first row is time spent finding out what has to run.</p>"
    )
    yield '<div class="timeline"><div class="lanes" aria-hidden="true">'
    yield from (f"<span>{f'worker {row}' if row else 'checks'}</span>" for row in range(rows))
    yield f'</div><svg role="group" aria-label="Timeline of the tasks that ran" width="100%" height="{height}">'
    for at in _ticks(length):
        yield from _tick(at, at / length * 100, height)
    for task in report.tasks:
        yield from _check(task, length)
    # Those of the critical path last: their borders are above others.
    for task in sorted(report.tasks, key=lambda task: task.is_critical):
        yield from _bar(task, length)
    yield "</svg></div></section>"


def _check(task: ReportedTask, length: float) -> Iterator[str]:
    end = task.ended if task.outcome == UP_TO_DATE else task.checked
    # Hundreds of checks take no time to speak of; a page needs no element for each.
    if task.ready is None or end is None or (end - task.ready) / length * 100 < _NARROWEST:
        return
    title = f"{task.label}: checked in {seconds(end - task.ready)}"
    yield (
        f'<rect class="check" x="{part(task.ready, length)}" y="{_AXIS}" '
        f'width="{part(end - task.ready, length)}" height="{_BAR}"><title>{escaped(title)}</title></rect>'
    )


def _bar(task: ReportedTask, length: float) -> Iterator[str]:
    if task.began is None or task.seconds is None or task.lane is None:
        return
    width = max(_NARROWEST, task.seconds / length * 100)
    title = f"{task.label}: {task.outcome}, {seconds(task.seconds)} from {seconds(task.began)} on"
    if task.held_up_by:
        title += f", after {task.held_up_by}"
    classes = f"bar {css_class(task.outcome)}{' critical' if task.is_critical else ''}"
    yield (
        # By keyboard, readers find tasks in the list and the table below.
        f'<a href="#{anchor(task.name)}" tabindex="-1" aria-label="{escaped(title)}"><svg class="{classes}" '
        f'x="{part(task.began, length)}" y="{_AXIS + task.lane * _ROW}" width="{width:.3f}%" height="{_BAR}">'
        f'<title>{escaped(title)}</title><rect width="100%" height="100%"/>'
    )
    if width >= _ROOM:
        yield f'<text x="5" y="14">{escaped(task.name)}</text>'
    yield "</svg></a>"


def _tick(at: float, percent: float, height: int) -> Iterator[str]:
    yield f'<line class="tick" x1="{percent:.3f}%" x2="{percent:.3f}%" y1="16" y2="{height}"/>'
    yield f'<text class="tick" x="{percent:.3f}%" y="12" dx="2">{_time(at)}</text>'


def _ticks(length: float) -> Iterator[float]:
    """Yield round times from 0 on, at most eight or so."""
    power = 10.0**-4
    step = power
    while length / step > _MOST_TICKS:
        step = next((power * each for each in _STEPS if length / (power * each) <= _MOST_TICKS), power * 10)
        power *= 10
    number = 0
    # One at the very end would have no room for its text.
    while number * step < length * 0.96:
        yield number * step
        number += 1


def _time(at: float) -> str:
    if at < 60:
        return f"{at:g} s"
    return f"{int(at) // 60}:{int(at) % 60:02} min"
