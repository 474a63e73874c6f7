"""The work of loading a pipeline grows with the pipeline, and not with its square: calls of functions are counted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.pipeline.pipeline import Pipeline

HEAD = "apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\n"
FEW, MANY = 30, 300


def pulls(count: int) -> str:
    return "pulls:\n" + "".join(f"  p{n}: {{from: 'oci:in:v{n}', to: out/p{n}}}\n" for n in range(count))


def renders(count: int) -> str:
    rendered = "".join(f"  r{n}: {{files: [out/p{n}], output: rendered/r{n}}}\n" for n in range(count))
    return f"{pulls(count)}renders:\n{rendered}"


def copies(count: int) -> str:
    chains = (
        f"  a{n}: {{from: 'oci:in:v{n}', to: 'oci:x:v{n}'}}\n  b{n}: {{from: 'oci:x:v{n}', to: 'oci:y:v{n}'}}\n"
        for n in range(count)
    )
    return "copies:\n" + "".join(chains)


def copies_of_tars(count: int) -> str:
    return "copies:\n" + "".join(
        f"  c{n}: {{from: 'tar:{n}.tar', to: 'registry.example/all:v{n}'}}\n" for n in range(count)
    )


def copied_bundles(count: int) -> str:
    bundles = "".join(f"  b{n}: {{files: [b{n}], push: 'registry.example/b{n}:1'}}\n" for n in range(count))
    copied = "".join(f"  c{n}: {{from: {{bundle: b{n}}}, to: registry.example/copy{n}}}\n" for n in range(count))
    return f"bundles:\n{bundles}copies:\n{copied}"


@pytest.mark.parametrize("text", [pulls, renders, copies, copies_of_tars, copied_bundles])
def test_ten_times_as_many_declarations_take_ten_times_the_work(
    text: Callable[[int], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for n in range(MANY):
        (tmp_path / f"b{n}").mkdir()
    # Once for all that is imported and compiled when it is first used.
    _calls(HEAD + text(1))
    few, many = _calls(HEAD + text(FEW)), _calls(HEAD + text(MANY))
    assert many < few * (MANY / FEW) * 1.2


def _calls(text: str) -> int:
    """Return how many functions are called while the tasks of a pipeline are created."""
    Path("bundlepipe.yml").write_text(text)
    count = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    pipeline = Pipeline.load("bundlepipe.yml")
    sys.setprofile(counted)
    try:
        tasks = list(pipeline.create_doit_tasks())
    finally:
        sys.setprofile(None)
    assert tasks
    return count
