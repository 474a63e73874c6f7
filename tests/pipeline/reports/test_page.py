"""The page of a report in Chromium: it asks for nothing, complains of nothing, and finds, sorts and shows tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from bundlepipe.pipeline.reports.content import DONE, FAILED, NEEDS, SUCCEEDED, UP_TO_DATE, Report, Step
from bundlepipe.pipeline.reports.page.page import page_of
from tests.support.browser import Page
from tests.support.reports import EMPTY_REPORT, HOSTILE_REPORT, reported_task

JOBS, TASKS_OF_JOB = 16, 64
ROWS = "[...document.querySelectorAll('#all tbody tr')]"


def _of_many_jobs() -> Report:
    tasks = [
        reported_task(
            f"push_bundle:{job:02}-{number:02}",
            UP_TO_DATE if number % 4 == 0 else FAILED if (job, number) == (3, 1) else DONE,
            job=f"1-{job:02}",
            lane=job + 1,
            began=job + number * 0.5,
            ended=job + number * 0.5 + number % 7 / 10,
            is_critical=job == JOBS - 1,
        )
        for job in range(JOBS)
        for number in range(TASKS_OF_JOB)
    ]
    path = [Step(task.name, NEEDS, 0.0, 0.5) for task in tasks if task.is_critical]
    return replace(EMPTY_REPORT, outcome=SUCCEEDED, seconds=50.0, tasks=tasks, path=path)


MANY = _of_many_jobs()


@pytest.fixture
def opened(open_page: Callable[..., Page]) -> Callable[..., Page]:
    """A function that opens the page of a report."""
    return lambda report, **options: open_page(page_of(report), **options)


def _shown(page: Page) -> list[str]:
    names: list[str] = page.run(f"{ROWS}.filter((row) => !row.hidden).map((row) => row.cells[0].innerText.trim())")
    return names


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("report", [HOSTILE_REPORT, EMPTY_REPORT, MANY], ids=["hostile", "empty", "many"])
def test_every_report_fits_the_window_in_light_and_dark(
    opened: Callable[..., Page], report: Report, width: int, dark: bool
) -> None:
    page = opened(report, width=width, dark=dark)
    assert page.run(f"{ROWS}.length") == len(report.tasks)
    assert page.run("document.documentElement.scrollWidth == document.documentElement.clientWidth")
    paper = page.run("getComputedStyle(document.body).backgroundColor")
    ink = page.run("getComputedStyle(document.body).color")
    assert (_lightness(paper) > _lightness(ink)) != dark


def _lightness(colour: str) -> int:
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


def test_a_search_and_the_states_choose_rows(opened: Callable[..., Page]) -> None:
    page = opened(MANY)
    assert len(_shown(page)) == JOBS * TASKS_OF_JOB * 3 // 4
    page.press("/", *"03-01")
    assert [name.split()[0] for name in _shown(page)] == ["push_bundle:03-01"]
    assert page.run("document.getElementById('shown').value") == f"1 of {len(MANY.tasks)} tasks"
    page.press("Escape")
    page.run("document.querySelector('input[value=is-up-to-date]').click()")
    assert len(_shown(page)) == len(MANY.tasks)


def test_a_bar_of_the_timeline_leads_to_its_row(opened: Callable[..., Page]) -> None:
    page = opened(MANY)
    page.press("/", *"nothing")
    assert _shown(page) == []
    page.run("document.querySelector('a[href^=\"#task-\"]').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    focused: Any = page.run("document.activeElement.id")
    assert page.run("location.hash") == f"#{focused}" and focused.startswith("task-")
    assert page.run("document.activeElement.getBoundingClientRect().top < window.innerHeight")


def test_columns_sort_both_ways(opened: Callable[..., Page]) -> None:
    page = opened(MANY)
    heads = page.run("[...document.querySelectorAll('#all thead th')].map((head) => head.innerText.trim())")
    names = _shown(page)
    page.run("document.querySelector('#all thead th button').click()")
    assert _shown(page) == sorted(names), heads
    page.run("document.querySelector('#all thead th button').click()")
    assert _shown(page) == sorted(names, reverse=True)
