"""Ours does what imgpkg and kbld do: what is recorded of them, and where they are on PATH what they do now."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.peers.all_cases import TOOLS, cases_of
from tests.peers.cases import Case
from tests.peers.compare import differing
from tests.peers.differences import VARIES, digest_of
from tests.peers.record import recorded
from tests.peers.scene import Stage, open_stage
from tests.support.services import require

# By tool: why ours differs, as the page on compatibility has it, and by case in which parts, with a digest of what
# ours is there; VARIES where that depends on the port of a registry.
_KNOWN: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("known_differences.yml").read_text())
_COMPATIBILITY = Path(__file__).parents[2] / "docs/explanation/compatibility.md"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


@pytest.fixture(scope="module")
def stages() -> Iterator[dict[str, Stage]]:
    """A registry for each tool, with what its cases begin with."""
    require("registry")
    with ExitStack() as opened:
        yield {tool: opened.enter_context(open_stage()) for tool in TOOLS}


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Take back what commands do with signals."""
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def _known(case: Case) -> dict[str, str]:
    return {part: ours for known in _KNOWN[case.tool] for part, ours in known["cases"].get(case.name, {}).items()}


def _reasons(tool: str) -> list[str]:
    """Return the first cells of the table of what differs from a tool on purpose."""
    table = _COMPATIBILITY.read_text().partition(f"## What differs from {tool} on purpose")[2].partition("\n## ")[0]
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")]


def _of(tool: str) -> list[Any]:
    return [pytest.param(case, id=f"{tool}-{case.name}") for case in cases_of(tool)]


@pytest.mark.parametrize("case", [case for tool in TOOLS for case in _of(tool)])
def test_ours_does_what_is_recorded(case: Case, stages: dict[str, Stage]) -> None:
    """What differs is known to, and what is known to differ does."""
    found = {part: (one, other) for part, one, other in differing(case, stages[case.tool], live=False)}
    known = _known(case)
    surprising = {part: told for part, told in found.items() if part not in known}
    assert not surprising, f"{case.tool} {' '.join(case.arguments)}"
    assert not set(known) - set(found), "is known to differ in this, and does not"
    for part, (_, ours) in found.items():
        assert known[part] in (VARIES, digest_of(ours)), f"{part} differs in another way than is known: {ours}"


@pytest.mark.live
@pytest.mark.parametrize("tool", TOOLS)
def test_ours_does_what_the_program_does(tool: str) -> None:
    """The same with the program itself, in whatever version is on PATH."""
    require("registry")
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not on PATH: what is recorded of it is compared")
    with open_stage() as stage:
        surprising = {
            f"{case.name}: {tool} {' '.join(case.arguments)}": parts
            for case in cases_of(tool)
            if (parts := {part for part, _, _ in differing(case, stage, live=True)} - set(_known(case)))
        }
    assert not surprising


@pytest.mark.parametrize("tool", TOOLS)
def test_all_cases_are_recorded_as_they_are(tool: str) -> None:
    """Whoever changes a case records it anew."""
    assert {case.name: case.recorded_by() for case in cases_of(tool)} == {
        name: each["case"] for name, each in recorded(tool).items()
    }


@pytest.mark.parametrize("tool", TOOLS)
def test_known_differences_are_documented(tool: str) -> None:
    """Each reason has a row in the page on compatibility, and each case is there."""
    reasons = _reasons(tool)
    assert [known["reason"] for known in _KNOWN[tool] if known["reason"] not in reasons] == []
    names = {name for known in _KNOWN[tool] for name in known["cases"]}
    assert names <= {case.name for case in cases_of(tool)}


def test_there_are_enough_cases() -> None:
    """Written down and generated."""
    for tool in TOOLS:
        names = [case.name for case in cases_of(tool)]
        assert len(names) >= 250
        assert sum(name.startswith("generated") for name in names) >= 100
