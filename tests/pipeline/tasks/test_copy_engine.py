"""copy_bundle and pull_bundle with the Docker Engine at one end: what makes them run, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.engine import EngineImages, engine_images, image_id
from tests.support.project import Project
from tests.support.services import Registry, require

NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


@pytest.fixture
def images() -> Iterator[EngineImages]:
    with engine_images() as made:
        yield made


def test_copies_follow_an_image_of_the_engine_there_and_back(project: Project, images: EngineImages) -> None:
    built, loaded = images.build({"hello": b"one"}), images.name()
    project.pipeline(
        f"""\
copies:
  kept: {{from: "docker-daemon:{built}", to: layout.localhost/kept, lockOutput: kept.yml}}
  loaded: {{from: {{copy: kept}}, to: "docker-daemon:{loaded}"}}
pulls:
  files: {{from: "docker-daemon:{loaded}", to: build/files}}
"""
    )
    run = project.doit("pull_bundle")
    assert run.ran == ["copy_bundle:kept", "copy_bundle:loaded", "pull_bundle:files"]
    assert project.read("build/files/hello") == "one"
    assert f"kbld.carvel.dev/id: {built}" in project.read("kept.yml")
    assert project.digest("copy", "loaded") == f"docker-daemon:{loaded}@{image_id(built)}"
    assert project.doit("pull_bundle").ran == []

    # Another image under the name makes stale, and so does everything that follows from it.
    other = images.build({"hello": b"two"})
    images.tag(other, built)
    run = project.doit("pull_bundle")
    assert run.executed == {"copy_bundle:kept", "copy_bundle:loaded", "pull_bundle:files"}
    assert f"docker-daemon:{built} changed" in run.stdout
    assert image_id(loaded) == image_id(other)

    # A source that is gone is not missed; a destination is.
    images.remove(built)
    assert project.doit("copy_bundle").ran == []
    images.remove(loaded)
    assert f"docker-daemon:{loaded} is not there" in project.doit("copy_bundle:loaded").stdout
    assert image_id(loaded) == image_id(other)
    images.tag(images.build({"hello": b"three"}), loaded)
    assert f"docker-daemon:{loaded} is another image" in project.doit("copy_bundle:loaded").stdout
    assert image_id(loaded) == image_id(other)


def test_an_image_of_this_pipeline_is_loaded_once_under_every_tag(project: Project, images: EngineImages) -> None:
    name = images.name()
    further = images.also(name.replace(":dev", ":stable"))
    project.write("site/index.html", os.urandom(10).hex())
    project.pipeline(
        f"""\
images:
  site: {{files: [site]}}
copies:
  local: {{from: {{image: site}}, to: "docker-daemon:{name}", tags: [stable]}}
"""
    )
    assert "1 image, 1 blob uploaded" in project.doit("copy_bundle").stdout
    assert image_id(name) == image_id(further)
    assert project.doit("copy_bundle").ran == []
    project.doit("forget", "copy_bundle")
    assert project.doit("copy_bundle").marks["copy_bundle:local"] == "="


@pytest.mark.parametrize(
    ("copies", "message"),
    [
        (
            '{from: {bundle: base}, to: "docker-daemon:base:1"}',
            "docker-daemon:base:1: the Docker Engine keeps single images: copy bundle 'base' to a registry",
        ),
        (
            '{from: "docker-daemon:app", to: "docker-daemon:app:latest"}',
            "docker-daemon:app:latest would be made from itself",
        ),
        (f'{{from: a/b, to: "docker-daemon:app@sha256:{"0" * 64}"}}', "the destination of a copy cannot be a digest"),
        ('{from: a/b, to: "docker-daemon:App"}', "repository names are lower case"),
        (
            '{from: a/b, to: "docker-daemon:app", lockOutput: lock.yml}',
            "lockOutput: docker-daemon:app is in no registry",
        ),
        ('{from: a/b, to: "docker-daemon:app", tags: [latest, "-"]}', "'-' is not a tag"),
    ],
)
def test_what_the_engine_cannot_take_is_a_fault(project: Project, copies: str, message: str) -> None:
    project.pipeline("bundles: {base: {files: [base]}}\ncopies:\n  wrong: " + copies)
    project.bundle("base")
    error = project.refusal()
    assert "copy 'wrong'" in error and message in error


def test_two_copies_to_one_name_are_a_fault(project: Project) -> None:
    project.pipeline(
        """\
copies:
  one: {from: a/b, to: "docker-daemon:app"}
  two: {from: a/c, to: "docker-daemon:app:1", tags: [latest]}
"""
    )
    assert "docker-daemon:app:latest is the destination of 'one' too" in project.refusal()


def test_without_an_engine_what_needs_it_says_so_and_the_rest_is_done(project: Project) -> None:
    project.write("site/index.html", "hello")
    project.pipeline(
        """\
images:
  site: {files: [site]}
copies:
  elsewhere: {from: {image: site}, to: layout.localhost/elsewhere}
  local: {from: {image: site}, to: "docker-daemon:site:dev"}
"""
    )
    run = project.doit("--continue", "copy_bundle", env=NOWHERE, status=2)
    assert run.executed == {"push_image:site", "copy_bundle:elsewhere"}
    words = "cannot reach the Docker Engine at unix:///nowhere/docker.sock (No such file or directory): start it"
    assert words in run.output and "Traceback" not in run.output


def test_the_engine_resolves_tags_of_a_lock(project: Project, images: EngineImages, registry: Registry) -> None:
    built, repository = images.build({"hello": b"hello"}), registry.repository()
    project.bundle("app", deployment=f"image: {repository}:1.0\n")
    project.pipeline(
        f"""\
registries:
  "{registry.host}": {{resolve: engine}}
bundles:
  app: {{files: [app], lock: {{}}}}
copies:
  there: {{from: "docker-daemon:{built}", to: "{repository}:1.0"}}
"""
    )
    project.doit("copy_bundle")
    assert "cannot reach the Docker Engine" in project.doit("lock_bundle", env=NOWHERE, status=1).output
    project.doit("lock_bundle")
    assert project.digest("copy", "there") in project.read("app/.imgpkg/images.yml")
    assert project.doit("lock_bundle", env=NOWHERE).ran == []


def test_a_directory_resolves_its_own_tags(project: Project) -> None:
    project.pipeline("registries:\n  a.localhost: {layout: a, resolve: engine}\n")
    error = project.refusal()
    assert "bundlepipe.yml:6:28: registry a.localhost is kept in a directory" in error


def test_a_run_with_nothing_to_do_leaves_docker_alone_where_no_engine_is_asked(project: Project) -> None:
    require("docker")
    project.write("site/index.html", "hello")
    project.pipeline(
        "images:\n  site: {files: [site]}\ncopies:\n  here: {from: {image: site}, to: layout.localhost/here}\n"
    )
    project.doit("copy_bundle")
    project.write(
        "dodo.py",
        project.read("dodo.py") + "import atexit, sys\natexit.register(lambda: print('docker' in sys.modules))\n",
    )
    # A process that begins with nothing loaded.
    done = subprocess.run(
        [sys.executable, "-m", "doit", "copy_bundle"],
        cwd=project.directory,
        env={**os.environ, **project.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"
