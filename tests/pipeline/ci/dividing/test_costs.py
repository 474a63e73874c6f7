from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.dividing import costs
from bundlepipe.pipeline.ci.dividing.costs import estimated, measured
from tests.support.project import Project


@pytest.mark.parametrize(
    ("group", "options", "task", "seconds"),
    [
        ("push_bundle", {}, {}, costs.SECONDS_OF_PUSH),
        ("push_bundle", {}, {"cost": {"upload": 40_000_000}}, costs.SECONDS_OF_PUSH + 2),
        ("push_bundle", {}, {"cost": {"upload": 40_000_000}, "result": {"unchanged": True}}, costs.SECONDS_UNCHANGED),
        ("push_image", {"files": ["a"]}, {}, costs.SECONDS_OF_PUSH),
        ("push_image", {"context": "a"}, {}, costs.SECONDS_OF_BUILD),
        ("push_image", {"run": ["a"]}, {}, costs.SECONDS_OF_PROGRAM),
        ("push_image", {"from": "a", "to": "b"}, {}, costs.SECONDS_OF_COPY),
        ("copy_bundle", {}, {"cost": {"upload": 20_000_000, "download": 20_000_000}}, costs.SECONDS_OF_COPY + 2),
        ("lock_bundle", {}, {"cost": {}}, costs.SECONDS_OF_LOCK),
        ("", {}, {}, costs.SECONDS_OF_PROGRAM),
    ],
)
def test_estimates(group: str, options: dict[str, Any], task: dict[str, Any], seconds: float) -> None:
    assert estimated(group, options, task) == seconds


def test_durations_are_those_of_a_real_report(project: Project) -> None:
    project.declare_each_kind()
    project.doit(env={"BUNDLEPIPE_REPORT": "report.json"})
    path = project.directory / "report.json"
    first = measured(str(path))
    tasks = {task["name"]: task for task in json.loads(path.read_text())["tasks"]}
    assert first == {
        name: pytest.approx(task["seconds"], abs=1e-3) for name, task in tasks.items() if "seconds" in task
    }
    assert "push_bundle:app" in first
    # A run with nothing to do has measured nothing.
    project.doit(env={"BUNDLEPIPE_REPORT": "report.json"})
    assert measured(str(path)) == {}


def test_files_that_are_no_reports(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with pytest.raises(BundlepipeError) as error:
        measured(str(file))
    assert str(error.value) == f"{file}: cannot be read: No such file or directory"
    file.write_text('{"apiVersion": "bundlepipe.dev/v1alpha1", "kind": "Plan", "tasks": []}')
    with pytest.raises(BundlepipeError, match=r"report\.json:1:1: is a document of the kind 'Plan', expected a Report"):
        measured(str(file))
    file.write_text("<html>")
    with pytest.raises(BundlepipeError, match=r"report\.json:1:1: "):
        measured(str(file))
