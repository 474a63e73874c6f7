"""The forms of a graph, which an option or the name of a file chooses, and the files that hold one."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Literal, get_args

from bundlepipe.errors import BundlepipeError, quoted
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.pipeline.drawing.model import TaskGraph
from bundlepipe.verbs.outputs.replacing import FileOutput, Kind, forcible_output

Form = Literal["mermaid", "dot", "json", "svg", "html"]

FORMS: Collection[Form] = get_args(Form)
# Printed unless something else is asked for: pages of forges show it, and people can read it.
DEFAULT: Form = "mermaid"
_BY_ENDING: Mapping[str, Form] = {
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".json": "json",
    ".svg": "svg",
    ".html": "html",
    ".htm": "html",
}
# Enough for what each form begins with.
_START = 200


def chosen_form(asked: Collection[Form], path: str | None) -> Form:
    """Return the form that options ask for, else that of a file's name; BundlepipeError if that is not one form."""
    if len(asked) > 1:
        raise BundlepipeError(f"{' and '.join(f'--{form}' for form in asked)}: choose one form")
    if asked:
        return next(iter(asked))
    if path is None:
        return DEFAULT
    ending = os.path.splitext(path)[1].lower()
    if ending not in _BY_ENDING:
        options = ", ".join(f"--{form}" for form in FORMS)
        endings = ", ".join(_BY_ENDING)
        raise BundlepipeError(
            f"-o {quoted(path)}: its name tells no form: choose one of {options}, or end it in {endings}"
        )
    return _BY_ENDING[ending]


def text_of(graph: TaskGraph, form: Form, title: str) -> str:
    """Return a graph in a form; `title` is for the page."""
    # Each imports what only it needs.
    if form == "html":
        from bundlepipe.pipeline.drawing.page import to_html

        return to_html(graph, title)
    return _writer(form)(graph)


def _writer(form: Form) -> Callable[[TaskGraph], str]:
    if form == "json":
        from bundlepipe.pipeline.drawing.document import to_json

        return to_json
    if form == "svg":
        from bundlepipe.pipeline.drawing.svg import to_svg

        return to_svg
    from bundlepipe.pipeline.drawing.texts import to_dot, to_mermaid

    return to_dot if form == "dot" else to_mermaid


def graph_file(path: str, *, force: bool) -> FileOutput:
    """Return the file that a graph is written to: it replaces an earlier graph, and nothing that would be lost."""
    return forcible_output(path, Kind("a graph of tasks", _is_graph), "it is not a graph of tasks", forced=force)


def _is_graph(path: str) -> bool:
    """Return whether a file begins as graphs do."""
    from bundlepipe.pipeline.drawing.document import START
    from bundlepipe.pipeline.drawing.page import HTML_START
    from bundlepipe.pipeline.drawing.svg import SVG_START
    from bundlepipe.pipeline.drawing.texts import DOT_START, MERMAID_START

    try:
        with open(anchored(path), "rb") as file:
            start = file.read(_START)
    except OSError:
        return False
    return start.startswith(tuple(each.encode() for each in (START, HTML_START, SVG_START, DOT_START, MERMAID_START)))
