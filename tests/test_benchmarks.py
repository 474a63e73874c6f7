"""The benchmarks run, and their results are shown as they are; how fast anything is, is not tested."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks._comparison import Comparison, Row
from docs import draw_benchmarks
from docs.draw_benchmarks import picture, table
from tests.support.services import require

ROOT = Path(__file__).parents[1]
FASTER = Row("push of text", seconds=0.5, imgpkg=1.25, ratio=0.4, start=None, budget=0.39)
SMALL = Row("pull of <3> files", seconds=0.15, imgpkg=0.05, ratio=3.0, start=0.1, budget=0.18)
FREE = Row("version", seconds=0.05, imgpkg=0.04, ratio=1.25, start=0.1, budget=0)
COMPARISON = Comparison("0.44.0", "3.11.7", cores=2, rounds=7, rows=(FASTER, SMALL, FREE))


def test_a_budget_is_a_ratio_or_for_small_commands_a_time() -> None:
    assert [(row.allowed, row.verdict) for row in COMPARISON.rows] == [
        ("0.39 x", "missed"),
        ("180 ms", "met"),
        ("none", ""),
    ]


def test_the_table_has_all_figures() -> None:
    lines = table(COMPARISON).splitlines()
    assert lines[2:5] == [
        "| push of text | 500 ms | 1.25 s | 0.40 x | 0.39 x | missed |",
        "| pull of <3> files | 150 ms | 50 ms | 3.00 x | 180 ms | met |",
        "| version | 50 ms | 40 ms | 1.25 x | none |  |",
    ]


def test_bars_of_the_picture_end_left_of_one_where_bundlepipe_is_faster() -> None:
    drawn = ElementTree.fromstring(picture(COMPARISON))
    space = "{http://www.w3.org/2000/svg}"
    (one,) = (float(line.attrib["x1"]) for line in drawn.iter(f"{space}line") if line.attrib["class"] == "one")
    bars = [
        (rect.attrib["class"], float(rect.attrib["x"]), float(rect.attrib["width"]))
        for rect in drawn.iter(f"{space}rect")
        if rect.attrib["class"] != "ground"
    ]
    assert [kind for kind, _, _ in bars] == ["faster", "slower", "slower"]
    (_, left, width), (_, right, _), _ = bars
    assert left + width == pytest.approx(one, abs=0.2) and right == pytest.approx(one, abs=0.2)
    assert {row.title for row in COMPARISON.rows} <= {text.text for text in drawn.iter(f"{space}text")}


def test_a_page_without_a_place_for_the_table_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Benchmarks\n\n<!-- end -->\n")
    monkeypatch.setattr(draw_benchmarks, "PAGE", page)
    with pytest.raises(ValueError, match=r"page\.md: the table has no place"):
        draw_benchmarks.drawn()


@pytest.mark.slow
def test_all_works_of_the_comparison_with_imgpkg_run() -> None:
    require("registry")
    command = [sys.executable, "-m", "benchmarks.imgpkg", "--small", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    works = [line[:40].strip() for line in done.stdout.splitlines() if re.search(r"\d m?s ", line)]
    assert len(works) == 15 and works[-1] == "version", done.stdout


@pytest.mark.slow
def test_all_works_of_growth_run() -> None:
    require("registry")
    command = [sys.executable, "-m", "benchmarks.growth", "--small"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^.*-?\d+\.\d x .*$", done.stdout, re.MULTILINE)) == 9, done.stdout
