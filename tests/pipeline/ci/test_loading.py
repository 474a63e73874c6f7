"""What is loaded for the settings of CI alone has the tasks of a run."""

from __future__ import annotations

import pytest

from bundlepipe.pipeline.ci.loading import DeclaredSettings, named_tasks, read_settings, settings_of
from bundlepipe.pipeline.declared.reading import PipelineFiles, read_pipeline
from tests.support.project import Project

DECLARATIONS = """\
images: {site: {files: [site]}}
bundles: {locked: {files: [locked], lock: {}}, bare: {files: [bare]}}
copies: {one: {from: {bundle: bare}, to: "tar:one.tar"}}
pulls: {one: {from: {bundle: bare}, to: build/one}}
renders:
  one: {files: [bare], output: build/one.yml}
  two: {files: [bare], output: build/two.yml, apply: {}}
"""


def test_tasks_are_those_of_a_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.pipeline(DECLARATIONS)
    monkeypatch.chdir(project.directory)
    expected = {name for name in project.tasks() if not name.startswith("_")}

    def names(settings: DeclaredSettings) -> set[str]:
        return {task.name for task in named_tasks(settings, "", {}) if not task.name.startswith("_")}

    assert names(read_settings("bundlepipe.yml", {}, "", PipelineFiles())) == expected
    assert names(settings_of(read_pipeline("bundlepipe.yml", {}, remembers=False))) == expected
