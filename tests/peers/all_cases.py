"""All command lines, by tool."""

from __future__ import annotations

from tests.peers.cases import Case
from tests.peers.generated_bundles import generated_bundles
from tests.peers.generated_configuration import generated_configuration
from tests.peers.imgpkg_cases import imgpkg_cases
from tests.peers.imgpkg_values_cases import imgpkg_values_cases
from tests.peers.kbld_cases import kbld_cases
from tests.peers.kbld_output_cases import kbld_output_cases
from tests.peers.kbld_relocation_cases import kbld_relocation_cases
from tests.peers.kbld_words_cases import kbld_words_cases

TOOLS = {
    "imgpkg": (imgpkg_cases, generated_bundles, imgpkg_values_cases),
    "kbld": (kbld_cases, generated_configuration, kbld_output_cases, kbld_words_cases, kbld_relocation_cases),
}


def cases_of(tool: str) -> list[Case]:
    """Return all command lines of a tool; their names differ."""
    found = [case for cases in TOOLS[tool] for case in cases()]
    assert len({case.name for case in found}) == len(found)
    return found
