"""`doit plan=FILE` with plans that were edited, or of a dodo.py with other tasks: nothing is left out or made up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.planned import DECLARED, Place
from tests.support.project import DODO, HEADER, Project
from tests.support.services import Registry

OWN_TASKS = """
def task_made():
    return {"actions": ["cp input.txt made.txt"], "file_dep": ["input.txt"], "targets": ["made.txt"]}
def task__hidden():
    return {"actions": ["cp input.txt hidden.txt"], "file_dep": ["input.txt"], "targets": ["hidden.txt"]}
def task_after():
    return {"actions": ["touch after.txt"], "file_dep": ["made.txt"], "task_dep": ["_hidden"]}
"""


@pytest.fixture
def place(project: Project, registry: Registry) -> Place:
    """Two bundles, one in the other, with an image made of files and one of a registry, and a copy of that."""
    return Place(project, registry)


@pytest.fixture
def own(project: Project) -> Project:
    """Tasks of a user beside a bundle."""
    project.pipeline("bundles:\n  one: {files: [one], lock: {}}\n")
    project.write("one/config.yml", "kind: One\n")
    project.write("input.txt", "text\n")
    project.write("dodo.py", DODO + OWN_TASKS)
    return project


def edit(project: Project, change: Any) -> None:
    """Change the saved plan."""
    document = json.loads(project.read("plan.json"))
    change(document["saved"]["tasks"])
    project.write("plan.json", json.dumps(document))


@pytest.mark.parametrize("path", ["../escaped.txt", "dodo.py", "/tmp/bundlepipe-escaped.txt", ".bundlepipe/other"])
@pytest.mark.parametrize("shard", [(), ("shard=2-01",)])
def test_records_are_written_only_where_they_belong(place: Place, path: str, shard: tuple[str, ...]) -> None:
    place.project.doit(*DECLARED)
    place.plan()
    edit(place.project, lambda tasks: tasks["push_image:site"]["records"].update({path: "escaped\n"}))
    document = json.loads(place.project.read("plan.json"))
    costs = {"seconds": 1, "upload": 0, "download": 0}
    shards = {"1-01": ["push_image:site"], "2-01": ["push_bundle:one"]}
    document["shards"] = [
        {"name": name, "wave": int(name[0]), "tasks": tasks, "needs": [], "inputs": [], "cost": costs}
        for name, tasks in shards.items()
    ]
    place.project.write("plan.json", json.dumps(document))
    clone = place.clone()
    refused = clone.doit("plan=plan.json", *shard, status=3).stderr
    assert f"plan.json: push_image:site has no such record: {path}: " in refused and refused.count("\n") == 1
    assert clone.read("dodo.py") == DODO
    assert path == "dodo.py" or not (clone.directory / path).exists()


def test_records_have_the_result_of_the_plan(place: Place) -> None:
    place.project.doit(*DECLARED)
    place.plan()
    path = ".bundlepipe/digests/image/site"

    def change(tasks: Any) -> None:
        tasks["push_image:site"]["records"][path] = f"{place.repository}/other@sha256:{'0' * 64}\n"

    edit(place.project, change)
    assert f"push_image:site has no such record: {path}" in place.clone().doit("plan=plan.json", status=3).stderr


def test_a_pipeline_that_is_gone_is_missed(project: Project) -> None:
    for name in ("a", "b"):
        project.write(
            f"{name}.yml",
            HEADER + f'bundles: {{one: {{files: [{name}], lock: {{}}, push: "layout.localhost/{name}:1"}}}}\n',
        )
        project.write(f"{name}/config.yml", "kind: One\n")
    loads = [f'{name} = Pipeline.load("{name}.yml", prefix="{name}")\n' for name in ("a", "b")]
    project.write("dodo.py", "from bundlepipe import DOIT_CONFIG, Pipeline\n" + "".join(loads))
    project.doit("plan", "--out", "plan.json")
    project.write("dodo.py", "from bundlepipe import DOIT_CONFIG, Pipeline\n" + loads[0])
    refused = project.doit("plan=plan.json", status=3).stderr
    assert "plan.json: was made by another version of the pipeline: there is no task b_lock_bundle:one" in refused


def test_other_default_tasks_do_not_change_what_a_plan_was_made_for(own: Project) -> None:
    own.write(
        "dodo.py", DODO + OWN_TASKS + 'DOIT_CONFIG = {**DOIT_CONFIG, "default_tasks": ["push_bundle", "after"]}\n'
    )
    own.doit("plan", "--out", "plan.json")
    assert json.loads(own.read("plan.json"))["saved"]["selected"] == ["push_bundle", "after"]
    own.write("dodo.py", DODO + OWN_TASKS + 'DOIT_CONFIG = {**DOIT_CONFIG, "default_tasks": ["lock_bundle"]}\n')
    assert own.doit("plan=plan.json").executed >= {"lock_bundle:one", "push_bundle:one", "after"}


def test_what_will_run_by_the_plan_runs_although_nothing_needs_it_any_more(own: Project) -> None:
    own.doit("plan", "--out", "plan.json", "after")
    own.write("dodo.py", DODO + OWN_TASKS.replace('"file_dep": ["made.txt"], "task_dep"', '"task_dep"'))
    refused = own.doit("-c", "plan=plan.json", status=None)
    assert (own.directory / "made.txt").exists(), refused.output


def test_a_task_of_the_user_that_is_gone_is_missed(own: Project) -> None:
    own.doit("plan", "--out", "plan.json", "push_bundle", "made")
    own.write("dodo.py", DODO)
    assert "there is no task made: plan again" in own.doit("plan=plan.json", status=3).stderr
    assert not (own.directory / ".bundlepipe/digests").exists()


def test_private_tasks_of_the_user_are_held_against_the_plan(own: Project) -> None:
    own.doit("plan", "--out", "plan.json", "after")
    assert "_hidden" not in {task["name"] for task in json.loads(own.read("plan.json"))["tasks"]}
    own.write("input.txt", "other\n")
    assert "input.txt changed since plan.json was made" in own.doit("-c", "plan=plan.json", status=None).stdout
    assert not (own.directory / "hidden.txt").exists()
    own.write("input.txt", "text\n")
    own.doit("plan=plan.json")
    assert (own.directory / "hidden.txt").exists()

    own.doit("plan", "--out", "plan.json", "push_bundle")
    own.write("dodo.py", own.read("dodo.py") + 'def task__new():\n    return {"actions": ["touch new.txt"]}\n')
    assert "is not in plan.json" in own.doit("plan=plan.json", "_new", status=None).stdout
    assert not (own.directory / "new.txt").exists()


@pytest.mark.parametrize("command", ["clean", "forget", "ignore", "reset-dep"])
def test_commands_that_are_no_runs_are_refused(own: Project, command: str) -> None:
    own.doit("plan", "--out", "plan.json", "push_bundle")
    own.doit("plan=plan.json")
    refused = own.doit(command, "plan=plan.json", "push_bundle:one", status=3).stderr
    assert "plan= carries out a saved plan, and is for runs: leave it out" in refused
    assert set(own.doit("push_bundle").marks.values()) == {"--"}
    assert "push_bundle" in own.doit("list", "plan=plan.json").stdout


def test_a_plan_that_is_nested_too_deeply(own: Project) -> None:
    for text in ("[" * 100_000, '{"kind": ' + "[" * 100_000 + "]" * 100_000 + "}"):
        own.write("plan.json", text)
        refused = own.doit("plan=plan.json", status=3).stderr
        assert refused.startswith("ERROR: plan.json:") and refused.count("\n") == 1, refused[:2000]


def without_what_git_ignores(place: Place) -> Project:
    """Return a clone without the locks and what is rendered, as of a repository that ignores them."""
    clone = place.clone()
    for name in ("one", "two"):
        (clone.directory / name / ".imgpkg/images.yml").unlink()
    (clone.directory / "build/two.yml").unlink()
    return clone


def test_locks_and_renders_that_are_up_to_date_are_made_in_a_clone_without_them(
    place: Place, way: tuple[str, ...]
) -> None:
    text = place.project.read("bundlepipe.yml")
    rendered = "renders:\n  two: {files: [one, two], locks: [one/.imgpkg/images.yml], output: build/two.yml}\n"
    place.project.write("bundlepipe.yml", f"{text}{rendered}lock: bundlepipe.lock\n")
    groups = (*DECLARED, "render_config")
    place.project.doit(*groups)
    place.project.doit("plan", "--out", "plan.json", *groups)
    # The lock file has what the tag named.
    place.tag(place.base, 1)
    clone = without_what_git_ignores(place)
    run = clone.doit(*way, "plan=plan.json")
    assert run.executed == {"lock_bundle:one", "lock_bundle:two", "render_config:two"}
    for path in ("one/.imgpkg/images.yml", "two/.imgpkg/images.yml", "build/two.yml"):
        assert clone.read(path) == place.project.read(path)
    assert set(clone.doit(*way, "plan=plan.json").marks.values()) == {"--"}
    assert set(clone.doit(*groups).marks.values()) == {"--"}

    clone = without_what_git_ignores(place)
    clone.write("bundlepipe.lock", clone.read("bundlepipe.lock").replace(place.base_digest(0), place.base_digest(1)))
    refused = clone.doit("-c", "plan=plan.json", status=None).stdout
    assert "one/.imgpkg/images.yml: would not be as in plan.json" in refused
    clone = without_what_git_ignores(place)
    clone.write("one/config.yml", "kind: Other\n")
    assert "one/config.yml changed since plan.json was made" in clone.doit("-c", "plan=plan.json", status=None).stdout


def test_what_else_is_missing_is_refused_with_advice(own: Project) -> None:
    text = own.read("bundlepipe.yml")
    own.write("bundlepipe.yml", text + "pulls:\n  one: {from: {bundle: one}, to: build/one}\n")
    groups = ("push_bundle", "pull_bundle", "made")
    own.doit(*groups)
    own.doit("plan", "--out", "plan.json", *groups)
    (own.directory / "made.txt").unlink()
    (own.directory / "build/one/config.yml").unlink()
    (own.directory / "build").rename(own.directory / "elsewhere")
    refused = own.doit("-c", "plan=plan.json", status=None).stdout
    for path in ("build/one", "made.txt"):
        assert (
            f"{path} is missing, but plan.json says that the task is up to date: "
            "plan again in a clone that does not have it, such as CI's"
        ) in refused
