"""The page in Chromium: it asks for nothing, complains of nothing, and keys, clicks and searches do what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bundlepipe.errors import printable
from bundlepipe.pipeline.drawing.forms import text_of
from bundlepipe.pipeline.drawing.model import TaskGraph
from tests.support.browser import Page
from tests.support.graphs import HOSTILE, graph, hostile, monorepo

# c and d need b, which needs a; z is alone.
SMALL = graph(a=[], b=["a"], c=["b"], d=["b"], z=[])


@pytest.fixture
def opened(open_page: Callable[..., Page]) -> Callable[..., Page]:
    """A function that opens the page of a graph."""
    return lambda shown, **options: open_page(text_of(shown, "html", "a title"), **options)


def chosen(page: Page) -> str | None:
    text: str | None = page.run(
        "document.getElementById('chosen').hidden ? null : document.querySelector('#chosen h2').textContent"
    )
    return text


def marked(page: Page, mark: str) -> list[str]:
    names: list[str] = page.run(
        f"[...document.querySelectorAll('.task.{mark} .name')].map((name) => name.textContent).sort()"
    )
    return names


def scale(page: Page) -> float:
    return float(page.run("document.getElementById('graph').getScreenCTM().a"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize(
    "shown", [SMALL, monorepo(335), hostile(), TaskGraph([])], ids=["few", "many", "hostile", "none"]
)
def test_every_graph_is_shown_whole_in_light_and_dark_wide_and_narrow(
    opened: Any, shown: TaskGraph, width: int, dark: bool
) -> None:
    page = opened(shown, width=width, dark=dark)
    assert page.run("document.querySelectorAll('.task').length") == len(shown.tasks)
    assert page.run("document.documentElement.scrollWidth") == width
    assert page.run("document.title") == "a title: tasks"
    paper = page.run("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
    assert page.run(
        "(() => { const all = document.getElementById('graph').getBoundingClientRect();"
        " return [...document.querySelectorAll('.task rect')].every((each) => {"
        " const box = each.getBoundingClientRect(); return box.right > all.left && box.width > 0; }); })()"
    )


def test_a_few_tasks_can_be_read_on_a_narrow_screen(opened: Any) -> None:
    assert scale(opened(hostile(), width=360, height=640)) > 0.5


def test_choosing_a_task_shows_what_it_needs_and_what_needs_it(opened: Any) -> None:
    page = opened(SMALL)
    x, y = page.run(
        "(() => { const box = document.querySelector('#task-1 rect').getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    page.click(x, y)
    assert chosen(page) == "b"
    assert (marked(page, "needed"), marked(page, "user"), marked(page, "chosen")) == (["a"], ["c", "d"], ["b"])
    listed = "[...document.querySelectorAll('#chosen {} button')].map((each) => each.textContent)"
    assert page.run(listed.format(".needs")) == ["a"]
    assert page.run(listed.format(".users")) == ["c", "d"]
    colours = {
        page.run(f"getComputedStyle(document.querySelector('.task.{mark} rect')).stroke")
        for mark in ("needed", "user", "chosen")
    }
    assert len(colours) == 3
    page.run("document.querySelector('#chosen .users button').click()")
    assert chosen(page) == "c"
    assert (marked(page, "needed"), marked(page, "user")) == (["a", "b"], [])
    page.run("document.getElementById('close').click()")
    assert chosen(page) is None


def test_of_too_many_arrows_those_of_the_chosen_task_are_drawn(opened: Any) -> None:
    low = [f"low-{number:03}" for number in range(101)]
    high = {f"high-{number:03}": low for number in range(100)}
    page = opened(graph(**{name: [] for name in low}, **high, top=["high-000"]))
    assert page.run("document.querySelectorAll('.edge').length") == 0
    assert page.run("document.querySelector('h1').textContent").endswith("10,101 arrows: choose a task to see its own")
    counted = "['needed', 'user'].map((kind) => document.querySelectorAll('.edge.' + kind).length)"
    for name, count in (("high-000", [101, 1]), ("low-000", [0, 100]), ("top", [1, 0])):
        page.run(f"choose(tasks.findIndex((task) => task.name === {name!r}), true)")
        assert page.run(counted) == count
    # The arrow begins and ends at its tasks.
    assert page.run(
        "(() => { const path = document.querySelector('.edge.needed'), end = path.getPointAtLength(1e6);"
        " const box = tasks.find((task) => task.name === 'top').box;"
        " return Math.abs(end.x - box[0]) < 1 && Math.abs(end.y - box[1] - box[3] / 2) < 1; })()"
    )
    page.press("Escape")
    assert page.run(counted) == [0, 0]


def test_keys_go_from_task_to_task(opened: Any) -> None:
    page = opened(SMALL)
    page.press("ArrowRight")
    assert chosen(page) == "a"
    page.press("ArrowRight", "ArrowRight")
    assert chosen(page) in ("c", "d")
    first = chosen(page)
    page.press("ArrowDown" if first == "c" else "ArrowUp")
    assert {first, chosen(page)} == {"c", "d"}
    page.press("ArrowLeft", "ArrowLeft")
    assert chosen(page) == "a"
    page.press("ArrowLeft")
    assert chosen(page) == "a"
    assert page.run("document.activeElement.id || document.activeElement.tagName") in ("graph", "BODY")
    page.press("Escape")
    assert chosen(page) is None
    assert page.run("document.activeElement.id") == "graph"
    before = scale(page)
    page.press("+")
    assert scale(page) > before
    page.press("-", "0")
    assert scale(page) == pytest.approx(before)


@pytest.mark.parametrize(("width", "height"), [(1200, 800), (360, 640)])
def test_fit_shows_everything_beside_the_panel_too(opened: Any, width: int, height: int) -> None:
    page = opened(monorepo(30), width=width, height=height)
    page.run("choose(0, false)")
    page.run("document.getElementById('whole').click()")
    assert page.run(
        "(() => { const all = document.getElementById('graph').getBoundingClientRect();"
        " const panel = document.getElementById('chosen').getBoundingClientRect();"
        " const isBelow = panel.width >= all.width - 1;"
        " const right = isBelow ? all.right : panel.left, bottom = isBelow ? panel.top : all.bottom;"
        " return [...document.querySelectorAll('.task rect')].every((each) => {"
        " const box = each.getBoundingClientRect(); return box.left >= all.left - 1 && box.right <= right + 1"
        " && box.top >= all.top - 1 && box.bottom <= bottom + 1; }); })()"
    )


def test_tab_reaches_the_lists_of_a_chosen_task(opened: Any) -> None:
    page = opened(SMALL)
    page.press("ArrowRight")
    page.run("document.getElementById('graph').focus()")
    page.press("Tab")
    assert page.run("document.activeElement.id") == "close"
    page.press("Tab")
    assert page.run("document.activeElement.textContent") == "b"


def test_a_search_goes_through_what_it_finds(opened: Any) -> None:
    page = opened(monorepo(335))
    page.press("/", *"push app-03")
    found = [f"push_bundle:app-03{number}" for number in range(10)]
    assert page.run("document.getElementById('search').value") == "push app-03"
    assert page.run("document.getElementById('found').textContent") == "10 found"
    assert marked(page, "match") == found
    page.press("Enter")
    assert chosen(page) == found[0]
    assert scale(page) > 0.9
    page.press("Enter", "Enter")
    assert chosen(page) == found[2]
    assert page.run("document.getElementById('found').textContent") == "3 of 10"
    middle = page.run(
        "(() => { const box = document.querySelector('.task.chosen rect').getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    assert 0 < middle[0] < 840 and 40 < middle[1] < 800
    page.press("Escape")
    assert (page.run("document.getElementById('search').value"), marked(page, "match")) == ("", [])
    page.press("/", *"nothing has this name", "Enter")
    assert page.run("document.getElementById('found').textContent") == "0 found"


def test_an_address_may_name_a_task(opened: Any) -> None:
    page = opened(SMALL, fragment="d")
    assert chosen(page) == "d"
    page.run("location.hash = '#a'")
    page.until("document.querySelector('#chosen h2').textContent === 'a'")
    page.run("location.hash = '#%'")
    page.until("location.hash === '#%'")
    assert chosen(page) == "a"


def test_hostile_names_are_texts(opened: Any) -> None:
    page = opened(hostile())
    for name in HOSTILE:
        page.run("document.getElementById('search').focus()")
        assert page.run(f"choose(tasks.findIndex((task) => task.name === {printable(name)!r}), true)") is None
        assert chosen(page) == printable(name)
    assert page.run("document.title") == "a title: tasks"
    assert page.run("document.images.length + document.scripts.length") == 2
