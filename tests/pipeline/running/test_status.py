"""`doit list -s` and `doit info`: what they tell is what a run would find, and they change and ask nothing."""

from __future__ import annotations

import re

import pytest

from bundlepipe.pipeline.records.groups import GROUPS
from tests.support.project import DODO, Project
from tests.support.proxy import Proxy

MADE = [group for group in GROUPS if group != "apply_config"]


@pytest.fixture
def declared(project: Project) -> Project:
    """A pipeline whose lock finds by itself that it needs an image."""
    return project.declare_each_kind()


def _statuses(project: Project, *arguments: str) -> dict[str, str]:
    lines = project.doit("list", "-s", *arguments).stdout.splitlines()
    return {line.split()[1]: line.split()[0] for line in lines}


def _state(project: Project) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (project.directory / ".bundlepipe").rglob("*") if path.is_file()}


def test_after_a_run_everything_is_up_to_date_locks_and_groups_included(declared: Project) -> None:
    before = _statuses(declared, "--all")
    assert {task for task, status in before.items() if status == "U"} == {"apply_config"}
    declared.doit(*MADE)
    assert set(_statuses(declared, "--all", "-p").values()) == {"U"}


def test_a_group_is_what_its_members_are(declared: Project) -> None:
    declared.doit(*MADE)
    declared.write("base/config.yml", "kind: Changed\n")
    statuses = _statuses(declared, "--all")
    assert {task for task, status in statuses.items() if status == "U"} == {
        "apply_config", "push_image", "push_image:site"
    }  # fmt: skip
    assert set(statuses.values()) == {"U", "R"}
    declared.doit("ignore", "push_bundle:base")
    statuses = _statuses(declared, "--all")
    assert statuses["push_bundle:base"] == statuses["push_bundle:app"] == statuses["push_bundle"] == "I"
    assert statuses["lock_bundle"] == "R"


def test_a_lock_is_stale_by_what_it_found(declared: Project) -> None:
    declared.doit(*MADE)
    declared.write("site/index.html", "changed")
    declared.doit("push_image")
    statuses = _statuses(declared, "--all")
    groups = {"lock_bundle", "push_bundle", "copy_bundle", "pull_bundle", "render_config"}
    expected = groups | {f"{group}:app" for group in groups}
    assert {task for task, status in statuses.items() if status == "R"} == expected


def test_looking_changes_and_asks_nothing(project: Project, proxy: Proxy) -> None:
    project.environment["REGISTRY"] = f"{proxy.host}/looked-at"
    project.pipeline("bundles:\n  app: {files: [app], lock: {files: [{run: [./show], files: [show]}]}}\n")
    project.write("app/config.yml", "kind: App\n")
    project.write("show", '#!/bin/sh\necho >> runs\necho "kind: Shown"\n').chmod(0o755)
    project.doit("list", "-s", "--all")
    project.doit("info", "lock_bundle:app", status=1)
    assert not proxy.requests
    assert not (project.directory / "runs").exists()
    project.doit()
    asked, state, runs = len(proxy.requests), _state(project), project.read("runs")
    # Stamps that only differ are brought up to date by a run, and by nothing else.
    for path in ("app/config.yml", "show"):
        project.write(path, project.read(path))
    assert set(_statuses(project, "--all", "-p").values()) == {"U"}
    project.write("show", '#!/bin/sh\necho >> runs\necho "kind: Other"\n')
    assert _statuses(project, "--all", "-p")["lock_bundle:app"] == "R"
    project.doit("info", "lock_bundle:app", status=1)
    assert (len(proxy.requests), _state(project), project.read("runs")) == (asked, state, runs)


@pytest.mark.parametrize(
    "task", ["push_image:site", "lock_bundle:app", "push_bundle:app", "copy_bundle:app", "pull_bundle:app",
             "render_config:app", "push_bundle"]
)  # fmt: skip
def test_info_says_in_words_why_a_task_would_run(declared: Project, task: str) -> None:
    output = declared.doit("info", task, status=1).stdout
    assert not re.search(r" object at |0x[0-9a-f]+|<bundlepipe", output)
    why = "is to run: push_bundle:app, push_bundle:base" if task == "push_bundle" else "no local record"
    assert f"status     : run\n * {why}\n" in output and "meta" not in output


def test_info_names_what_changed_and_says_nothing_of_what_has_not(declared: Project) -> None:
    declared.doit(*MADE)
    assert " * " not in declared.doit("info", "lock_bundle:app").stdout
    assert "status     : up-to-date" in declared.doit("info", "push_bundle").stdout
    declared.write("app/other.yml", "kind: Other\n")
    output = declared.doit("info", "lock_bundle:app", status=1).stdout
    assert "status     : run\n * app/other.yml is new\n" in output
    assert "status" not in declared.doit("info", "--no-status", "push_bundle:app").stdout
    assert declared.doit("info", "nothing", status=3).stderr == "ERROR: 'nothing': there is no such task\n"


def test_what_a_task_of_a_users_own_may_change_may_run_and_what_cannot_run_is_an_error(declared: Project) -> None:
    declared.doit(*MADE)
    declared.write(
        "dodo.py",
        DODO + "def task_made():\n    return {'actions': ['touch base/made.yml'], 'targets': ['base/made.yml']}\n",
    )
    declared.write("app/config.yml", "image: x:y:z\n")
    statuses = _statuses(declared, "--all")
    assert statuses["made"] == "R" and statuses["push_bundle:base"] == "M"
    assert statuses["lock_bundle:app"] == "R" and statuses["pull_bundle:app"] == "M"
    output = declared.doit("info", "push_bundle:base", status=1).stdout
    assert "status     : maybe\n * lock_bundle:base may change it\n * made may change it\n" in output
    declared.write("dodo.py", DODO)
    assert _statuses(declared, "--all")["lock_bundle:app"] == "E"


def test_without_a_pipeline_they_are_doits_own(project: Project) -> None:
    project.write("dodo.py", "def task_one():\n    return {'actions': ['true'], 'uptodate': [False]}\n")
    assert project.doit("list", "-s").stdout == "R one   \n"
    assert "evaluate to false" in project.doit("info", "one", status=1).stdout


def test_doits_own_reporter_says_nothing_of_groups(declared: Project) -> None:
    declared.doit("push_bundle")
    assert "-- push_bundle\n" not in declared.doit("-r", "console", "push_bundle").stdout
