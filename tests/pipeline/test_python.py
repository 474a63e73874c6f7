"""Pipelines that a dodo.py computes."""

from __future__ import annotations

from bundlepipe.pipeline.graph import GROUPS
from tests.pipeline.conftest import Project

DODO = """
from pathlib import Path
from bundlepipe import (
    DOIT_CONFIG, Bundle, BundleSource, Image, ImageSource, Lock, LockSource, Pipeline, Pull, RegistrySettings,
)

pipeline = Pipeline(
    images=[Image(name="site", files=["./site/"], push="staging.localhost/{name}:1")],
    bundles=[
        *(Bundle(name=name, files=[Path("bundles") / name], push="layout.localhost/{name}") for name in ("a", "b")),
        Bundle(
            name="top",
            files=[str(Path("bundles/top").absolute())],
            push="layout.localhost/top:1",
            lock=Lock(include=[BundleSource("a"), BundleSource("b"), ImageSource("site")]),
            lock_output="./out/top.yml",
        ),
    ],
    pulls=[Pull(name="top", source=LockSource("out/./top.yml"), to="out/top", recursive=True)],
    registries={"staging.localhost": RegistrySettings(layout="staging")},
)
"""


def test_a_computed_pipeline_works_as_a_declared_one(project: Project) -> None:
    project.write("dodo.py", DODO)
    project.write("site/index.html", "hello")
    project.write("bundles/top/config.yml", "kind: Top\n")
    for name in "ab":
        project.bundle(f"bundles/{name}")
    run = project.doit("push_bundle", "pull_bundle")
    assert run.executed == {
        *("push_image:site", "push_bundle:a", "push_bundle:b"),
        *("lock_bundle:top", "push_bundle:top", "pull_bundle:top"),
    }
    assert (project.directory / "staging/site/index.json").exists()
    assert project.read("out/top/config.yml") == "kind: Top\n"
    assert project.doit("push_bundle", "pull_bundle").ran == []


def test_a_class_that_is_imported_makes_no_tasks(project: Project) -> None:
    project.write("dodo.py", "from bundlepipe import *\nfrom bundlepipe import Pipeline\npipeline = Pipeline()\n")
    assert project.doit("list").stdout.count("\n") == len(GROUPS)
