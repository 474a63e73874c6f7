"""Reasons: the codes of the schemas are those of the type, and every place that gives reasons has its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, get_args

import pytest

from bundlepipe.pipeline.reasons import Code
from tests.support.project import DODO, EACH_KIND, Project

SCHEMAS = Path(__file__).parents[2] / "schemas"


@pytest.mark.parametrize("kind", ["plan", "graph", "report"])
def test_the_codes_of_a_schema_are_all_that_there_are(kind: str) -> None:
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text())
    assert schema["$defs"]["reason"]["properties"]["code"]["enum"] == list(get_args(Code))


def _reasons(project: Project, name: str, *arguments: str, status: int = 0) -> list[tuple[str, str, str]]:
    """Return the reasons of a task as a plan has them, which must be those of the report of the run after it."""
    plan = json.loads(project.doit("plan", "--json", *arguments, name, status=status).stdout)
    planned = _of(plan, name)
    project.doit("-c", "-n", "0", *arguments, name, status=None, env={"BUNDLEPIPE_REPORT": "report.json"})
    if status == 0:
        assert _of(json.loads(project.read("report.json")), name) == planned
    return planned


def _of(document: dict[str, Any], name: str) -> list[tuple[str, str, str]]:
    (task,) = (task for task in document["tasks"] if task["name"] == name)
    return [(reason["code"], reason["subject"], reason["because"]) for reason in task["reasons"]]


def test_what_a_plan_and_a_report_say_of_files_options_and_results(project: Project) -> None:
    project.declare_each_kind()
    assert _reasons(project, "push_image:site") == [("noLocalRecord", "push_image:site", "no local record")]
    project.doit("push_bundle")

    project.write("base/new.yml", "kind: New\n")
    assert _reasons(project, "push_bundle:base") == [("fileAdded", "base/new.yml", "base/new.yml is new")]
    os.chmod(project.directory / "base/config.yml", 0o755)
    assert _reasons(project, "push_bundle:base") == [
        ("modeChanged", "base/config.yml", "base/config.yml changed its mode")
    ]
    (project.directory / "base/new.yml").unlink()
    project.write("base/config.yml", "kind: Other\n")
    assert _reasons(project, "push_bundle:base") == [
        ("fileChanged", "base/config.yml", "base/config.yml changed"),
        ("fileRemoved", "base/new.yml", "base/new.yml is gone"),
    ]
    project.write("base/config.yml", "kind: Third\n")
    assert _reasons(project, "lock_bundle:app") == [("resultChanged", "push_bundle:base", "base changed")]

    project.doit("render_config", "pull_bundle")
    (project.directory / "build/app.yml").unlink()
    assert _reasons(project, "render_config:app") == [("outputMissing", "build/app.yml", "build/app.yml is missing")]
    project.pipeline(EACH_KIND.replace("to: build/app", "recursive: true, to: build/app"))
    assert _reasons(project, "pull_bundle:app") == [("optionChanged", "recursive", "recursive changed")]
    assert _reasons(project, "lock_bundle:app", "refresh=app") == [("refreshRequested", "refresh", "refresh requested")]


OWN = """
def task_made():
    return {"actions": ["cp seed base/made.yml"], "file_dep": ["seed"], "targets": ["base/made.yml"]}
def task_always():
    return {"actions": ["true"], "task_dep": ["push_image:site"]}
def task_never():
    return {"actions": ["true"], "uptodate": [False], "task_dep": ["push_image:site"]}
def task_reads():
    return {"actions": ["true"], "file_dep": [".bundlepipe/digests/bundle/app"]}
"""


def test_what_a_plan_and_a_report_say_of_users_own_tasks(project: Project) -> None:
    project.declare_each_kind()
    project.write("dodo.py", DODO + OWN)
    project.write("seed", "kind: Made\n")
    # A task of the pipeline before them: its condition knows doit's records.
    assert _reasons(project, "made", "push_image:site") == [("noLocalRecord", "made", "no local record")]
    (project.directory / "base/made.yml").unlink()
    assert _reasons(project, "made", "push_image:site") == [
        ("outputMissing", "base/made.yml", "base/made.yml is missing")
    ]
    project.write("seed", "kind: MadeAgain\n")
    assert _reasons(project, "made", "push_image:site") == [("fileChanged", "seed", "seed changed")]
    project.write("dodo.py", DODO + OWN.replace('["seed"]', '["bundlepipe.yml"]'))
    assert _reasons(project, "made", "push_image:site") == [
        ("dependencyAdded", "bundlepipe.yml", "bundlepipe.yml is new"),
        ("dependencyRemoved", "seed", "seed is no longer needed"),
    ]
    assert _reasons(project, "always") == [("noDependencies", "always", "it has no dependencies, so it always runs")]
    assert _reasons(project, "never") == [("noLocalRecord", "never", "no local record")]
    assert _reasons(project, "never") == [("conditionFalse", "never", "its condition (uptodate) is false")]
    project.doit("reads")
    project.write("app/config.yml", "kind: Other\n")
    assert _reasons(project, "reads") == [("resultChanged", "push_bundle:app", "app changed")]


def test_what_a_plan_says_of_tasks_that_cannot_run(project: Project) -> None:
    project.declare_each_kind()
    project.write("app/config.yml", "image: x:y:z\n")
    assert _reasons(project, "push_bundle:app", status=1) == [
        ("taskCannotRun", "lock_bundle:app", "lock_bundle:app cannot run")
    ]
    ((code, subject, because),) = _reasons(project, "lock_bundle:app", status=1)
    assert (code, subject) == ("failure", "lock_bundle:app") and because.startswith("app/config.yml:1:8: ")
