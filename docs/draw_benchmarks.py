"""The comparison with imgpkg as a picture and a table, made from the figures in explanation/benchmarks.json."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

from benchmarks._comparison import Comparison, Row, duration, read

PAGE = Path(__file__).parent / "explanation/benchmarks.md"
PICTURE = Path(__file__).parent / "pictures/benchmarks.svg"
_BEGIN = "<!-- made from benchmarks.json, which `python -m benchmarks.imgpkg --record` writes -->"
_END = "<!-- end -->"

# The x coordinate of a ratio.
Across = Callable[[float], float]
# All sizes are in pixels.
_TITLES, _BARS, _BAR, _ROW, _TOP, _BOTTOM = 290, 330, 14, 24, 64, 40
_COLUMNS = (705, 785, 850)
_WIDTH = 866
_LIGHT = {"ink": "#1f2328", "faint": "#d1d9e0", "ground": "#fff", "faster": "#1a7f37", "slower": "#bc4c00"}
_DARK = {"ink": "#f0f6fc", "faint": "#3d444d", "ground": "#0d1117", "faster": "#3fb950", "slower": "#f0883e"}


def drawn() -> dict[Path, str]:
    """Return what the picture, and the page with the table, should have."""
    comparison = read()
    before, begin, rest = PAGE.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{PAGE}: the table has no place between {_BEGIN} and {_END}")
    return {PICTURE: picture(comparison), PAGE: f"{before}{begin}\n\n{table(comparison)}\n\n{end}{after}"}


def _style() -> str:
    def colours(of: dict[str, str]) -> str:
        filled = "".join(f".{name}{{fill:{of[name]}}}" for name in ("ground", "faster", "slower"))
        return f"text{{fill:{of['ink']}}}{filled}line{{stroke:{of['faint']}}}.one,.budget{{stroke:{of['ink']}}}"

    shapes = (
        "text{font:13px system-ui,sans-serif}.end{text-anchor:end}.middle{text-anchor:middle}.bold{font-weight:600}"
        ".budget{stroke-width:2}"
    )
    # Dark is what the viewer has chosen, which the page may not follow: so the picture has a background of its own.
    return f"{shapes}{colours(_LIGHT)}@media(prefers-color-scheme:dark){{{colours(_DARK)}}}"


def picture(comparison: Comparison) -> str:
    """Return bars of the ratios as SVG: to the left of 1 bundlepipe is faster, to the right imgpkg."""
    ratios = [each for row in comparison.rows for each in (row.ratio, _budget(row)) if each]
    low, high = (max(math.ceil(math.log2(each)), 1) for each in (1 / min(ratios), max(ratios)))
    bottom = _TOP + _ROW * len(comparison.rows)
    height = bottom + _BOTTOM
    size = f'width="{_WIDTH}" height="{height}"'

    def across(ratio: float) -> float:
        return _TITLES + (math.log2(ratio) + low) / (high + low) * _BARS

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_WIDTH} {height}" role="img">',
        "<title>Seconds of bundlepipe divided by those of imgpkg</title>",
        f"<style>{_style()}</style>",
        f'<rect class="ground" {size}/>',
        _text(_TITLES, 24, "bundlepipe / imgpkg", "bold"),
        *(
            _text(at, 24, name, "end bold")
            for at, name in zip(_COLUMNS, ("bundlepipe", "imgpkg", "ratio"), strict=True)
        ),
        *_scale(range(-low, high + 1), bottom, across),
    ]
    for number, row in enumerate(comparison.rows):
        lines += _bar(row, _TOP + number * _ROW, across)
    explained = f"medians of {comparison.rounds} runs; a vertical mark is the budget; "
    lines.append(_text(16, height - 14, f"{explained}left of 1: bundlepipe is faster than imgpkg {comparison.imgpkg}"))
    return "\n".join([*lines, "</svg>", ""])


def _scale(powers: range, bottom: float, across: Across) -> Iterator[str]:
    for power in powers:
        at = across(2.0**power)
        named = str(2**power) if power >= 0 else f"1/{2**-power}"
        yield _line(at, _TOP - 6, bottom, "one" if power == 0 else "")
        yield _text(at, _TOP - 14, named, "middle")


def _bar(row: Row, top: float, across: Across) -> Iterator[str]:
    start, end = sorted((across(1), across(row.ratio)))
    kind = "faster" if row.ratio <= 1 else "slower"
    baseline = top + _BAR - 2
    yield _text(_TITLES - 14, baseline, row.title, "end")
    yield f'<rect class="{kind}" x="{start:.1f}" y="{top}" width="{end - start:.1f}" height="{_BAR}"/>'
    if row.budget:
        yield _line(across(_budget(row)), top - 3, top + _BAR + 3, "budget")
    for at, figure in zip(_COLUMNS, (duration(row.seconds), duration(row.imgpkg), f"{row.ratio:.2f}"), strict=True):
        yield _text(at, baseline, figure, "end")


def _budget(row: Row) -> float:
    """Return the budget as a ratio; 0 if there is none."""
    return row.budget if row.start is None else row.budget / row.imgpkg


def _line(at: float, top: float, bottom: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{bottom}"/>'


def _text(left: float, baseline: float, text: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{left:.1f}" y="{baseline}">{escape(text)}</text>'


def table(comparison: Comparison) -> str:
    """Return the figures as a table in Markdown."""
    rows = [
        "| work | bundlepipe | imgpkg | ratio | budget | |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row.title} | {duration(row.seconds)} | {duration(row.imgpkg)} | {row.ratio:.2f} x | {row.allowed} "
            f"| {row.verdict} |"
            for row in comparison.rows
        ),
    ]
    starts = [row.start for row in comparison.rows if row.start is not None]
    measured = (
        f"Medians of {comparison.rounds} runs of each, alternating, with Python {comparison.python} and imgpkg "
        f"{comparison.imgpkg} on {comparison.cores} cores. Beside the\nsmall commands, "
        f"`python -c 'import urllib3, click'` took {duration(min(starts))} to {duration(max(starts))}."
    )
    return "\n".join([*rows, "", measured])
