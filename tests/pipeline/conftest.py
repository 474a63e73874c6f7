"""Fixtures of the tests of pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Page, browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of a browser that all tests of a module share."""
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def open_page(page: Page, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """A function that opens a page by its text; afterwards nothing must have been asked for or complained of."""

    def opened(text: str, **options: Any) -> Page:
        path = tmp_path / "page.html"
        path.write_text(text)
        page.open(path, **options)
        return page

    yield opened
    page.run("1")
    assert (page.complaints, page.requests) == ([], [])
