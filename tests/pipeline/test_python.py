"""Pipelines that a dodo.py computes."""

from __future__ import annotations

from bundlepipe.pipeline.records.groups import GROUPS
from tests.support.project import Project
from tests.support.services import require

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


BUILDS = """
from pathlib import Path
from bundlepipe import DOIT_CONFIG, Apply, Build, Bundle, Image, Lock, Pipeline, Program, Render

WEB = "layout.localhost/web"
FILES = [Program(run=["sh", "./chart.sh"], files=[Path("chart.sh")]), Path("app/c.yml")]
pipeline = Pipeline(
    images=[
        Image(name="web", build=Build(context=Path("web"), dockerfile=Path("Dockerfile")), push=WEB),
        Image(name="copy", source="oci:./build/registry/web", push="layout.localhost/{name}:1"),
    ],
    bundles=[
        Bundle(name="app", files=[Path("app")], push="layout.localhost/app", lock=Lock(files=FILES)),
    ],
    renders=[
        Render(
            name="app", files=FILES, locks=[Path("app/.imgpkg/images.yml")], output=Path("./out.yml"),
            apply=Apply(context="c", kubeconfig="./kube.yml", dry_run="client"),
        ),
    ],
)
"""


def test_builds_programs_and_renders_can_be_computed(project: Project) -> None:
    require("docker")
    project.write("dodo.py", BUILDS)
    project.write("web/Dockerfile", "FROM scratch\nCOPY page /\n")
    project.write("web/page", "hello")
    project.write("chart.sh", "echo 'image: web'\n")
    project.write("app/c.yml", "image: copy\n")
    # The copy has no edge to what is in its layout: that is a push, and pushes are named.
    project.doit("push_image:web")
    assert project.doit("render_config").executed == {"push_image:copy", "lock_bundle:app", "render_config:app"}
    digests = [project.digest("image", name) for name in ("web", "copy")]
    assert project.read("out.yml") == "image: {}\n---\nimage: {}\n".format(*digests)
    assert project.doit("render_config").ran == []
    assert "apply_config:app" in project.doit("list", "--all").stdout


def test_a_program_without_a_command_is_refused(project: Project) -> None:
    project.write(
        "dodo.py",
        "from bundlepipe import DOIT_CONFIG, Image, Pipeline, Program\n"
        "pipeline = Pipeline(images=[Image(name='a', program=Program(run=[]))])\n",
    )
    message = "image 'a': run: expected a program and its arguments, as a list of strings"
    assert project.doit("list", status=3).stderr == f"ERROR: {message}\n"
