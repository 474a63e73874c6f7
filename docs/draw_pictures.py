"""Pictures of the folders of the package: their contents and imports, drawn from the code.

`python -m docs.draw_pictures` writes `docs/pictures/FOLDER.svg`, the figures of benchmarks (`draw_benchmarks.py`) and
the tasks of an example (`draw_tasks.py`); with `--check` it reports what is outdated.
An arrow that follows from others is left out (the transitive reduction).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import grimp

from docs import draw_benchmarks, draw_tasks

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"
PACKAGE = "bundlepipe"
# All sizes are in pixels.
_CHARACTER, _PADDING, _HEIGHT, _GAP, _ROW_GAP, _MARGIN = 7.4, 14, 34, 22, 46, 16
_STYLE = (
    "text{font:13px ui-monospace,monospace;fill:#1f2328}rect{fill:#f6f8fa;stroke:#656d76}"
    ".folder{fill:#ddf4ff}path{fill:none;stroke:#656d76}polygon{fill:#656d76}"
)


@dataclass(frozen=True)
class Box:
    """A module, or a folder of modules; `left` and `top` are its corner."""

    name: str
    is_folder: bool
    left: float = 0
    top: float = 0

    @property
    def label(self) -> str:
        """The text in the box."""
        return f"{self.name}/" if self.is_folder else self.name

    @property
    def width(self) -> float:
        """The width in pixels."""
        return len(self.label) * _CHARACTER + 2 * _PADDING

    @property
    def middle(self) -> float:
        """The x coordinate of arrows."""
        return self.left + self.width / 2


def folders() -> list[str]:
    """Return the package and its folders, as module names."""
    children = (path for path in (ROOT / PACKAGE).iterdir() if (path / "__init__.py").exists())
    return [PACKAGE, *sorted(f"{PACKAGE}.{path.name}" for path in children)]


def picture(graph: grimp.ImportGraph, folder: str) -> str:
    """Return the picture of a folder as SVG."""
    children = sorted(graph.find_children(folder))
    imports = {
        child: {
            other
            for other in children
            if other != child and graph.direct_import_exists(importer=child, imported=other, as_packages=True)
        }
        for child in children
    }
    boxes = {child: Box(child.rpartition(".")[2], is_folder=bool(graph.find_children(child))) for child in children}
    rows = _rows(imports, boxes)
    placed = _placed(rows, imports, boxes)
    arrows = [(placed[one], placed[other]) for one in placed for other in sorted(_reduced(imports, one))]
    return _svg(list(placed.values()), arrows, folder)


def _reduced(imports: Mapping[str, set[str]], one: str) -> set[str]:
    """Return what a module imports, less what it reaches by another one that it imports."""

    def reached(start: str, seen: set[str]) -> set[str]:
        for other in imports[start] - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    return {other for other in imports[one] if not any(other in reached(by, set()) for by in imports[one] - {other})}


def _rows(imports: Mapping[str, set[str]], boxes: Iterable[str]) -> list[list[str]]:
    """Return names by rows: each is below all that import it."""
    level: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in level:
            level[name] = 1 + max((depth(by) for by, others in imports.items() if name in others), default=-1)
        return level[name]

    rows: list[list[str]] = []
    for name in sorted(boxes, key=lambda each: (depth(each), each)):
        if depth(name) >= len(rows):
            rows.append([])
        rows[-1].append(name)
    return rows


def _placed(rows: list[list[str]], imports: Mapping[str, set[str]], boxes: Mapping[str, Box]) -> dict[str, Box]:
    """Give each box a place: rows are centred, and ordered by where what imports them is."""
    width = max(sum(boxes[name].width + _GAP for name in row) - _GAP for row in rows)
    placed: dict[str, Box] = {}
    for number, row in enumerate(rows):

        def above(name: str) -> tuple[float, str]:
            by = [placed[one].middle for one in placed if name in imports[one]]
            return (sum(by) / len(by) if by else 0, name)

        row.sort(key=above)
        left = _MARGIN + (width - sum(boxes[name].width + _GAP for name in row) + _GAP) / 2
        for name in row:
            box = boxes[name]
            placed[name] = Box(box.name, box.is_folder, left, _MARGIN + number * (_HEIGHT + _ROW_GAP))
            left += box.width + _GAP
    return placed


def _svg(boxes: Sequence[Box], arrows: Iterable[tuple[Box, Box]], folder: str) -> str:
    width = max(box.left + box.width for box in boxes) + _MARGIN
    height = max(box.top for box in boxes) + _HEIGHT + _MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
        f"<title>Imports in {escape(folder)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect {size} style="fill:#fff;stroke:none"/>',
    ]
    for one, other in arrows:
        start, end = one.top + _HEIGHT, other.top - 5
        bend = (end - start) / 2
        lines.append(
            f'<path d="M{one.middle:.1f} {start:.1f} C{one.middle:.1f} {start + bend:.1f} '
            f'{other.middle:.1f} {end - bend:.1f} {other.middle:.1f} {end:.1f}"/>'
        )
        lines.append(
            f'<polygon points="{other.middle - 4:.1f},{end:.1f} {other.middle + 4:.1f},{end:.1f} '
            f'{other.middle:.1f},{end + 5:.1f}"/>'
        )
    for box in boxes:
        kind = ' class="folder"' if box.is_folder else ""
        lines.append(
            f'<rect{kind} x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{_HEIGHT}" rx="5"/>'
        )
        lines.append(
            f'<text x="{box.middle:.1f}" y="{box.top + 22:.1f}" text-anchor="middle">{escape(box.label)}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def main(arguments: Sequence[str]) -> str | None:
    """Write the pictures, or with `--check` return what is wrong with those that are there."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    drawn = {PICTURES / f"{folder.rpartition('.')[2]}.svg": picture(graph, folder) for folder in folders()}
    drawn |= draw_benchmarks.drawn()
    drawn |= draw_tasks.drawn()
    if "--check" in arguments:
        there = {path: path.read_text() for path in {*drawn, *PICTURES.glob("*.svg")} if path.exists()}
        stale = sorted(path.name for path in drawn.keys() | there.keys() if drawn.get(path) != there.get(path))
        return f"docs: {', '.join(stale)}: outdated: run `./doitw pictures`" if stale else None
    PICTURES.mkdir(exist_ok=True)
    for path, text in drawn.items():
        path.write_text(text)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
