"""`doit plan=FILE shard=NAME`: one job does its part of a plan, in a clone of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundlepipe.errors import NotFound
from tests.support.planned import DECLARED, Place, clone_of
from tests.support.project import EMPTY_LOCK, Project, Run
from tests.support.services import Registry

SHARDS = {
    "1-01": ["push_image:site", "copy_bundle:base"],
    "2-01": ["lock_bundle:one", "push_bundle:one"],
    "3-01": ["lock_bundle:two", "push_bundle:two"],
}

DEPLOY = """
def task_deploy():
    return {"actions": ["touch deployed"], "task_dep": ["push_bundle:two"]}
"""


@pytest.fixture
def place(project: Project, registry: Registry) -> Place:
    """Two bundles, one in the other, with an image made of files and one of a registry, and a copy of that."""
    return Place(project, registry)


def _divide(project: Project, shards: dict[str, list[str]]) -> None:
    """Divide the saved plan into jobs."""
    document = json.loads(project.read("plan.json"))
    document["shards"] = [
        {
            "name": name,
            "wave": int(name.partition("-")[0]),
            "tasks": tasks,
            "needs": [],
            "inputs": [],
            "cost": {"seconds": 1, "upload": 0, "download": 0},
        }
        for name, tasks in shards.items()
    ]
    project.write("plan.json", json.dumps(document))


def _job(project: Project, shard: str, *arguments: str, status: int | None = 0) -> tuple[Run, dict[str, Any]]:
    """Run a job in a clone of its own; return the run and its report."""
    clone = clone_of(project)
    reports = {"BUNDLEPIPE_REPORT": "report.json"}
    run = clone.doit(*arguments, "plan=plan.json", f"shard={shard}", env=reports, status=status)
    return run, json.loads(clone.read("report.json"))


def test_jobs_in_clones_of_their_own_do_what_one_run_would(place: Place, way: tuple[str, ...]) -> None:
    document = place.plan()
    _divide(place.project, SHARDS)
    moved = place.tag(place.base, 1)
    for shard, tasks in SHARDS.items():
        run, report = _job(place.project, shard, *way)
        assert run.executed == set(tasks)
        assert report["job"] == shard
    images = {task["name"]: task["result"]["digest"] for task in document["tasks"] if "image" in task.get("result", {})}
    for name in ("site", "one", "two"):
        assert place.named(name) == images[f"push_{'image' if name == 'site' else 'bundle'}:{name}"]
    # The tag that moved after the plan changes nothing.
    assert place.named("copied") == images["copy_bundle:base"] != moved

    for shard, tasks in SHARDS.items():
        run, _ = _job(place.project, shard, *way)
        assert {run.marks[name] for name in tasks if name.startswith(("push", "copy"))} == {"="}


def test_what_another_job_made_costs_one_request_and_what_it_needs_does_not_run(place: Place) -> None:
    place.plan()
    _divide(place.project, SHARDS)
    for shard in ("1-01", "2-01"):
        _job(place.project, shard)
    run, report = _job(place.project, "3-01")
    assert set(run.marks) == {"push_bundle:one", "lock_bundle:two", "push_bundle:two"}
    assert run.marks["push_bundle:one"] == "=" and "made by another job" in run.stdout
    tasks = {task["name"]: task for task in report["tasks"]}
    assert "traffic" not in tasks["lock_bundle:two"]
    # One to find the other bundle, one to find its own missing; the rest are of its upload.
    assert report["traffic"]["shared"]["requests"] == 2


def test_a_result_that_is_not_there_is_reported_with_its_shard(place: Place) -> None:
    place.plan()
    _divide(place.project, SHARDS)
    run, _ = _job(place.project, "3-01", status=1)
    assert "one@sha256:" in run.stdout and "is not there: run the job of shard 2-01 again" in run.stdout
    with pytest.raises(NotFound):
        place.named("two")
    with pytest.raises(NotFound):
        place.named("one")


def test_what_was_there_when_the_plan_was_made_may_be_gone(place: Place) -> None:
    place.project.doit(*DECLARED)
    place.project.write("two/config.yml", "kind: Other\n")
    place.plan()
    document = json.loads(place.project.read("plan.json"))
    one = next(task for name, task in document["saved"]["tasks"].items() if name == "push_bundle:one")
    gone = one["values"]["image"].partition("@")[0] + "@sha256:" + 64 * "0"
    one["values"]["image"] = gone
    one["records"] = dict.fromkeys(one["records"], f"{gone}\n")
    place.project.write("plan.json", json.dumps(document))
    _divide(place.project, {"1-01": ["lock_bundle:two", "push_bundle:two"]})
    run, _ = _job(place.project, "1-01", status=1)
    assert f"{gone}: is not there: it was when plan.json was made: plan again" in run.stdout


def test_a_push_that_also_writes_a_lock_is_found_and_not_made_by_other_jobs(place: Place) -> None:
    text = place.project.read("bundlepipe.yml").replace(
        "one: {files: [one],", "one: {files: [one], lockOutput: one.yml,"
    )
    place.project.write("bundlepipe.yml", text)
    place.plan()
    _divide(place.project, SHARDS)
    run, _ = _job(place.project, "3-01", status=1)
    assert "is not there: run the job of shard 1-01 again" in run.stdout
    _job(place.project, "1-01")
    run, _ = _job(place.project, "3-01", status=1)
    assert f"{place.pushed('one')}: is not the image of these files: run the job of shard 2-01 again" in run.stdout
    with pytest.raises(NotFound):
        place.named("one")
    _job(place.project, "2-01")
    run, _ = _job(place.project, "3-01")
    assert run.marks["push_bundle:one"] == "="


def test_a_job_refuses_changed_inputs_of_its_own_tasks_only(place: Place) -> None:
    place.plan()
    _divide(place.project, SHARDS)
    for shard in ("1-01", "2-01"):
        _job(place.project, shard)
    place.project.write("one/config.yml", "kind: Changed\n")
    _job(place.project, "3-01")
    run, _ = _job(place.project, "2-01", status=None)
    assert "one/config.yml changed since plan.json was made: undo that, or plan again" in run.stdout


def test_a_lock_that_an_earlier_run_has_left_is_named(place: Place) -> None:
    place.plan()
    _divide(place.project, SHARDS)
    _job(place.project, "1-01")
    clone = clone_of(place.project)
    clone.write("one/.imgpkg/images.yml", EMPTY_LOCK)
    refused = clone.doit("-c", "plan=plan.json", "shard=2-01", status=None)
    lock = "one/.imgpkg/images.yml"
    assert f"{lock}, which an earlier run has left here, is new since plan.json was made" in refused.stdout


def test_a_users_own_task_of_another_shard_does_not_run(place: Place) -> None:
    place.project.write("dodo.py", place.project.read("dodo.py") + DEPLOY)
    place.project.doit("plan", "--out", "plan.json", "deploy", *DECLARED)
    _divide(place.project, {**SHARDS, "4-01": ["deploy"]})
    for shard in SHARDS:
        run, _ = _job(place.project, shard)
        assert "deploy" not in run.marks and not (place.project.directory.parent / "clone/deployed").exists()
    clone = clone_of(place.project)
    run = clone.doit("plan=plan.json", "shard=4-01")
    assert (clone.directory / "deployed").exists()
    assert run.marks == {"push_bundle:two": "=", "deploy": "."}


def test_a_shard_needs_a_plan_that_has_it(place: Place) -> None:
    place.plan()
    failed = place.project.doit("plan=plan.json", "shard=1-01", status=3)
    assert "plan.json: has no shard '1-01': it has none: make it with 'bundlepipe ci plan --out'" in failed.stderr
    _divide(place.project, SHARDS)
    failed = place.project.doit("plan=plan.json", "shard=9", status=3)
    assert "plan.json: has no shard '9': its shards are 1-01, 2-01, 3-01" in failed.stderr
    failed = place.project.doit("shard=1-01", status=3)
    assert "shard=1-01: expected plan=FILE as well, the plan that has this shard" in failed.stderr
