"""The result of a comparison with imgpkg, kept in a file: the documentation has its table and picture."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).parents[1] / "docs/explanation/benchmarks.json"


@dataclass(frozen=True)
class Row:
    """A work: medians in seconds, and the median of the ratios of neighbouring runs.

    start: the seconds of Python that imports urllib3 and click, measured alternately with it; None if not small.
    budget: a ratio, or seconds if `start` is given; 0 if there is none.
    """

    title: str
    seconds: float
    imgpkg: float
    ratio: float
    start: float | None
    budget: float

    @property
    def allowed(self) -> str:
        """The budget as tables have it."""
        if not self.budget:
            return "none"
        return f"{self.budget:.2f} x" if self.start is None else f"{self.budget * 1000:.0f} ms"

    @property
    def verdict(self) -> str:
        """Whether the budget is met; empty if there is none."""
        if not self.budget:
            return ""
        return "met" if (self.ratio if self.start is None else self.seconds) <= self.budget else "missed"


@dataclass(frozen=True)
class Comparison:
    """What was compared, on what, and the median of how many runs each figure is."""

    imgpkg: str
    python: str
    cores: int
    rounds: int
    rows: tuple[Row, ...]


def read() -> Comparison:
    """Return the comparison of the documentation."""
    document = json.loads(FILE.read_text())
    return Comparison(**{**document, "rows": tuple(Row(**row) for row in document["rows"])})


def write(comparison: Comparison) -> None:
    """Replace the comparison of the documentation."""
    FILE.write_text(json.dumps(asdict(comparison), indent=2) + "\n")


def duration(seconds: float) -> str:
    """Return seconds as tables have them."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
