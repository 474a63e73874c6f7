"""A saved plan does what it says in any clone: random pipelines and edits, a plan of each, carried out elsewhere."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.oci.reference import Reference
from bundlepipe.stores.opening import Stores
from tests.pipeline.planning.test_foretold_runs import READING, Scene, proxies
from tests.support.project import DODO, Project
from tests.support.proxy import Proxy
from tests.support.services import Registry

__all__ = ["proxies"]

PIPELINES, EDITS = 3, 5
# Of the slow test.
MANY_PIPELINES = int(os.environ.get("PLANNED_PIPELINES", "6"))
WAYS = ((), (), ("-n", "4", "-P", "thread"), ("-n", "4", "-P", "process"))


def test_a_saved_plan_gives_the_foretold_digests_in_another_clone(
    project: Project, registry: Registry, proxies: Sequence[Proxy]
) -> None:
    for seed in range(PIPELINES):
        _carried_out(project, registry, proxies, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PIPELINES, PIPELINES + MANY_PIPELINES))
def test_many_saved_plans_give_the_foretold_digests(
    project: Project, registry: Registry, proxies: Sequence[Proxy], seed: int
) -> None:
    _carried_out(project, registry, proxies, seed)


def _carried_out(project: Project, registry: Registry, proxies: Sequence[Proxy], seed: int) -> None:
    chance = random.Random(seed)
    path = registry.repository(f"saved-{seed}").path
    own = Project(project.directory / f"{seed}/own", dict(project.environment))
    own.write("dodo.py", DODO)
    scene = Scene(own, proxies, path, chance)
    edited = "nothing yet"
    for number in range(EDITS):
        # Only a plan that asks the destinations knows of a change behind our back.
        arguments = ["verify=registry"] if "_replace_pushed" in edited else scene.arguments()
        _check(scene, f"{number}", arguments, f"seed {seed}: {edited}")
        edited = scene.edit()


def _check(scene: Scene, number: str, arguments: list[str], what: str) -> None:
    own, chance = scene.project, scene.chance
    scene.forget_requests()
    planned = own.doit("plan", "--json", "--out", "plan.json", *arguments, status=None)
    assert {each.method for each in scene.requests} <= {*READING}
    document = json.loads(own.read("plan.json"))
    tasks = document["tasks"]
    assert tasks == json.loads(planned.stdout)["tasks"]
    if planned.status:
        refused = own.doit("plan=plan.json", status=3)
        assert "cannot run" in refused.stderr and "plan again" in refused.stderr, refused.stderr
        return
    left_out = _outputs_to_be_made(scene, tasks)
    clone = _clone(own, own.directory.parent / "clone", left_out, has_records=chance.random() < 0.3)
    if chance.random() < 0.5:
        scene.move(chance.choice("ab"))
    if chance.random() < 0.3:
        _check_tampered(clone, document, _tamper(clone, scene, chance), what)
        clone = _clone(own, clone.directory, left_out, has_records=chance.random() < 0.5)
    for project in (clone, own):
        run = project.doit(*chance.choice(WAYS), "-c", "-v2", "plan=plan.json", status=None)
        assert run.status == 0, f"{what} {arguments} {project.directory}\n{planned.stdout}\n{run.output}"
        _check_digests(project, document, f"{what} {arguments} {project.directory}\n{planned.stdout}\n{run.output}")


def _tamper(clone: Project, scene: Scene, chance: random.Random) -> str:
    """Change a file in a clone; return what was done."""
    file = chance.choice(sorted(clone.directory.glob("*-*/*.yml")))
    how = chance.choice(["rewritten", "removed", "mode", "copied"])
    if how == "rewritten":
        file.write_text(f"number: {chance.random()}\n")
    elif how == "removed":
        file.unlink()
    elif how == "mode":
        file.chmod(0o700)
    else:
        shutil.copy(file, file.with_name("copied.yml"))
    return f"{how} {file.relative_to(clone.directory)}"


def _check_tampered(clone: Project, document: dict[str, Any], tampered: str, what: str) -> None:
    """Whatever is refused, a task that is not has the result of the plan, and names the file if it is refused."""
    run = clone.doit("-c", "-v2", "plan=plan.json", status=None)
    done = {name for name in run.marks if ":" in name}
    what = f"{what} {tampered}\n{run.output}"
    planned = {task["name"] for task in document["tasks"]}
    assert done <= planned, what
    _check_digests(clone, document, what, done)
    if run.status:
        path = tampered.split()[1]
        expected = (path, path.rpartition("/")[0] + "/copied.yml", "cannot be read")
        assert any(text in run.stdout for text in expected), what


def _outputs_to_be_made(scene: Scene, tasks: list[dict[str, Any]]) -> list[str]:
    """Return the outputs of pulls and renders that are not up to date: they replace only what they made themselves."""
    stale = {task["name"] for task in tasks if task["state"] != "none"}
    declared = json.loads(scene.project.read("bundlepipe.yml"))
    pulls = [pull["to"] for name, pull in declared["pulls"].items() if f"pull_bundle:{name}" in stale]
    return pulls + [each["output"] for name, each in declared["renders"].items() if f"render_config:{name}" in stale]


def _clone(own: Project, directory: Path, left_out: list[str], *, has_records: bool) -> Project:
    """Return a project with the same files and later times; with the records of an earlier clone, or without any."""
    records = directory / ".bundlepipe"
    kept = directory.with_name("records")
    if has_records and records.exists():
        records.rename(kept)
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(own.directory, directory, ignore=shutil.ignore_patterns(".bundlepipe"), copy_function=shutil.copy)
    for path in left_out:
        shutil.rmtree(directory / path, ignore_errors=True)
        if (directory / path).exists():
            (directory / path).unlink()
    if kept.exists():
        kept.rename(records)
    return Project(directory, own.environment)


def _check_digests(project: Project, document: dict[str, Any], what: str, names: set[str] | None = None) -> None:
    states = {task["name"]: task for task in document["tasks"]}
    for name, saved in document["saved"]["tasks"].items():
        group, _, short = name.partition(":")
        image = states[name].get("result", {}).get("image") or saved.get("values", {}).get("image")
        kind = {"push_image": "image", "push_bundle": "bundle", "copy_bundle": "copy"}.get(group)
        if image and kind and (names is None or name in names):
            assert project.digest(kind, short) == image, f"{name}: {what}"
            destination = Reference.parse(saved["options"].get("destination") or saved["options"]["to"])
            if kind != "copy":
                store = Stores().repository(destination.repository)
                assert f"{destination.repository}@{store.resolve(destination.identifier)}" == image, f"{name}: {what}"
