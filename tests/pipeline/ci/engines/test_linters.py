"""The files are what the engines' schemas, models and linters want, without an exception."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundlepipe.pipeline.ci.engines.argo import argo
from bundlepipe.pipeline.ci.engines.buildkite import buildkite, buildkite_steps
from bundlepipe.pipeline.ci.engines.common import Place
from bundlepipe.pipeline.ci.engines.github import github
from bundlepipe.pipeline.ci.engines.gitlab import gitlab, gitlab_child
from bundlepipe.pipeline.declared.ci import CI
from tests.support.ci import SETTINGS, graph, linted, parsed, uploaded_text

GRAPHS = {"nothing": graph(), "one": graph(1), "waves": graph(3, 2, 70, 1, needs=60, environment="production")}
ZIZMOR = ("zizmor", "--offline", "--no-progress", "--no-config", "--color=never")
# In a process of its own: hera changes how PyYAML writes texts.
MODELS = """
import json, sys
from hera.workflows.models import Workflow
read = Workflow.model_validate(json.load(sys.stdin))
json.dump(read.model_dump(by_alias=True, exclude_none=True, mode="json"), sys.stdout)
"""
settings = pytest.mark.parametrize(("ci", "place"), SETTINGS.values(), ids=SETTINGS)


def by_schema(name: str, file: Path) -> str:
    return linted("check-jsonschema", "--builtin-schema", f"vendor.{name}", file)


def _by_models(workflow: Any) -> Any:
    command = [sys.executable, "-c", MODELS]
    done = subprocess.run(command, input=json.dumps(workflow), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@settings
def test_a_workflow_of_github(ci: CI, place: Place, tmp_path: Path) -> None:
    file = tmp_path / ".github/workflows/bundles.yml"
    file.parent.mkdir(parents=True)
    file.write_text(github(ci, place))
    # Labels of self-hosted runners are known to their owners alone.
    (tmp_path / ".github/actionlint.yaml").write_text("self-hosted-runner: {labels: ['linux x64']}\n")
    assert by_schema("github-workflows", file) == ""
    config = tmp_path / ".github/actionlint.yaml"
    assert linted("actionlint", "-no-color", "-shellcheck=", "-pyflakes=", "-config-file", config, file) == ""
    assert linted(*ZIZMOR, file) == ""
    # Jobs of a wave are best named for their wave and what the matrix has, which GitHub does by itself.
    found = re.findall(r"^\w+\[(.+)\]:.*\n *--> .*:(\d+):", linted(*ZIZMOR, "--persona=pedantic", file), re.MULTILINE)
    lines = file.read_text().splitlines()
    assert [(rule, lines[int(line) - 1]) for rule, line in found] == [
        ("anonymous-definition", f"  wave-{wave}:") for wave in range(1, ci.waves + 1)
    ]


@settings
def test_a_pipeline_of_gitlab(ci: CI, place: Place, tmp_path: Path) -> None:
    file = tmp_path / ".gitlab-ci.yml"
    for text in (gitlab(ci, place), *(gitlab_child(ci, each, place) for each in GRAPHS.values())):
        file.write_text(text)
        assert by_schema("gitlab-ci", file) == ""


@settings
def test_a_pipeline_of_buildkite(ci: CI, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yml"
    for text in (buildkite(ci, place), *(buildkite_steps(ci, each, place) for each in GRAPHS.values())):
        file.write_text(text)
        assert by_schema("buildkite", file) == ""


@settings
def test_a_workflow_of_argo(ci: CI, place: Place) -> None:
    written = yaml.safe_load(argo(ci, place))
    # Models take what they do not know, and forget it.
    assert _by_models(written) == written


def scripts(value: Any, key: str = "") -> Iterator[str]:
    """Yield all that a shell is to run, in a parsed file; the lines of GitLab's jobs as one."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from scripts(item, name)
    elif isinstance(value, list) and key in ("script", "before_script"):
        yield "\n".join(value)
    elif isinstance(value, list):
        for item in value:
            yield from scripts(item, key)
    elif key in ("run", "args") or (key == "command" and value != "sh" and not value.startswith("-")):
        yield value


@settings
def test_commands_are_those_of_a_posix_shell(ci: CI, place: Place) -> None:
    texts = [github(ci, place), gitlab(ci, place), buildkite(ci, place), argo(ci, place)]
    texts += [gitlab_child(ci, GRAPHS["one"], place), buildkite_steps(ci, GRAPHS["one"], place)]
    for text in texts:
        found = list(scripts(parsed(text)))
        assert found
        for script in found:
            command = uploaded_text(script) if "$$" in script else script
            assert subprocess.run(["sh", "-nc", command], capture_output=True, check=False).stderr == b"", command


def test_the_linters_find_something(tmp_path: Path) -> None:
    file = tmp_path / ".github/workflows/bundles.yml"
    file.parent.mkdir(parents=True)
    text = github(CI(), Place())
    file.write_text(text.replace("$BASE", "${{ github.head_ref }}"))
    assert "template-injection" in linted(*ZIZMOR, file)
    file.write_text(text.replace("needs: [plan]", "needs: [plans]"))
    assert 'needs job "plans" which does not exist' in linted("actionlint", "-no-color", file)
    file.write_text(text.replace("timeout-minutes: 60", "timeout-minutes: soon"))
    assert "timeout-minutes" in by_schema("github-workflows", file)
