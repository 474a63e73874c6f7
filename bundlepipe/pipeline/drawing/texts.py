"""The graph in the languages of other programs: Mermaid, and Graphviz's DOT."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bundlepipe.errors import printable
from bundlepipe.pipeline.drawing.model import SIGNS, STATES, GraphTask, StateName, TaskGraph, TaskKind
from bundlepipe.pipeline.reasons import sentences

# The first line of each, by which a file is recognised.
MERMAID_START = "%% bundlepipe graph"
DOT_START = "// bundlepipe graph"

# The limits of Mermaid's default configuration, which GitHub and others use: more is an error, not a drawing.
MOST_MERMAID_EDGES = 500
MOST_MERMAID_CHARACTERS = 50_000

# The fill, line and text of each state, readable on light and dark paper.
_COLOURS: Mapping[StateName, tuple[str, str]] = {
    "up-to-date": ("#dafbe1", "#1a7f37"),
    "stale": ("#fff1c2", "#9a6700"),
    "unknown": ("#e6e4fb", "#6639ba"),
    "ignored": ("#eaeef2", "#57606a"),
    "error": ("#ffdcd7", "#cf222e"),
}
_INK = "#1f2328"
_SHAPES: Mapping[TaskKind, tuple[str, str]] = {
    "image": ("([", "])"),
    "lock": ("{{", "}}"),
    "push": ("[", "]"),
    "copy": ("[(", ")]"),
    "pull": ("(", ")"),
    "render": ("[/", "/]"),
    "apply": (">", "]"),
    "task": ("[", "]"),
    "group": ("[[", "]]"),
    "private": ("[", "]"),
}
_DOT_SHAPES: Mapping[TaskKind, str] = {
    "image": "oval",
    "lock": "hexagon",
    "push": "box",
    "copy": "cylinder",
    "pull": "folder",
    "render": "note",
    "apply": "cds",
    "task": "box",
    "group": "box3d",
    "private": "box",
}
# Characters of names that have no meaning in a text of Mermaid, except where it reads an icon (`fa:fa-car`), or, as
# its Markdown, a list.
_PLAIN = frozenset(" _-.:/@+,")
_SPECIAL = re.compile(r":(?=fa-)|^[-+]|^\d+\.")


def to_mermaid(graph: TaskGraph) -> str:
    """Return the graph as a flow chart of Mermaid."""
    return "".join(f"{line}\n" for line in _mermaid(graph))


def is_too_large_for_mermaid(graph: TaskGraph, text: str) -> bool:
    """Return whether Mermaid, as it is configured where pages are shown, would refuse to draw a text."""
    return sum(map(len, graph.drawn_needs)) > MOST_MERMAID_EDGES or len(text) > MOST_MERMAID_CHARACTERS


def to_dot(graph: TaskGraph) -> str:
    """Return the graph in Graphviz's DOT."""
    return "".join(f"{line}\n" for line in _dot(graph))


def _mermaid(graph: TaskGraph) -> Iterator[str]:
    yield f"{MERMAID_START}: an arrow goes from a task to those that need it"
    yield "flowchart LR"
    for number, task in enumerate(graph.tasks):
        start, end = _SHAPES[task.kind]
        yield f'  t{number}{start}"{_mermaid_text(_labelled(task))}"{end}'
    for number, needs in enumerate(graph.drawn_needs):
        yield from (f"  t{need} --> t{number}" for need in sorted(needs))
    for state in STATES:
        members = [f"t{number}" for number, task in enumerate(graph.tasks) if task.state and task.state.name == state]
        if members:
            fill, line = _COLOURS[state]
            # A class may not have the name of a word of the language.
            yield f"  classDef s-{state} fill:{fill},stroke:{line},color:{_INK}"
            yield f"  class {','.join(members)} s-{state}"


def _mermaid_text(text: str) -> str:
    """Return a text between quotes: characters that could mean something there become their numbers."""
    special = {match.end() - 1 for match in _SPECIAL.finditer(text)}
    plain = (c.isalnum() or (c in _PLAIN and index not in special) for index, c in enumerate(text))
    return "".join(c if is_plain else f"#{ord(c)};" for c, is_plain in zip(text, plain, strict=True))


def _dot(graph: TaskGraph) -> Iterator[str]:
    yield f"{DOT_START}: an arrow goes from a task to those that need it"
    yield "digraph tasks {"
    yield "  rankdir=LR"
    yield f'  node [fontname=monospace fontsize=11 style=filled fillcolor="#f6f8fa" color="#57606a" fontcolor="{_INK}"]'
    for number, task in enumerate(graph.tasks):
        yield f"  t{number} [{' '.join(_dot_attributes(task))}]"
    for number, needs in enumerate(graph.drawn_needs):
        yield from (f"  t{need} -> t{number}" for need in sorted(needs))
    yield "}"


def _dot_attributes(task: GraphTask) -> Iterator[str]:
    yield f"label={_dot_text(_labelled(task))}"
    yield f"shape={_DOT_SHAPES[task.kind]}"
    if task.state:
        fill, line = _COLOURS[task.state.name]
        yield f'fillcolor="{fill}" color="{line}"'
        yield f"tooltip={_dot_text('; '.join([task.state.name, *sentences(task.state.reasons)]))}"


def _dot_text(text: str) -> str:
    """Return a text in quotes: Graphviz reads escapes, and entities of HTML, in labels."""
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return f'"{escaped}"'


def _labelled(task: GraphTask) -> str:
    name = printable(task.name)
    return f"{SIGNS[task.state.name]} {name}" if task.state else name
