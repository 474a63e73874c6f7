"""The graph as SVG: the drawing of the page, and a picture by itself for documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from bundlepipe.errors import printable
from bundlepipe.pipeline.drawing.layout.folding import Spot
from bundlepipe.pipeline.drawing.layout.placing import HEIGHT, Edge, Layout, place
from bundlepipe.pipeline.drawing.model import SIGNS, GraphTask, TaskGraph
from bundlepipe.pipeline.reasons import sentences
from bundlepipe.progress.widths import cells

# All in pixels; a character is one of a fixed width in the font of the style.
_CHARACTER, _BEFORE_SIGN, _BEFORE_NAME, _AFTER, _MARGIN = 7.9, 14, 30, 12, 24
# The left end of a task, with its round corners.
_STRIPE = f"M5 .5H5a4.5 4.5 0 0 0-4.5 4.5v{HEIGHT - 10:.0f}a4.5 4.5 0 0 0 4.5 4.5z"
_LONGEST_LABEL = 46
# How far a line leaves and enters tasks horizontally.
_LEAST_BEND, _MOST_BEND = 20.0, 140.0
_STYLE = "picture.css"
# The first line, by which a file is recognised.
SVG_START = "<!-- bundlepipe graph -->"


def layout_of(graph: TaskGraph) -> Layout:
    """Return where the tasks and edges of a graph are."""
    return place(graph.drawn_needs, [_width(task) for task in graph.tasks])


def to_svg(graph: TaskGraph) -> str:
    """Return the graph as a picture by itself, for a light or dark background as the viewer prefers.

    Without arrows if it has more than MOST_EDGES.
    """
    layout = layout_of(graph)
    width, height = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN
    return (
        f"{SVG_START}\n"
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-_MARGIN} {-_MARGIN} {width:.0f} {height:.0f}" role="img">\n'
        f"<title>Tasks, each to the right of those that it needs</title>\n<style>\n{resource(_STYLE)}</style>\n"
        f'<rect class="paper" x="{-_MARGIN}" y="{-_MARGIN}" width="{width:.0f}" height="{height:.0f}"/>\n'
        f"{drawing(graph, layout)}</svg>\n"
    )


def drawing(graph: TaskGraph, layout: Layout) -> str:
    """Return the elements of a drawing: edges, then tasks, with their positions in the graph as `data-` attributes."""
    return "".join(f"{line}\n" for line in (_ARROW, *_edges(layout), *_tasks(graph, layout.spots)))


def resource(name: str) -> str:
    """Return the text of a file beside this module."""
    return files("bundlepipe.pipeline.drawing").joinpath(name).read_text(encoding="utf-8")


_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" '
    'markerWidth="9" markerHeight="9" orient="auto"><path class="head" d="M0 0 8 4 0 8z"/></marker></defs>'
)


def label(task: GraphTask) -> str:
    """Return a name on one line, without its middle if it is long."""
    text = printable(task.name)
    half = _LONGEST_LABEL // 2
    return text if len(text) <= _LONGEST_LABEL else f"{text[: half - 1]}…{text[-half:]}"


def _width(task: GraphTask) -> float:
    return _BEFORE_NAME + _AFTER + _CHARACTER * cells(label(task))


def _edges(layout: Layout) -> Iterator[str]:
    for edge in layout.edges:
        path = _path(edge, layout.spots)
        yield f'<path class="edge" data-from="{edge.start}" data-to="{edge.end}" d="{path}" marker-end="url(#arrow)"/>'


def _path(edge: Edge, spots: Sequence[Spot]) -> str:
    start, end = spots[edge.start], spots[edge.end]
    x, y = start.left + start.width, start.top + HEIGHT / 2
    path = [f"M{x:.0f} {y:.0f}"]
    for to_x, to_y in (*edge.points, (end.left, end.top + HEIGHT / 2)):
        bend = min(max(abs(to_x - x) / 2, _LEAST_BEND), _MOST_BEND)
        if y == to_y and to_x > x:
            path.append(f"H{to_x:.0f}")
        else:
            path.append(f"C{x + bend:.0f} {y:.0f} {to_x - bend:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}")
        x, y = to_x, to_y
    return "".join(path)


def _tasks(graph: TaskGraph, spots: Sequence[Spot]) -> Iterator[str]:
    for number, (task, spot) in enumerate(zip(graph.tasks, spots, strict=True)):
        state = task.state.name if task.state else "none"
        sign = f'<text class="sign" x="{_BEFORE_SIGN}" y="18">{SIGNS[task.state.name]}</text>' if task.state else ""
        yield (
            f'<g class="task kind-{task.kind} {state}" id="task-{number}" data-number="{number}" '
            f'transform="translate({spot.left:.0f} {spot.top:.0f})"><title>{_markup(_told(task))}</title>'
            f'<rect width="{spot.width:.0f}" height="{HEIGHT:.0f}" rx="5"/>'
            f'<path class="stripe" d="{_STRIPE}"/>'
            f'{sign}<text class="name" x="{_BEFORE_NAME}" y="18">{_markup(label(task))}</text></g>'
        )


def _told(task: GraphTask) -> str:
    """Return the tool tip of a task: its name, state and reasons."""
    lines = [printable(task.name), f"{task.kind}{f', {task.state.name}' if task.state else ''}"]
    return "\n".join([*lines, *(sentences(task.state.reasons) if task.state else ())])


def _markup(text: str) -> str:
    # XML 1.0 has no other control characters, even as references; `printable` leaves none but newlines.
    return escape(text, quote=True)
