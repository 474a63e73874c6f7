"""Order that is declared by `after`, and that of users' tasks after what a pull lays out."""

from __future__ import annotations

import pytest

from tests.support.project import DODO, Project

USER = """
def task_use():
    return {{"actions": ["cat {path} > used.txt"], "file_dep": ["{path}"], "targets": ["used.txt"]}}
"""
EVERYTHING = """\
images:
  site: {files: [site], after: [prepare]}
bundles:
  one: {files: [one], lock: {}, after: [{pull: two}, {copy: two}]}
  two: {files: [two], after: [{image: site}]}
copies:
  two: {from: {bundle: two}, to: "oci:build/layout:two"}
  late: {from: {image: site}, to: "oci:build/layout:late", after: [{render: two}, {bundle: one}]}
pulls:
  two: {from: {bundle: two}, to: build/two}
renders:
  two: {files: [two/config.yml], output: build/two.yml, after: [{bundle: one}]}
"""


def test_a_file_of_a_pull_is_there_before_a_task_needs_it(project: Project, way: tuple[str, ...]) -> None:
    project.pipeline("bundles: {one: {files: [one]}}\npulls: {one: {from: {bundle: one}, to: build/one}}")
    project.bundle("one")
    project.write("dodo.py", project.read("dodo.py") + USER.format(path="build/one/config.yml"))
    assert project.doit("run", *way, "use").executed == {"push_bundle:one", "pull_bundle:one", "use"}
    assert project.read("used.txt") == "kind: one\n"
    assert project.doit("run", *way, "use").ran == []
    project.write("one/config.yml", "kind: changed\n")
    assert project.doit("run", *way, "use").executed == {"push_bundle:one", "pull_bundle:one", "use"}
    assert project.read("used.txt") == "kind: changed\n"


@pytest.mark.parametrize("path", ["./build/one/config.yml", "{directory}/build/one/config.yml"])
def test_a_file_of_a_pull_may_be_spelled_in_any_way(project: Project, path: str) -> None:
    project.pipeline("bundles: {one: {files: [one]}}\npulls: {one: {from: {bundle: one}, to: build/one}}")
    project.bundle("one")
    project.write("dodo.py", DODO + USER.format(path=path.format(directory=project.directory)))
    assert "pull_bundle:one" in project.doit("use").executed


def test_declared_things_run_in_the_order_that_is_asked_for(project: Project, way: tuple[str, ...]) -> None:
    project.pipeline(EVERYTHING)
    project.write("site/index.html", "hello")
    project.bundle("two")
    project.write("one/config.yml", "kind: One\n")
    prepare = "\ndef task_prepare():\n    return {'actions': ['sleep 0.2']}\n"
    project.write("dodo.py", project.read("dodo.py") + prepare)
    run = project.doit("run", *way, "copy_bundle:late")
    order = [
        *("prepare", "push_image:site", "push_bundle:two", "pull_bundle:two"),
        *("lock_bundle:one", "push_bundle:one", "render_config:two", "copy_bundle:late"),
    ]
    assert [task for task in run.ran if task in order] == order
    assert run.ran.index("copy_bundle:two") < run.ran.index("lock_bundle:one")
    # An order makes nothing stale.
    project.write("two/config.yml", "kind: changed\n")
    assert "push_bundle:one" not in project.doit("run", *way, "copy_bundle:late").ran


def test_an_order_in_a_cycle_is_an_error(project: Project) -> None:
    project.pipeline(
        "bundles: {one: {files: [one], after: [{bundle: two}]}, two: {files: [two], after: [{bundle: one}]}}"
    )
    project.bundle("one")
    project.bundle("two")
    run = project.doit(status=3)
    cycle = "these tasks need one another: push_bundle:one -> push_bundle:two -> push_bundle:one: break the cycle"
    assert cycle in run.stderr


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        ("{copy: bas}", "there is no copy 'bas' in this pipeline; did you mean base?"),
        ("{pull: x}", "there is no pull 'x' in this pipeline; there are: none"),
        ("{render: x}", "there is no render 'x' in this pipeline; there are: none"),
        ("push_bundle:ome", "there is no task 'push_bundle:ome' in this pipeline; did you mean one?"),
        ("lock_bundle:one", "there is no task 'lock_bundle:one' in this pipeline; there are: none"),
    ],
)
def test_what_nothing_is_called_is_told_with_its_place(project: Project, after: str, problem: str) -> None:
    project.pipeline(
        f"bundles: {{one: {{files: [one], after: [{after}]}}}}\n"
        "copies: {base: {from: {bundle: one}, to: 'oci:build/layout'}}"
    )
    project.bundle("one")
    assert f"bundlepipe.yml:5:11: bundle 'one': after: {problem}" in project.refusal()


def test_a_task_that_is_nowhere_is_told_by_doit(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one], after: [nothing]}}")
    project.bundle("one")
    assert "Task dependency 'nothing' does not exist" in project.doit(status=3).stderr


def test_python_takes_what_the_file_takes(project: Project) -> None:
    project.write(
        "dodo.py",
        "from bundlepipe import *\n"
        "bundles = [Bundle(name=name, files=[name], push=f'layout.localhost/{name}', after=after)\n"
        "    for name, after in [('one', [PullSource('two'), RenderSource('two')]), ('two', [])]]\n"
        "pulls = [Pull(name='two', source=BundleSource('two'), to='build/two', after=['push_bundle:two'])]\n"
        "renders = [Render(name='two', files=['two/config.yml'], output='two.yml')]\n"
        "pipeline = Pipeline(bundles=bundles, pulls=pulls, renders=renders)\n",
    )
    project.bundle("one")
    project.bundle("two")
    assert project.doit("push_bundle:one").ran[-1] == "push_bundle:one"
    assert (project.directory / "build/two").is_dir()
    assert (project.directory / "two.yml").is_file()


TWO_RELEASES = """\
bundles: {one: {files: [one, common], push: "layout.localhost/one:2.0"}}
copies:
  first: {from: "layout.localhost/one:1.0", to: "tar:first.tar"}
  delta: {from: {bundle: one}, to: "tar:delta.tar", exclude: ["tar:first.tar"]}
  base: {from: "tar:first.tar", to: layout.localhost/arrived}
  more: {from: {copy: delta}, to: "layout.localhost/arrived:new"}
"""


def test_two_tars_into_one_repository_are_told_of_their_order(project: Project) -> None:
    project.bundle("one")
    project.write("common/large.txt", "large")
    project.pipeline("bundles: {one: {files: [one, common], push: 'layout.localhost/one:1.0'}}")
    project.doit("push_bundle")
    project.pipeline(TWO_RELEASES)
    project.doit("copy_bundle:first", "copy_bundle:delta")
    run = project.doit("copy_bundle:more", status=1)
    assert "copy 'base' goes there too: if it brings the layers, add 'after: [{copy: base}]'" in run.output
    project.pipeline(TWO_RELEASES.replace(':new"}', ':new", after: [{copy: base}]}'))
    ran = project.doit("copy_bundle:more").ran
    assert ran.index("copy_bundle:base") < ran.index("copy_bundle:more")
