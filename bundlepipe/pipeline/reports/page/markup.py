"""Pieces of HTML: escaped text, links to tasks, marks of states, numbers."""

from __future__ import annotations

from hashlib import sha256
from html import escape

from bundlepipe.errors import printable
from bundlepipe.pipeline.reports.content import (
    DONE,
    FAILED,
    IGNORED,
    INTERRUPTED,
    NOT_REACHED,
    UNCHANGED,
    UP_TO_DATE,
)

# Marks beside the colours, for readers who cannot tell these apart.
_MARKS = {DONE: "●", UNCHANGED: "=", UP_TO_DATE: "✓", IGNORED: "!", FAILED: "✗", INTERRUPTED: "‖", NOT_REACHED: "○"}


def escaped(text: str) -> str:
    """Return outside text for HTML, in elements and quoted attributes; control characters are shown as escapes."""
    return escape("\n".join(printable(line) for line in text.replace("\t", "    ").split("\n")))


def anchor(name: str) -> str:
    """Return the `id` of a task's row: names may have characters that links cannot."""
    return f"task-{sha256(name.encode()).hexdigest()[:12]}"


def link(name: str) -> str:
    """Return a link to a task's row."""
    return f'<a href="#{anchor(name)}">{escaped(name)}</a>'


def css_class(outcome: str) -> str:
    """Return the class of an outcome."""
    return "is-" + outcome.replace(" ", "-")


def state(outcome: str) -> str:
    """Return an outcome with its mark and colour."""
    mark = _MARKS.get(outcome, "")
    return f'<span class="state {css_class(outcome)}"><i aria-hidden="true">{mark}</i> {escaped(outcome)}</span>'


def part(value: float, length: float) -> str:
    """Return a part of a length as CSS and SVG have it; clocks are coarse, so that it may seem to be below zero."""
    return f"{max(0.0, value) / length * 100:.3f}%"


def seconds(value: float) -> str:
    """Return a duration for readers: `0.004 s`, `12.3 s`, `4 min 5 s`, `1 h 2 min`."""
    if value < 0.1:
        return f"{value:.3f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
