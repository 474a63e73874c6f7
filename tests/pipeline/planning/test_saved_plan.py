"""`doit plan --out FILE` and `doit plan=FILE`: what was reviewed is what happens, in any clone."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import Any

import pytest

from bundlepipe.errors import NotFound
from bundlepipe.stores.opening import Stores
from tests.support.planned import DECLARED, Place, clone_of
from tests.support.project import DODO, HEADER, Project
from tests.support.services import Registry
from tests.support.warm import run_command


@pytest.fixture
def place(project: Project, registry: Registry) -> Place:
    """Two bundles, one in the other, with an image made of files and one of a registry, and a copy of that."""
    return Place(project, registry)


def _images(document: dict[str, Any]) -> dict[str, str]:
    tasks = ((task["name"], task.get("result", {})) for task in document["tasks"])
    return {name: result["image"] for name, result in tasks if "image" in result}


def test_a_tag_that_moved_meanwhile_is_locked_and_copied_by_the_planned_digest(
    place: Place, way: tuple[str, ...]
) -> None:
    document = place.plan()
    planned = str(Stores().repository(place.base.repository).resolve("1"))
    moved = place.tag(place.base, 1)
    assert [each["digest"] for each in document["saved"]["resolved"]] == [planned]

    clone = place.clone()
    clone.doit(*way, "plan=plan.json")
    assert planned in clone.read("one/.imgpkg/images.yml") and moved not in clone.read("one/.imgpkg/images.yml")
    assert place.named("copied") == planned
    for name, image in _images(document).items():
        assert image.endswith(place.named(name.partition(":")[2].replace("base", "copied")))


def test_a_refresh_is_carried_out_as_it_was_planned(place: Place) -> None:
    place.project.doit(*DECLARED)
    planned = place.tag(place.base, 1)
    place.plan("refresh=all")
    place.tag(place.base, 2)
    for project in (place.clone(), place.project):
        project.doit("plan=plan.json")
        assert planned in project.read("one/.imgpkg/images.yml")
    assert place.named("copied") == planned
    assert "exclude each other" in place.project.doit("plan=plan.json", "refresh=all", status=3).stderr
    assert "plan=: expected plan=FILE" in place.project.doit("plan=", status=3).stderr


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("rewrite", "site/index.html changed since plan.json was made: undo that, or plan again"),
        ("add", "site/more.html is new since plan.json was made: undo that, or plan again"),
        ("remove", "site: cannot be read"),
        ("mode", "site/index.html changed its mode since plan.json was made: undo that, or plan again"),
    ],
)
def test_a_task_with_another_input_is_refused_by_the_name_of_the_file(place: Place, edit: str, message: str) -> None:
    place.plan()
    clone = place.clone()
    _edit(clone, edit)
    refused = clone.doit("-c", "plan=plan.json", status=None)
    assert f"failed  push_image:site: {message}" in refused.stdout
    assert not (clone.directory / "one/.imgpkg").exists()
    with pytest.raises(NotFound):
        place.named("site")
    assert refused.executed == {"copy_bundle:base"}


@pytest.mark.parametrize("edit", ["rewrite", "add", "mode"])
def test_a_task_that_is_up_to_date_by_the_plan_is_refused_if_it_is_not(place: Place, edit: str) -> None:
    place.project.doit(*DECLARED)
    document = place.plan()
    assert {task["state"] for task in document["tasks"]} == {"none"}
    clone = place.clone()
    _edit(clone, edit)
    refused = clone.doit("-c", "plan=plan.json", status=None)
    assert "failed  push_image:site: site/" in refused.stdout
    assert "but plan.json says that the task is up to date: plan again" in refused.stdout
    assert refused.executed == set()


def _edit(project: Project, edit: str) -> None:
    index = project.directory / "site/index.html"
    if edit == "rewrite":
        index.write_text("hello again")
    elif edit == "add":
        project.write("site/more.html", "more")
    elif edit == "mode":
        index.chmod(0o755)
    else:
        shutil.rmtree(index.parent)


def test_in_another_clone_what_is_up_to_date_is_known_without_being_done(place: Place, way: tuple[str, ...]) -> None:
    place.project.doit(*DECLARED)
    place.project.write("two/config.yml", "kind: Other\n")
    document = place.plan()
    clone = place.clone()
    run = clone.doit(*way, "plan=plan.json")
    assert run.executed == {"push_bundle:two"}
    assert run.marks["push_image:site"] == "=" and run.marks["copy_bundle:base"] == "="
    assert _images(document)["push_bundle:two"] == clone.digest("bundle", "two")
    assert set(clone.doit(*DECLARED).marks.values()) == {"--"}
    assert set(clone.doit(*way, "plan=plan.json").marks.values()) == {"--"}


def test_a_plan_of_some_tasks_runs_only_those(place: Place) -> None:
    place.project.doit("plan", "--out", "plan.json", "push_image")
    clone = place.clone()
    assert set(clone.doit("plan=plan.json").marks) == {"push_image:site"}
    refused = clone.doit("plan=plan.json", "push_bundle:one", status=1)
    assert "is not in plan.json, but has to run" in refused.stdout


def test_another_option_is_refused_before_anything_runs(place: Place) -> None:
    place.plan()
    clone = place.clone()
    refused = clone.doit("plan=plan.json", env={"VERSION": "2"}, status=3)
    assert (
        "plan.json: was made by another version of the pipeline: destination of push_image:site was" in refused.stderr
    )
    assert refused.stderr.count("\n") == 1
    text = clone.read("bundlepipe.yml")
    clone.write("bundlepipe.yml", text.replace("site: {files: [site]}", "site: {files: [site], labels: {a: b}}"))
    assert "labels of push_image:site differs" in clone.doit("plan=plan.json", status=3).stderr
    clone.write("bundlepipe.yml", text.partition("copies:")[0])
    assert "there is no task copy_bundle:base" in clone.doit("plan=plan.json", status=3).stderr


@pytest.mark.parametrize("was_pushed", [True, False])
def test_a_tag_that_another_one_pushed_meanwhile_is_not_moved(place: Place, was_pushed: bool) -> None:
    if was_pushed:
        place.project.doit(*DECLARED)
    place.project.write("site/index.html", "hello again")
    place.plan()
    for name in ("site", "copied"):
        other = place.tag(place.pushed(name), 2)
    clone = place.clone()
    refused = clone.doit("-c", "plan=plan.json", status=None)
    assert f"site:1: names {other} now, and named " in refused.stdout
    assert place.named("site") == other and place.named("copied") == other


def test_what_is_up_to_date_by_the_plan_is_looked_up_in_a_clone_without_records(place: Place) -> None:
    place.project.doit(*DECLARED)
    place.plan()
    other = place.tag(place.pushed("site"), 2)
    refused = place.clone().doit("-c", "plan=plan.json", status=None)
    assert "site:1 is another image, but plan.json says that the task is up to date" in refused.stdout
    assert place.named("site") == other


def test_what_is_up_to_date_by_the_plan_is_looked_up_if_the_local_record_is_of_something_else(place: Place) -> None:
    place.project.doit(*DECLARED)
    place.plan()
    place.project.write("site/index.html", "hello again")
    place.project.doit("push_image")
    place.project.write("site/index.html", "hello")
    refused = place.project.doit("-c", "plan=plan.json", status=None)
    assert "site:1 is another image, but plan.json says that the task is up to date" in refused.stdout


def test_another_result_than_the_planned_one_is_not_uploaded(place: Place) -> None:
    """As by another version of bundlepipe, whose layers have other bytes."""
    place.plan()
    clone = place.clone()
    document = json.loads(clone.read("plan.json"))
    wrong = f"sha256:{'0' * 64}"
    document["saved"]["tasks"]["push_image:site"]["values"]["digest"] = wrong
    clone.write("plan.json", json.dumps(document))
    refused = clone.doit("-c", "plan=plan.json", status=None)
    assert "site:1: would be sha256:" in refused.stdout and f"and not {wrong} as in plan.json" in refused.stdout
    with pytest.raises(NotFound):
        place.named("site")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "plan.json:1:1: the file is empty, expected one YAML document"),
        ("{", "plan.json:1:2: "),
        ('{"apiVersion": "bundlepipe.dev/v1alpha1",\n "kind": "Lock", "tasks": []}', "plan.json:2:10: 'kind' is "),
        ('{"apiVersion": "bundlepipe.dev/v0",\n "kind": "Plan", "tasks": []}', "plan.json:1:16: 'apiVersion' is "),
        (
            (
                '{"apiVersion": "bundlepipe.dev/v1alpha1",\n "kind": "Plan", "tasks": [],\n'
                ' "saved": {"salt": "00", "more": 1}}'
            ),
            "plan.json:3:26: unknown key 'more'",
        ),
        (
            '{"apiVersion": "bundlepipe.dev/v1alpha1", "kind": "Plan", "tasks": []}',
            (
                "plan.json: says what a run would do, but not of what: make a plan that can be carried out with "
                "'doit plan --out plan.json'"
            ),
        ),
    ],
)
def test_a_faulty_plan_is_refused_in_one_line(place: Place, content: str, message: str) -> None:
    place.project.write("plan.json", content)
    refused = place.project.doit("plan=plan.json", status=3).stderr
    assert refused.startswith(f"ERROR: {message}") and refused.count("\n") == 1, refused


def test_a_plan_with_an_error_is_saved_to_be_read_but_not_carried_out(place: Place) -> None:
    place.project.write("two/config.yml", "image: registry.example:x:y\n")
    place.project.doit("plan", "--out", "plan.json", *DECLARED, status=1)
    refused = place.project.doit("plan=plan.json", status=3).stderr
    assert refused.startswith("ERROR: plan.json: lock_bundle:two cannot run (") and refused.count("\n") == 1
    assert place.project.doit("plan=none.json", status=3).stderr == (
        "ERROR: none.json: cannot be read: No such file or directory\n"
    )


def test_a_plan_replaces_only_a_plan(place: Place) -> None:
    place.plan()
    place.plan()
    place.project.write("notes.txt", "mine")
    refused = place.project.doit("plan", "--out", "notes.txt", status=3).stderr
    assert "notes.txt: exists, but it is not a plan" in refused and place.project.read("notes.txt") == "mine"
    place.project.doit("plan", "--out", "notes.txt", "--force")
    assert "a saved plan, and is for runs" in place.project.doit("plan", "plan=plan.json", status=3).stderr
    assert "plan= carries out a saved plan once" in place.project.doit("watch", "plan=plan.json", status=3).stderr


def test_users_own_tasks_run_only_as_planned(project: Project) -> None:
    project.write(
        "bundlepipe.yml", HEADER + 'bundles: {one: {files: [one], lock: {}, push: "layout.localhost/one:1"}}\n'
    )
    project.write("one/config.yml", "kind: One\n")
    project.write("input.txt", "kind: Made\n")
    project.write(
        "dodo.py",
        DODO
        + "def task_made():\n"
        + "    return {'actions': ['cp input.txt one/made.yml'],\n"
        + "            'file_dep': ['input.txt'], 'targets': ['one/made.yml']}\n"
        + "def task_after():\n"
        + "    return {'actions': ['touch after.txt'], 'file_dep': ['one/made.yml']}\n",
    )
    project.doit("plan", "--out", "plan.json", "push_bundle", "made")
    project.write("input.txt", "kind: Other\n")
    refused = project.doit("-c", "plan=plan.json", status=None)
    assert "input.txt changed since plan.json was made" in refused.stdout
    assert not (project.directory / "one/made.yml").exists()
    project.write("input.txt", "kind: Made\n")
    project.doit("plan=plan.json")
    assert "is not in plan.json" in project.doit("plan=plan.json", "after", status=None).stdout
    assert not (project.directory / "after.txt").exists()

    project.doit("plan", "--out", "plan.json", "push_bundle", "made")
    (project.directory / "one/made.yml").unlink()
    assert "one/made.yml is missing, but plan.json says" in project.doit("-c", "plan=plan.json", status=None).stdout


def test_a_plan_holds_no_secret(project: Project) -> None:
    """Arguments of programs may have some."""
    declared = 'images: {web: {run: ["printf", "${TOKEN}"], files: [web], push: "layout.localhost/web:1"}}\n'
    project.write("bundlepipe.yml", HEADER + declared)
    project.write("web/index.html", "hello")
    project.doit("plan", "--out", "plan.json", "push_image", env={"TOKEN": "hunter2"})
    text = project.read("plan.json")
    assert "hunter2" not in text and "scrypt:" in text
    refused = project.doit("plan=plan.json", env={"TOKEN": "hunter3"}, status=3).stderr
    assert "of push_image:web differs" in refused and "hunter" not in refused


def test_paths_are_named_from_where_doit_was_called(place: Place) -> None:
    place.project.write("below/file", "")
    env = {**os.environ, **place.project.environment}
    for command in (["bundlepipe", "plan", "--out", "saved.json"], ["bundlepipe", "doit", "plan=saved.json"]):
        run_command([sys.executable, "-m", *command], cwd=place.project.directory / "below", env=env, timeout=60)
    assert (place.project.directory / "below/saved.json").exists()
    assert place.named("two")


def test_a_pull_gets_the_planned_digest_of_a_tag_that_moved(place: Place) -> None:
    declared = place.project.read("bundlepipe.yml")
    place.project.write("bundlepipe.yml", declared + f'pulls:\n  base: {{from: "{place.base}", to: build/base}}\n')
    place.project.doit("plan", "--out", "plan.json", "pull_bundle")
    planned = str(Stores().repository(place.base.repository).resolve("1"))
    place.tag(place.base, 1)
    clone = place.clone()
    clone.doit("plan=plan.json")
    assert clone.digest("pull", "base").endswith(planned)


def test_a_higher_tag_that_appeared_meanwhile_is_not_selected(place: Place) -> None:
    place.tag(place.base.repository.tagged("1.2.0"), 0)
    place.project.write(
        "one/kbld.yml",
        "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\noverrides:\n"
        f"- {{image: any, newImage: {place.base.repository}, "
        'tagSelection: {semver: {constraints: ">=1.0.0"}}}\n',
    )
    place.project.write("one/config.yml", "image: any\n")
    document = place.plan()
    planned = [each for each in document["saved"]["resolved"] if "tags" in each]
    assert len(planned) == 1 and place.base.repository.path in planned[0]["reference"]
    place.tag(place.base.repository.tagged("2.0.0"), 1)
    clone = place.clone()
    clone.doit("plan=plan.json")
    assert planned[0]["digest"] in clone.read("one/.imgpkg/images.yml")


def test_a_task_whose_outcome_was_open_is_still_held_against_its_own_files(project: Project) -> None:
    project.write(
        "bundlepipe.yml", HEADER + 'bundles: {one: {files: [one], lock: {}, push: "layout.localhost/one:1"}}\n'
    )
    project.write("one/config.yml", "kind: One\n")
    project.write(
        "dodo.py",
        DODO + "def task_made():\n    return {'actions': ['date +x%%N >one/made'], 'targets': ['one/made']}\n",
    )
    document_states = {"made": "run", "lock_bundle:one": "run", "push_bundle:one": "run"}
    project.doit("plan", "--out", "plan.json", "push_bundle")
    document = json.loads(project.read("plan.json"))
    assert {task["name"]: task["state"] for task in document["tasks"]} == document_states
    assert "one/made" in document["saved"]["open"]

    project.write("one/config.yml", "kind: Other\n")
    refused = project.doit("-c", "plan=plan.json", status=None)
    assert "failed  lock_bundle:one: one/config.yml changed since plan.json was made" in refused.stdout
    project.write("one/config.yml", "kind: One\n")
    project.doit("plan=plan.json")


def test_a_lock_that_would_be_another_one_is_not_written(place: Place) -> None:
    """Since the lock file has another digest, or an images.yml that the plan did not see."""
    text = place.project.read("bundlepipe.yml")
    place.project.write("bundlepipe.yml", text + "lock: bundlepipe.lock\n")
    place.project.doit(*DECLARED)
    place.project.write("one/more.yml", "kind: More\n")
    place.plan()
    clone = place.clone()
    lock = clone.read("bundlepipe.lock")
    planned = str(Stores().repository(place.base.repository).resolve("1"))
    clone.write("bundlepipe.lock", lock.replace(planned, place.tag(place.base, 1)))
    refused = clone.doit("-c", "plan=plan.json", status=None)
    assert "failed  lock_bundle:one: one/.imgpkg/images.yml: would not be as in plan.json" in refused.stdout
    assert planned in clone.read("one/.imgpkg/images.yml")


def test_a_copy_that_was_replaced_meanwhile_is_found_in_a_clone_without_records(place: Place) -> None:
    place.project.doit(*DECLARED)
    place.plan()
    place.tag(place.pushed("copied"), 2)
    refused = place.clone().doit("-c", "plan=plan.json", status=None)
    assert "copied:1 is another image, but plan.json says that the task is up to date" in refused.stdout


def test_a_plan_of_several_pipelines_is_held_against_each(project: Project) -> None:
    for name in ("a", "b"):
        push = f'"layout.localhost/{name}/one:${{{name.upper()}:-1}}"'
        project.write(f"{name}.yml", HEADER + f"bundles: {{one: {{files: [{name}], lock: {{}}, push: {push}}}}}\n")
        project.write(f"{name}/config.yml", "kind: One\n")
    loads = [f'{name} = Pipeline.load("{name}.yml", prefix="{name}")\n' for name in ("a", "b")]
    project.write("dodo.py", "from bundlepipe import DOIT_CONFIG, Pipeline\n" + "".join(loads))
    project.doit("plan", "--out", "plan.json")
    assert "destination of b_push_bundle:one was" in project.doit("plan=plan.json", env={"B": "2"}, status=3).stderr
    project.doit("plan=plan.json")
    project.doit("plan", "--out", "plan.json", "push_bundle")
    assert set(project.doit("plan=plan.json").marks.values()) == {"--"}


def test_tar_files_are_compared_by_their_content(project: Project) -> None:
    project.pipeline(
        "bundles:\n  one: {files: [one], lock: {}}\n"
        'copies:\n  out: {from: {bundle: one}, to: "tar:one.tar"}\n'
        '  "in": {from: "tar:one.tar", to: layout.localhost/copied}\n'
    )
    project.write("one/config.yml", "kind: One\n")
    tasks = ("copy_bundle:in", "copy_bundle:out")
    project.doit("plan", "--out", "plan.json", *tasks)
    project.doit("plan=plan.json")
    project.doit("plan", "--out", "plan.json", *tasks)
    clone = clone_of(project)
    assert set(clone.doit("plan=plan.json").marks.values()) == {"="}
    assert set(clone.doit(*tasks).marks.values()) == {"--"}

    shutil.rmtree(clone.directory / ".bundlepipe")
    with (clone.directory / "one.tar").open("ab") as tar:
        tar.write(bytes(512))
    refused = clone.doit("-c", "plan=plan.json", status=None)
    assert "one.tar changed, but plan.json says that the task is up to date" in refused.stdout

    project.write("one/config.yml", "kind: Other\n")
    project.doit("plan", "--out", "plan.json", *tasks)
    shutil.copy(project.directory / "plan.json", clone.directory / "plan.json")
    clone.write("one/config.yml", "kind: Other\n")
    clone.doit("plan=plan.json", "copy_bundle:out")


def test_names_of_files_that_are_not_utf_8(place: Place) -> None:
    name = os.fsdecode(b"site/\xff.html")
    place.project.write(name, "one")
    place.plan()
    clone = place.clone()
    clone.write(name, "two")
    assert (
        "site/\\udcff.html changed since plan.json was made" in clone.doit("-c", "plan=plan.json", status=None).stdout
    )
    clone.write(name, "one")
    clone.doit("plan=plan.json")


def test_nothing_is_told_of_work_that_is_only_foreseen(place: Place) -> None:
    for command in (["plan"], ["graph"], ["plan", "--out", "plan.json"]):
        assert place.project.doit(*command, *DECLARED).stderr == ""
    assert "copied" in place.project.doit(*DECLARED).stderr


def test_what_differs_from_a_revision_is_no_plan_to_be_carried_out(place: Place) -> None:
    refused = place.project.doit("plan", "--since", "HEAD", "--out", "plan.json", status=3).stderr
    assert "--out saves what a run would do, and --since shows what differs" in refused
