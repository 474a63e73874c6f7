"""Variables on doit's command line: what they select, and that nothing is passed over in silence."""

from __future__ import annotations

import pytest
from doit.exceptions import InvalidDodoFile

from bundlepipe.pipeline.declared.model import Bundle, Copy, Image, Lock, Pull, Render
from bundlepipe.pipeline.declared.reading import Declared
from bundlepipe.pipeline.running import variables
from bundlepipe.pipeline.running.variables import wanted_force
from tests.support.project import Project

# One name for a bundle with a lock, a copy and a pull.
SAME_NAMES = """\
bundles: {app: {files: [app], lock: {}}}
images: {site: {files: [site]}}
copies: {app: {from: layout.localhost/site:dev, to: layout.localhost/copied}}
pulls: {app: {from: layout.localhost/site:dev, to: out}}
"""
TASKS = ("lock_bundle:app", "copy_bundle:app", "pull_bundle:app")


@pytest.fixture
def same_names(project: Project) -> Project:
    project.pipeline(SAME_NAMES)
    project.write("app/config.yml", "kind: App\n")
    project.write("site/index.html", "hello")
    project.doit("push_image")
    project.doit(*TASKS)
    return project


@pytest.mark.parametrize("task", TASKS)
def test_a_refresh_can_name_one_of_several_tasks_of_a_name(same_names: Project, task: str) -> None:
    run = same_names.doit(*TASKS, f"refresh={task}")
    assert run.ran == [task]
    assert "refresh requested" in run.stdout


def test_a_refresh_of_a_name_means_all_that_have_it(same_names: Project) -> None:
    assert set(same_names.doit(*TASKS, "refresh=app").ran) == set(TASKS)


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("verfy=registry", "verfy=registry: no variable has that name: expected verify=; "),
        ("VERIFY=registry", "VERIFY=registry: no variable has that name: expected verify=; "),
        ("refesh=all", "refesh=all: no variable has that name: expected refresh=; "),
        ("forse=app", "forse=app: no variable has that name: expected force=; "),
        ("refresh=pull_bundle:ap", "refresh=pull_bundle:ap: there is no such task for it; there are: "),
        (
            "refresh=push_bundle:app",
            "refresh=push_bundle:app: there is no such task for it; there are: copy_bundle:app, ",
        ),
        ("refresh=ap", "as a lock has it; there are: app\n"),
        ("force=pull_bundle:ap", "force=pull_bundle:ap: there is no such task for it; there are: copy_bundle:app, "),
        ("force=site", "force=site: nothing has that name: expected a pull, render or copy, or a bundle with a lock"),
    ],
)
def test_what_would_be_passed_over_is_an_error(project: Project, variable: str, problem: str) -> None:
    project.pipeline(SAME_NAMES)
    project.write("app/config.yml", "kind: App\n")
    run = project.doit("list", variable, status=3)
    assert problem in run.stderr and run.stderr.count("\n") == 1


def test_other_variables_are_the_users_own(project: Project) -> None:
    project.pipeline("")
    project.doit("list", "environment=staging", "version=1", "f=1", "fast=1")


ALL = Declared(
    images=[Image(name="image", files=["x"])],
    bundles=[Bundle(name="locked", lock=Lock()), Bundle(name="plain"), Bundle(name="told", lock_output="x")],
    copies=[Copy(name="same", source="a", to="b")],
    pulls=[Pull(name="same", source="a", to="b")],
    renders=[Render(name="render", files=["a"], output="b")],
)


@pytest.mark.parametrize(
    ("variable", "wanted"),
    [
        ("", set()),
        (",", set()),
        ("same", {"same"}),
        ("copy_bundle:same,render", {"copy_bundle:same", "render"}),
        ("pull_bundle:same", {"pull_bundle:same"}),
        ("lock_bundle:locked", {"lock_bundle:locked"}),
        ("push_bundle:told,render_config:render", {"push_bundle:told", "render_config:render"}),
    ],
)
def test_force_names_what_has_outputs(monkeypatch: pytest.MonkeyPatch, variable: str, wanted: set[str]) -> None:
    monkeypatch.setattr(variables, "get_var", {"force": variable}.get)
    assert wanted_force(ALL) == wanted


@pytest.mark.parametrize("variable", ["image", "plain", "push_bundle:plain", "lock_bundle:told", "same:same", "all"])
def test_force_of_anything_else_is_an_error(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setattr(variables, "get_var", {"force": f"same,{variable}"}.get)
    with pytest.raises(InvalidDodoFile, match=f"^force={variable}: "):
        wanted_force(ALL)
