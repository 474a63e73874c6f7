"""`doit list -s` and `doit info`: what they tell is what a run would find, and they change and ask nothing."""

from __future__ import annotations

import re

import pytest

from bundlepipe.pipeline.records.groups import GROUPS
from tests.support.project import Project
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
    stale = {"lock_bundle", "lock_bundle:base", "push_bundle", "push_bundle:base"}
    assert {task for task, status in statuses.items() if status == "R"} == stale
    declared.doit("ignore", "push_bundle:base")
    assert _statuses(declared)["push_bundle"] == "U"


def test_a_lock_is_stale_by_what_it_found(declared: Project) -> None:
    declared.doit(*MADE)
    declared.write("site/index.html", "changed")
    declared.doit("push_image")
    statuses = _statuses(declared, "--all")
    assert {task for task, status in statuses.items() if status == "R"} == {"lock_bundle", "lock_bundle:app"}


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
    assert re.search(r"^    - .* (no local record|to be run: push_bundle:base, push_bundle:app) ", output, re.MULTILINE)


def test_info_names_what_changed_and_says_nothing_of_what_has_not(declared: Project) -> None:
    declared.doit(*MADE)
    assert "evaluate to false" not in declared.doit("info", "lock_bundle:app").stdout
    assert "status     : up-to-date" in declared.doit("info", "push_bundle").stdout
    declared.write("app/other.yml", "kind: Other\n")
    output = declared.doit("info", "lock_bundle:app", status=1).stdout
    assert "images.yml and the options of the lock, compared with the last run: app/other.yml is new" in output


def test_doits_own_reporter_says_nothing_of_groups(declared: Project) -> None:
    declared.doit("push_bundle")
    assert "-- push_bundle\n" not in declared.doit("-r", "console", "push_bundle").stdout
