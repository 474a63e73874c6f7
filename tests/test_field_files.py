"""What teams use from the top of the repository: the GitHub action, hooks, the GitLab component and the image."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ci import linted
from tests.support.command import Command, Result
from tests.support.engine import engine_images
from tests.support.git import commit_all
from tests.support.services import program, require

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
TEMPLATE = (ROOT / "templates/bundlepipe/template.yml").read_text()
SPECIFICATION, JOBS = TEMPLATE.split("\n---\n")
_INPUT = re.compile(r"\$\[\[ inputs\.(\w+) \]\]")
PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
defaults: {push: "layout.localhost/{name}:1"}
bundles:
  library: {files: [library], lock: {}}
  shop: {files: [shop], lock: {include: [{bundle: library}]}}
"""
WORKFLOW = """\
name: bundles
on: push
permissions: {}
jobs:
  push:
    runs-on: ubuntu-latest
    steps:
      - uses: ./
        with: {INPUTS}
"""


@pytest.fixture
def project(tmp_path: Path) -> Command:
    """The command in a repository of two bundles with current locks."""
    command = Command(tmp_path / "work", tmp_path / "links")
    command.directory.mkdir()
    (command.directory / "bundlepipe.yml").write_text(PIPELINE)
    (command.directory / ".gitignore").write_text(".bundlepipe\nbuild\n")
    for name in ("library", "shop"):
        (command.directory / name).mkdir()
        (command.directory / name / "config.yml").write_text(f"kind: {name}\n")
    assert command("bundlepipe", "doit", "lock_bundle").status == 0
    commit_all(command.directory)
    return command


def stale(project: Command) -> None:
    (project.directory / "library/config.yml").write_text("kind: Changed\n")


# The action


def test_linters_find_nothing_in_the_action() -> None:
    zizmor = ("zizmor", "--offline", "--no-progress", "--no-config", "--color=never", "--persona=auditor")
    assert linted(*zizmor, ROOT / "action.yml") == ""
    assert linted("check-jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml") == ""


@pytest.mark.parametrize(
    ("inputs", "found"), [("{command: plan, since: main, shard: 1-01}", ""), ("{shards: 4}", 'input "shards" is not')]
)
def test_workflows_can_use_the_action(inputs: str, found: str, tmp_path: Path) -> None:
    require("git")
    file = tmp_path / ".github/workflows/bundles.yml"
    file.parent.mkdir(parents=True)
    file.write_text(WORKFLOW.replace("{INPUTS}", inputs))
    shutil.copy(ROOT / "action.yml", tmp_path)
    commit_all(tmp_path)
    told = linted("actionlint", "-no-color", "-shellcheck=", "-pyflakes=", file)
    assert (found in told) if found else told == ""


class Action:
    """The steps of the action that are scripts, as a runner does them."""

    def __init__(self, project: Command) -> None:
        self._project = project
        self._files = project.directory.parent / "runner"
        self._files.mkdir()
        self.summary, self.outputs = self._files / "summary.md", self._files / "outputs"

    def __call__(self, step: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        (script,) = (each for each in ACTION["runs"]["steps"] if each.get("name") == step)
        assert "${{" not in script["run"]
        values = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()} | inputs
        environment = {
            **self._project.environment(),
            **{name: self._value(text, values) for name, text in script["env"].items()},
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self.outputs),
            "RUNNER_TEMP": str(self._files),
        }
        shell = (program("bash"), "--noprofile", "--norc", "-eo", "pipefail", "-c", script["run"])
        return subprocess.run(
            shell, cwd=self._project.directory, env=environment, capture_output=True, text=True, check=False
        )

    def _value(self, text: str, inputs: Mapping[str, str]) -> str:
        match = re.fullmatch(r"\$\{\{ (inputs|github)\.([\w-]+) \}\}", text)
        assert match, text
        return inputs[match[2]] if match[1] == "inputs" else str(ROOT)


@pytest.fixture
def action(project: Command) -> Action:
    require("bash")
    return Action(project)


def test_the_action_runs_tasks_and_shows_a_summary(action: Action) -> None:
    done = action("bundlepipe", arguments="--continue\n  push_bundle:library\n")
    assert done.returncode == 0, done.stderr
    assert "push_bundle:library" in done.stdout and "push_bundle:shop" not in done.stdout
    assert "bundlepipe: succeeded" in action.summary.read_text()


def test_the_action_plans_and_does_the_tasks_of_a_shard(action: Action, project: Command) -> None:
    stale(project)
    planned = action("bundlepipe", command="plan", plan="build/plan.json", arguments="--startup 0 push_bundle")
    assert planned.returncode == 0, planned.stderr
    assert "push_bundle:shop" in action.summary.read_text()
    outputs = dict(line.split("=", 1) for line in action.outputs.read_text().splitlines())
    assert outputs["has_work"] == "true"
    told = {re.findall(r"outputs\.(\w+)", each["value"])[0] for each in ACTION["outputs"].values()}
    assert told <= outputs.keys()
    shards = [job["shard"] for wave in json.loads(outputs["waves"]) for job in wave]
    for shard in shards:
        done = action("bundlepipe", command="shard", shard=shard, plan="build/plan.json")
        assert done.returncode == 0, done.stdout + done.stderr
    again = action("bundlepipe", command="doit", plan="build/plan.json")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "push_bundle:shop" in again.stdout


def test_the_action_shows_what_differs_from_a_revision(action: Action, project: Command) -> None:
    stale(project)
    done = action("bundlepipe", command="plan", since="HEAD", plan="plan.json")
    assert done.returncode == 0, done.stderr
    assert "library/config.yml changed" in action.summary.read_text()
    assert not (project.directory / "plan.json").exists() and not action.outputs.exists()


def test_the_action_checks(action: Action, project: Command) -> None:
    assert action("bundlepipe", command="check").returncode == 0
    stale(project)
    found = action("bundlepipe", command="check")
    assert (found.returncode, "shop/.imgpkg/images.yml is out of date" in found.stdout) == (1, True)


def test_inputs_of_the_action_are_not_commands(action: Action, project: Command) -> None:
    hostile = "$(touch made) `touch made` ; touch made"
    for name in ("arguments", "plan", "since", "shard", "command"):
        for command in ("doit", "plan", "shard"):
            action("bundlepipe", **{"command": command, name: hostile})
    assert "made" not in os.listdir(project.directory)


def test_the_action_installs_what_it_is_part_of_or_what_it_is_given(action: Action, tmp_path: Path) -> None:
    fake = tmp_path / "links/python"
    fake.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    fake.chmod(0o755)
    assert action("Install bundlepipe").stdout == f"-m|pip|install|{ROOT}|"
    assert action("Install bundlepipe", install="-r a.txt\nb==1").stdout == "-m|pip|install|-r|a.txt|b==1|"


# The hooks


def run_hook(project: Command, number: int) -> Result:
    return project(*HOOKS[number]["entry"].split())


def test_hooks_run_on_the_whole_pipeline() -> None:
    assert [hook["id"] for hook in HOOKS] == ["bundlepipe-check", "bundlepipe-locks"]
    for hook in HOOKS:
        assert hook["language"] == "python"
        assert (hook["pass_filenames"], hook["always_run"]) == (False, True)


def test_hooks_find_errors_and_stale_locks(project: Command) -> None:
    assert [run_hook(project, number).status for number in (0, 1)] == [0, 0]
    stale(project)
    found = run_hook(project, 1)
    assert found.status == 1
    assert "run 'doit lock_bundle:shop'" in found.stdout
    (project.directory / "bundlepipe.yml").write_text(PIPELINE.replace("files: [shop]", "file: [shop]"))
    assert "bundlepipe.yml:6:10: unknown key 'file'" in run_hook(project, 0).stderr


# The component


def component(**given: str) -> Any:
    """Return the jobs of the component with its inputs, which GitLab replaces in the strings of the parsed file."""
    inputs = yaml.safe_load(SPECIFICATION)["spec"]["inputs"]
    assert given.keys() <= inputs.keys()
    values = {name: given[name] if name in given else each["default"] for name, each in inputs.items()}

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {replaced(key): replaced(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return _INPUT.sub(lambda match: values[match[1]], value) if isinstance(value, str) else value

    return replaced(yaml.safe_load(JOBS))


def test_the_component_is_a_pipeline_of_gitlab(tmp_path: Path) -> None:
    file = tmp_path / ".gitlab-ci.yml"
    jobs = component(install="python -m pip install -r requirements.txt", prefix="shop")
    file.write_text(yaml.safe_dump(jobs))
    assert linted("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", file) == ""
    assert list(jobs) == ["shop-affected", "shop-run"]
    assert set(_INPUT.findall(JOBS)) == set(yaml.safe_load(SPECIFICATION)["spec"]["inputs"])


def test_scripts_of_the_component_do_what_they_should(project: Command) -> None:
    stale(project)
    jobs = component(install="echo installed", tasks="push_bundle")
    for job in jobs.values():
        script = " &&\n".join([*job["before_script"], *job["script"]])
        settings = {**job["variables"], "CI_MERGE_REQUEST_DIFF_BASE_SHA": "HEAD"}
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=project.directory,
            env={**project.environment(), **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("installed\n")
        assert "push_bundle:shop" in done.stdout
    artifacts = jobs["bundlepipe-run"]["artifacts"]
    made = [*artifacts["paths"], artifacts["reports"]["junit"]]
    assert [path for path in made if not (project.directory / path).is_file()] == []


# The image


def test_the_image_has_all_that_the_package_is_made_of(tmp_path: Path) -> None:
    """A later stage installs it by the network; here it is built from what the first stage has, without one."""
    require("docker-client")
    with engine_images() as images:
        name = images.name()
        build = ("docker", "build", "--quiet", "--target", "source", "--tag", name, str(ROOT))
        built = subprocess.run(
            build, env={**os.environ, "DOCKER_BUILDKIT": "0"}, capture_output=True, text=True, check=False
        )
        assert built.returncode == 0, built.stderr
        saved = subprocess.run(("docker", "save", name), capture_output=True, check=True).stdout
    source = tmp_path / "source"
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for layer in json.load(archive.extractfile("manifest.json") or io.BytesIO())[0]["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as content:
                content.extractall(source, filter="data")
    assert sorted(path.name for path in source.iterdir()) == [
        "LICENSE",
        "README.md",
        "bundlepipe",
        "pyproject.toml",
        "schemas",
    ]
    assert not list(source.rglob("__pycache__"))
    command = (sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, source)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob("bundlepipe-*.whl"))


def test_the_image_runs_as_a_user_without_rights() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert [line for line in last if line.startswith(("USER", "ENTRYPOINT"))] == ["USER 1000:1000"]
    assert not [line for line in lines if re.match(r"(ARG|ENV) .*(TOKEN|PASSWORD|SECRET)", line)]
