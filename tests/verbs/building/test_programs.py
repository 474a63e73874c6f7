"""Other builders: the last line that they print is the image."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundlepipe.errors import BundlepipeError, ProgramError, ProgramMissing
from bundlepipe.events import Event, OutputLine
from bundlepipe.oci.digest import Digest
from bundlepipe.verbs.building.programs import run_builder

IMAGE = f"registry.example/app@{Digest.of(b'')}"


@pytest.mark.parametrize(
    "output", [IMAGE, f"building\\n{IMAGE}\\n\\n  \\n", f"registry.example/app:v1@{Digest.of(b'')}"]
)
def test_the_last_line_is_the_image(output: str) -> None:
    assert str(run_builder(["sh", "-c", f'printf "{output}"'])) == IMAGE


def test_what_is_told_meanwhile_is_emitted(tmp_path: Path) -> None:
    events: list[Event] = []

    run_builder(
        ["sh", "-c", f'pwd >&2; echo "$MODE" >&2; echo {IMAGE}'],
        directory=str(tmp_path),
        environment={"MODE": "release"},
        emit=events.append,
    )

    assert events == [OutputLine(str(tmp_path)), OutputLine("release")]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("true", "it printed nothing"),
        ("echo registry.example/app:v1", "its last line is 'registry.example/app:v1'"),
        ("echo All done!", "its last line is 'All done!'"),
    ],
)
def test_another_last_line_is_shown(script: str, said: str) -> None:
    expected = "expected the image that was pushed, as REPOSITORY@sha256:DIGEST"
    with pytest.raises(BundlepipeError, match=rf": {said}: {expected}$"):
        run_builder(["sh", "-c", script])


def test_a_builder_that_fails_or_is_missing_is_told() -> None:
    with pytest.raises(ProgramError, match="failed with exit status 3"):
        run_builder(["sh", "-c", f"echo {IMAGE}; exit 3"])
    with pytest.raises(ProgramMissing, match="gone-builder"):
        run_builder(["gone-builder"])
