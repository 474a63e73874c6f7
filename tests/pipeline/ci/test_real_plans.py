"""Plans that doit makes, divided into jobs: which tasks are together, and that jobs in clones do all of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.pipeline.ci.graph import CIGraph, shard_as_json
from bundlepipe.pipeline.ci.sharding import sharded
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.stores.opening import Stores
from tests.support.planned import clone_of
from tests.support.project import DODO, Project
from tests.support.services import Registry

DECLARATIONS = """\
images:
  site: {files: [site]}
  made: {files: [build/made]}
  tool: {run: [sh, -c, "cat tool/reference"], files: [tool]}
bundles:
  leaf: {files: [leaf], lock: {include: [{image: site}]}}
  mid: {files: [mid], lock: {include: [{bundle: leaf}]}}
  top: {files: [top], lock: {include: [{bundle: mid}, {bundle: leaf}]}}
  generated: {files: [generated, build/file.yml], lock: {}}
  with-tool: {files: [with-tool], lock: {include: [{image: tool}]}}
copies:
  top: {from: {bundle: top}, to: "HOST/copies/all:1"}
  leaf: {from: {bundle: leaf}, to: "HOST/copies/all:2"}
  mid: {from: {bundle: mid}, to: "HOST/copies/mid"}
  file: {from: {bundle: mid}, to: "tar:mid.tar"}
pulls:
  file: {from: {bundle: mid}, to: build/pulled}
renders:
  top: {files: [top], output: build/top.yaml, locks: [top/.imgpkg/images.yml]}
"""
OWN = """
def task_generate():
    return {
        "actions": ["mkdir -p build/made && echo kind: File > build/file.yml && echo made > build/made/file"],
        "targets": ["build/file.yml", "build/made/file"],
    }
"""
GROUPS = ("push_bundle", "push_image", "copy_bundle", "pull_bundle", "render_config")


@pytest.fixture
def repository(project: Project, registry: Registry) -> Repository:
    """Where a nested pipeline pushes to, with a task of the user's own, a program, and copies."""
    repository = registry.repository("shards")
    host = str(repository)
    project.pipeline(DECLARATIONS.replace("HOST", host), f'defaults: {{push: "{host}/{{name}}:${{VERSION:-1}}"}}\n')
    project.write("dodo.py", DODO + OWN)
    project.write("site/index.html", "hello")
    # Any image that is there serves as what the program has made.
    project.doit("push_image:site")
    digest = Stores().repository(_below(repository, "site")).resolve("1")
    project.write("tool/reference", f"{host}/site@{digest}\n")
    for name in ("leaf", "mid", "top", "generated", "with-tool"):
        project.write(f"{name}/config.yml", f"kind: {name.title()}\n")
    return repository


def _below(repository: Repository, path: str) -> Repository:
    return Repository(repository.registry, f"{repository.path}/{path}")


def _divided(project: Project, settings: CI, groups: Sequence[str] = GROUPS) -> CIGraph:
    project.doit("plan", "--out", "plan.json", *groups)
    document: dict[str, Any] = json.loads(project.read("plan.json"))
    # Otherwise, all else fits in the time of the user's task.
    graph = sharded(document, settings, durations={"generate": 0.1, "push_image:tool": 0.1})
    document["shards"] = [shard_as_json(shard) for shard in graph.shards]
    project.write("plan.json", json.dumps(document))
    return graph


def test_tasks_of_a_real_plan_are_together_as_they_must_be(project: Project, repository: Repository) -> None:
    graph = _divided(project, CI(startup=0, shards=16))
    shard_of = {name: shard for shard in graph.shards for name in shard.tasks}
    # A user's task, with what needs its files; a program whose result is not known, with the bundle that has it.
    assert shard_of["generate"] is shard_of["push_bundle:generated"] is shard_of["push_image:made"]
    assert shard_of["push_image:tool"] is shard_of["lock_bundle:with-tool"] is shard_of["push_bundle:with-tool"]
    # Both go to one repository, and a copy into another one is apart.
    assert shard_of["copy_bundle:top"] is shard_of["copy_bundle:leaf"] is not shard_of["copy_bundle:mid"]
    assert shard_of["lock_bundle:mid"] is shard_of["push_bundle:mid"] is not shard_of["copy_bundle:mid"]
    assert "push_bundle:mid" in shard_of["copy_bundle:mid"].inputs
    assert shard_of["push_bundle:mid"].name in shard_of["copy_bundle:mid"].needs
    assert len(graph.waves) > 1


@pytest.mark.parametrize(
    "environments", [{}, {"copy_bundle:mid": "production", "copy_bundle:leaf": "other", "copy_bundle:top": "other"}]
)
def test_jobs_in_clones_do_all_that_one_run_does(
    project: Project, repository: Repository, environments: dict[str, str]
) -> None:
    graph = _divided(project, CI(startup=0, shards=4, environments=environments))
    for shard in graph.shards:
        clone = clone_of(project)
        clone.doit("plan=plan.json", f"shard={shard.name}", status=0)
    pushed = ["leaf", "mid", "top", "generated", "with-tool", "site", "made", "copies/all", "copies/mid"]
    there = {name: Stores().repository(_below(repository, name)).resolve("1") for name in pushed}
    # One run on one machine finds all of it.
    one = clone_of(project)
    run = one.doit(*GROUPS)
    changing = {f"push_bundle:{name}" for name in ("leaf", "mid", "top", "generated", "with-tool")}
    changing |= {"push_image:site", "push_image:made", "copy_bundle:top", "copy_bundle:leaf", "copy_bundle:mid"}
    assert {name: run.marks[name] for name in changing} == dict.fromkeys(changing, "=")
    assert {name: Stores().repository(_below(repository, name)).resolve("1") for name in pushed} == there


def test_a_second_graph_has_only_what_leaves_nothing_in_a_registry(project: Project, repository: Repository) -> None:
    groups = [*GROUPS, "generate"]
    graph = _divided(project, CI(startup=0), groups)
    for shard in graph.shards:
        clone_of(project).doit("plan=plan.json", f"shard={shard.name}")
    clone = clone_of(project)
    (clone.directory / "plan.json").unlink()
    again = {name for shard in _divided(clone, CI(startup=0), groups).shards for name in shard.tasks}
    # A user's task, a program and a tar file, with what needs their results.
    assert {name for name in again if not name.startswith(("lock_", "render_"))} == {
        *("generate", "push_image:made", "push_bundle:generated"),
        *("push_image:tool", "push_bundle:with-tool", "copy_bundle:file"),
    }


def test_a_new_tag_for_all_is_pushed_from_the_inside_out(project: Project, repository: Repository) -> None:
    bundles = [f"push_bundle:{name}" for name in ("leaf", "mid", "top")]
    project.doit(*bundles)
    # Another clone, with locks that are in git, has no records; all digests are as they were.
    clone = clone_of(project)
    clone.environment["VERSION"] = "2"
    graph = _divided(clone, CI(startup=0, environments={"push_bundle:mid": "other"}), bundles)
    assert [name for shard in graph.shards for name in shard.tasks] == ["push_image:site", *bundles]
    assert [shard.inputs for shard in graph.shards] == [
        [],
        ["push_bundle:leaf"],
        ["push_bundle:leaf", "push_bundle:mid"],
    ]
    for shard in graph.shards:
        clone.doit("plan=plan.json", f"shard={shard.name}")
    for name in ("site", "leaf", "mid", "top"):
        store = Stores().repository(_below(repository, name))
        assert store.resolve("2") == store.resolve("1")


INCLUDING = """\
images:
  made: {MADE}
bundles:
  app: {files: [app], lock: {include: [{image: made}]}}
  outer: {files: [outer], lock: {include: [{bundle: app}]}}
copies:
  app: {from: {bundle: app}, to: "HOST/copies/app"}
  outer: {from: {bundle: outer}, to: "HOST/copies/outer"}
"""
# No two runs of it make the same.
UNIQUE = """
def task_generate():
    actions = ["mkdir -p made && od -An -N16 -tx1 /dev/urandom > made/file && echo x >> COUNTED"]
    return {"actions": actions, "targets": ["made/file"]}
"""


@pytest.mark.parametrize("made", ["run: [sh, -c, 'cat app/reference'], files: [app]", "files: [made]"])
def test_jobs_can_have_what_only_one_job_makes(project: Project, registry: Registry, made: str) -> None:
    repository = registry.repository("only-once")
    defaults = f'defaults: {{push: "{repository}/{{name}}:1"}}\n'
    project.pipeline("images: {base: {files: [base]}}\n", defaults)
    project.write("base/file", "base")
    project.doit("push_image:base")
    digest = Stores().repository(_below(repository, "base")).resolve("1")
    project.write("app/reference", f"{repository}/base@{digest}\n")
    project.write("outer/config.yml", "kind: Outer\n")
    project.pipeline(INCLUDING.replace("HOST", str(repository)).replace("MADE", made), defaults)
    counted = project.directory.parent / "counted"
    project.write("dodo.py", DODO + (UNIQUE.replace("COUNTED", str(counted)) if made == "files: [made]" else ""))
    graph = _divided(project, CI(startup=0, shards=4), ["copy_bundle"])
    for shard in graph.shards:
        clone_of(project).doit("plan=plan.json", f"shard={shard.name}")
    for name in ("app", "outer"):
        assert Stores().repository(_below(repository, f"copies/{name}")).resolve("1")
    assert not counted.exists() or counted.read_text() == "x\n"
