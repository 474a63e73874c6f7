"""All command lines, by tool."""

from __future__ import annotations

from tests.peers.cases import Case
from tests.peers.imgpkg_cases import imgpkg_cases
from tests.peers.kbld_cases import kbld_cases

TOOLS = {"imgpkg": imgpkg_cases, "kbld": kbld_cases}


def cases_of(tool: str) -> list[Case]:
    """Return all command lines of a tool; their names differ."""
    found = list(TOOLS[tool]())
    assert len({case.name for case in found}) == len(found)
    return found
