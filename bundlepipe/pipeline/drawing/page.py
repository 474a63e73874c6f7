"""The graph as one HTML page that needs nothing else: laid out here; its script only pans, zooms, searches and selects.

Its content security policy allows no request, and no script but this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from bundlepipe.documents.pages import policy_of
from bundlepipe.errors import printable
from bundlepipe.pipeline.drawing.layout.folding import Spot
from bundlepipe.pipeline.drawing.model import KINDS, SIGNS, STATES, GraphTask, TaskGraph
from bundlepipe.pipeline.drawing.svg import drawing, layout_of, resource
from bundlepipe.pipeline.reasons import sentences
from bundlepipe.progress.phrases import counted

# The first line, by which a file is recognised.
HTML_START = "<!doctype html><!-- bundlepipe graph -->"
_MARGIN = 24
_FIELD = re.compile(r"\[\[(\w+)\]\]")


def to_html(graph: TaskGraph, title: str) -> str:
    """Return the page; `title` says what the tasks are of."""
    style, script = resource("picture.css") + resource("page.css"), resource("page.js")
    layout = layout_of(graph)
    box = f"{-_MARGIN} {-_MARGIN} {layout.width + 2 * _MARGIN:.0f} {layout.height + 2 * _MARGIN:.0f}"
    parts = {
        "policy": policy_of(style, script),
        "title": escape(printable(title)),
        "count": counted(len(graph.tasks), "task") + ("" if layout.edges else _arrows(graph)),
        "legend": "".join(_legend(graph)),
        "box": box,
        "style": style,
        "script": script,
        "drawing": drawing(graph, layout),
        "data": _data(graph, layout.spots),
    }
    # In one go, as names of tasks may look like fields.
    return f"{HTML_START}\n{_FIELD.sub(lambda field: parts[field[1]], resource('page.html'))}"


def _arrows(graph: TaskGraph) -> str:
    """Return what the page says of arrows that it does not draw."""
    count = sum(map(len, graph.drawn_needs))
    return f", {count:,} arrows: choose a task to see its own" if count else ""


def _legend(graph: TaskGraph) -> Iterator[str]:
    """Yield an item for each state, and each kind, that occurs."""
    for state in STATES:
        count = sum(task.state is not None and task.state.name == state for task in graph.tasks)
        if count:
            yield f'<li class="{state}"><b>{SIGNS[state]}</b> {count} {state.replace("-", " ")}</li>'
    for kind in KINDS:
        count = sum(task.kind == kind for task in graph.tasks)
        if count:
            yield f'<li class="kind-{kind}"><i></i>{count} {kind}</li>'


def _data(graph: TaskGraph, spots: Sequence[Spot]) -> str:
    """Return what the script knows of tasks, as JSON that cannot end the element that holds it."""
    tasks = [_task(task, graph.needs[number], spots[number]) for number, task in enumerate(graph.tasks)]
    text = json.dumps(tasks, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _task(task: GraphTask, needs: Sequence[int], spot: Spot) -> dict[str, Any]:
    return {
        "name": printable(task.name),
        "kind": task.kind,
        "doc": printable(task.doc),
        "state": task.state.name if task.state else None,
        "reasons": sentences(task.state.reasons) if task.state else [],
        "needs": needs,
        "targets": [printable(target) for target in task.targets],
        "box": [round(spot.left), round(spot.top), round(spot.width), round(spot.height)],
    }
