"""push_image of what is built, made by a program, or copied from where it is; and all that follows from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.opening import Stores
from tests.support.engine import EngineImages, engine_images
from tests.support.images import file_layer, put_image
from tests.support.project import Project
from tests.support.proxy import Proxy, Respond
from tests.support.services import Registry, require

EXAMPLE = Path(__file__).parents[3] / "examples/app-with-build"
NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
BUILD = """\
images:
  web: {build: {context: web}}
"""
WHOLE = [
    "push_image:web",
    "lock_bundle:hello",
    "push_bundle:hello",
    "copy_bundle:cluster",
    "pull_bundle:hello",
    "render_config:hello",
]


@pytest.fixture
def built(project: Project) -> Project:
    """An image of a Dockerfile, in the layout that is the default."""
    require("docker")
    project.pipeline(BUILD)
    project.write("web/Dockerfile", "FROM scratch\nCOPY index.html /\n")
    project.write("web/index.html", "one")
    return project


@pytest.fixture
def example(project: Project, registry: Registry) -> Project:
    """The example with everything from a Dockerfile to rendered configuration, in a real registry."""
    require("docker")
    require("busybox")
    shutil.copytree(EXAMPLE, project.directory, dirs_exist_ok=True)
    project.environment["REGISTRY"] = f"{registry.host}/{registry.repository('x').path}"
    project.environment["CLUSTER_REGISTRY"] = f"{registry.host}/{registry.repository('y').path}"
    return project


def test_one_run_goes_from_a_dockerfile_to_rendered_configuration(example: Project) -> None:
    assert example.doit("render_config").ran == ["busybox", *WHOLE]
    image = example.digest("image", "web").rpartition("@")[2]
    rendered = example.read("build/hello.yaml")
    moved = f"{example.environment['CLUSTER_REGISTRY']}/cluster/hello@{image}"
    assert rendered == example.read("deploy/deployment.yml").replace("image: web ", f"image: {moved} ")
    assert example.doit("render_config").ran == []

    example.write("app/notes.txt", "not in the context")
    example.write("elsewhere.txt", "nor is this")
    assert example.doit("render_config").ran == []

    example.write("app/index.html", "<h1>Hi</h1>")
    run = example.doit("render_config")
    assert run.executed == set(WHOLE)
    assert "(app/index.html changed)" in run.stdout
    assert example.doit("render_config").ran == []


def test_what_is_in_the_registry_is_not_built_again_with_neither_state_nor_engine(example: Project) -> None:
    example.doit("push_bundle")
    shutil.rmtree(example.directory / ".bundlepipe")
    run = example.doit("push_bundle", env=NOWHERE)
    assert {task: mark for task, mark in run.marks.items() if task != "busybox"} == {
        "push_image:web": "=",
        "lock_bundle:hello": "=",
        "push_bundle:hello": "=",
    }
    assert "Step" not in run.output


def test_the_check_without_state_is_two_requests(built: Project, registry: Registry, proxy: Proxy) -> None:
    built.environment["REGISTRY"] = f"{proxy.host}/{registry.repository('x').path}"
    built.doit("push_image")
    shutil.rmtree(built.directory / ".bundlepipe")
    proxy.forget()
    assert built.doit("push_image", env=NOWHERE).marks == {"push_image:web": "="}
    assert [seen.method for seen in proxy.requests if "/v2/" in seen.path] == ["GET", "GET"]


def test_without_an_engine_only_what_needs_it_fails(built: Project) -> None:
    built.bundle("other")
    built.pipeline(BUILD + "bundles: {other: {files: [other]}}\n")
    run = built.doit("--continue", "push_image", "push_bundle", env=NOWHERE, status=None)
    assert run.executed == {"push_bundle:other"}
    assert "cannot reach the Docker Engine at unix:///nowhere/docker.sock" in run.output
    assert "Traceback" not in run.output


def test_the_output_of_a_build_is_streamed_and_a_failing_step_is_shown(built: Project) -> None:
    assert "   push_image:web  Step 2/" in built.doit("push_image").stderr
    built.write("web/Dockerfile", "FROM scratch\nCOPY gone /\n")
    run = built.doit("push_image", status=1)
    assert "web/Dockerfile: failed in Step 2/3 : COPY gone /" in run.output
    assert "Traceback" not in run.output


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("{context: gone}", "gone: no such directory to build in"),
        ("{context: web, dockerfile: Other}", "web/Other: no such Dockerfile: write it, or name another one"),
        ("{context: web, target: gone}", "web/Dockerfile: failed to reach build target gone"),
    ],
)
def test_a_build_of_what_is_not_there_is_one_line(built: Project, build: str, message: str) -> None:
    built.pipeline(f"images:\n  web: {{build: {build}}}\n")
    run = built.doit("push_image", status=1)
    assert message in run.output
    assert "Traceback" not in run.output


def test_what_decides_a_build_makes_it_stale_and_how_it_is_made_does_not(built: Project) -> None:
    built.doit("push_image")
    built.pipeline("images:\n  web: {build: {context: web, pull: true, noCache: true, builder: docker}}\n")
    assert built.doit("push_image").ran == []
    built.pipeline("images:\n  web: {build: {context: web, args: {A: '1'}}}\n")
    assert "(args changed)" in built.doit("push_image").stdout
    built.pipeline("images:\n  web: {build: {context: web, args: {A: '1'}}, tags: [stable]}\n")
    assert built.doit("push_image").marks == {"push_image:web": "="}
    (built.directory / "web/index.html").chmod(0o755)
    assert "(web/index.html changed its mode)" in built.doit("push_image").stdout


def test_a_refresh_by_name_builds_again(built: Project) -> None:
    built.doit("push_image")
    assert built.doit("push_image", "refresh=all").ran == []
    run = built.doit("push_image", "refresh=web")
    assert run.executed == {"push_image:web"}
    assert "(refresh requested)" in run.stdout
    assert "Using cache" in run.stderr


def test_a_refresh_builds_upon_what_the_tag_of_the_base_names_now(built: Project, registry: Registry) -> None:
    repository = registry.repository("base")
    store = Stores().repository(repository, writes=True)
    put_image(store, file_layer("base", "one"), tag="v1")
    built.write("web/Dockerfile", f"FROM {repository}:v1\nCOPY index.html /\n")
    built.doit("push_image")
    before = built.digest("image", "web")
    put_image(store, file_layer("base", "two"), tag="v1")
    assert built.doit("-a", "push_image").marks == {"push_image:web": "="}
    built.doit("push_image", "refresh=web")
    assert built.digest("image", "web") != before


def test_an_image_for_another_platform_than_asked_for_is_not_pushed(built: Project) -> None:
    built.pipeline("images:\n  web: {build: {context: web, platform: linux/s390x}}\n")
    run = built.doit("push_image", status=1)
    assert "not for linux/s390x: install docker buildx" in run.output
    assert not (built.directory / "build/registry/web/index.json").exists()


def test_builds_work_however_doit_runs_them(built: Project, way: tuple[str, ...]) -> None:
    built.pipeline("images:\n  web: {build: {context: web}}\n  again: {build: {context: web, args: {A: b}}}\n")
    assert built.doit(*way, "push_image").executed == {"push_image:web", "push_image:again"}
    assert built.doit(*way, "push_image").ran == []


def test_a_context_that_holds_what_every_run_changes_is_refused(built: Project) -> None:
    built.pipeline("images:\n  web: {build: {context: ., dockerfile: web/Dockerfile}}\n")
    errors = built.refusal()
    assert "bundlepipe.yml:6:3: image 'web': its context . holds .bundlepipe, which every run changes" in errors
    assert "build/registry" in errors
    built.write(".dockerignore", ".bundlepipe\nbuild/\n")
    built.tasks()
    built.pipeline(
        "images:\n  web: {build: {context: ., dockerfile: web/Dockerfile}}\nbundles:\n  b: {files: [b], lock: {}}\n"
    )
    assert "image 'web': its context . holds b/.imgpkg, which every run" in built.refusal()


def test_generated_files_of_a_context_are_made_first(built: Project) -> None:
    built.write(
        "dodo.py",
        built.read("dodo.py")
        + "\ndef task_page():\n    return {'actions': ['echo new > web/index.html'], 'targets': ['web/index.html']}\n",
    )
    assert built.doit("push_image").ran == ["page", "push_image:web"]


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "../made/Dockerfile"])
def test_a_dockerfile_that_another_task_makes_is_made_first(built: Project, dockerfile: str) -> None:
    target = os.path.normpath(f"web/{dockerfile}")
    built.pipeline(f"images:\n  web: {{build: {{context: web, dockerfile: {dockerfile}}}}}\n")
    (built.directory / "web/Dockerfile").unlink()
    built.write("made/keep", "")
    built.write("web/.dockerignore", "Dockerfile\n")
    action = f"printf 'FROM scratch\\nCOPY index.html /\\n' > {target}"
    built.write(
        "dodo.py",
        built.read("dodo.py")
        + f"\ndef task_dockerfile():\n    return {{'actions': [{action!r}], 'targets': [{target!r}]}}\n",
    )
    built.doit("list", "--all", "-s")
    assert built.doit("push_image").ran == ["dockerfile", "push_image:web"]


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("{run: [make], build: {context: web}}", "expected only one of files, build, run and from"),
        ("{run: [make], from: 'a.example/b'}", "expected only one of files, build, run and from"),
        ("{run: [make], refresh: always}", "refresh is for the tag of a reference as 'from'"),
        ("{build: {context: web}, files: [web]}", "image 'web': expected only one of files, build, run and from"),
        ("{tags: [a]}", "image 'web' has no files, nor a build, a program or a source that makes it"),
        ("{build: {context: web}, exclude: [a]}", "exclude and preservePermissions are for images of files"),
        ("{build: {context: web, platform: linux}}", "'linux' is not a platform"),
        ("{build: {context: web, args: {A: 1}}}", "'A': expected a string, found 1 (quote it)"),
        ("{run: []}", "expected a program and its arguments, as a list of strings"),
        ("{run: [make], tags: [a]}", "tags are for its destination"),
        ("{run: [make], labels: {a: b}}", "labels: the image has its own already"),
        ("{from: 'oci:'}", "'oci:': expected oci:DIR[:TAG]"),
        ("{files: [web], refresh: always}", "refresh is for the tag of a reference as 'from'"),
        ("{from: 'oci:x', refresh: always}", "refresh is for the tag of a reference as 'from'"),
        (
            "{build: {context: web}, labels: {dev.bundlepipe.inputs: x}}",
            "records the inputs of a build",
        ),
    ],
)
def test_a_faulty_image_is_refused_at_its_place(project: Project, declaration: str, message: str) -> None:
    project.write("web/Dockerfile", "FROM scratch\n")
    project.pipeline(f"images:\n  web: {declaration}\n")
    output = project.refusal()
    assert message in output
    assert "bundlepipe.yml:6:" in output


@pytest.fixture
def vendor(registry: Registry) -> Repository:
    """A repository with an image under the tag v1."""
    repository = registry.repository("vendor")
    put_image(Stores().repository(repository, writes=True), file_layer("a", "one"), tag="v1")
    return repository


def _at(repository: Repository, tag: str = "v1") -> Reference:
    return repository.at(Stores().repository(repository).resolve(tag))


def test_a_program_makes_an_image_and_its_files_alone_make_it_stale(project: Project, vendor: Repository) -> None:
    project.write("cmd/main.go", "package main\n")
    project.write("made", str(_at(vendor)))
    script = "echo building >&2; echo some line; cat made; echo; echo"
    project.pipeline(f"images:\n  app: {{run: [sh, -c, '{script}'], files: [cmd]}}\n")
    run = project.doit("push_image")
    assert run.executed == {"push_image:app"}
    assert "   push_image:app  building\n" in run.stderr
    assert project.digest("image", "app") == str(_at(vendor))
    project.write("elsewhere", "")
    assert project.doit("push_image").ran == []
    project.write("cmd/main.go", "package other\n")
    assert "(cmd/main.go changed)" in project.doit("push_image").stdout
    assert "(refresh requested)" in project.doit("push_image", "refresh=app").stdout


def test_an_image_of_a_program_is_copied_to_its_destination_and_locked(project: Project, vendor: Repository) -> None:
    project.pipeline(
        f"images:\n  app: {{run: [echo, '{_at(vendor)}'], push: 'layout.localhost/app:2', tags: [latest]}}\n"
        "bundles:\n  b: {files: [b], lock: {}}\n"
    )
    project.write("b/config.yml", "image: app\n")
    project.doit("push_bundle")
    digest = _at(vendor).digest
    assert f"image: layout.localhost/app@{digest}\n" in project.read("b/.imgpkg/images.yml")
    layout = project.read("build/registry/app/index.json")
    assert '"2"' in layout and '"latest"' in layout


def test_a_layout_that_a_program_reads_is_looked_at(project: Project, vendor: Repository) -> None:
    project.write("lay/oci-layout", "{}")
    project.write("lay/index.json", "one")
    project.pipeline(f"images:\n  app: {{run: [echo, '{_at(vendor)}'], files: [lay]}}\n")
    project.doit("push_image")
    assert project.doit("push_image").ran == []
    project.write("lay/index.json", "two")
    assert "(lay/index.json changed)" in project.doit("push_image").stdout


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "[echo, 'no/digest:1']",
            "echo no/digest:1: its last line is 'no/digest:1': expected the image that was pushed",
        ),
        ("['true']", "true: it printed nothing"),
        (
            f"[echo, 'layout.localhost/gone@{'sha256:' + 'ab' * 32}']",
            "which is not there: let it push the image as well",
        ),
        ("[sh, -c, 'echo why >&2; exit 3']", "failed with exit status 3: why"),
        ("[no-such-builder]", "no-such-builder: no such program on PATH"),
    ],
)
def test_a_program_that_makes_no_image_is_one_line(project: Project, command: str, message: str) -> None:
    project.pipeline(f"images:\n  app: {{run: {command}}}\n")
    run = project.doit("push_image", status=1)
    assert message in run.output
    assert "Traceback" not in run.output


@pytest.fixture
def images() -> Iterator[EngineImages]:
    with engine_images() as made:
        yield made


def test_an_image_of_the_engine_is_pushed_and_locked_by_its_name(project: Project, images: EngineImages) -> None:
    name = images.build({"hello": b"one"})
    project.pipeline(f"images:\n  app: {{from: 'docker-daemon:{name}'}}\nbundles:\n  b: {{files: [b], lock: {{}}}}\n")
    project.write("b/config.yml", "image: app\n")
    assert project.doit("push_bundle").ran == ["push_image:app", "lock_bundle:b", "push_bundle:b"]
    assert project.digest("image", "app") in project.read("b/.imgpkg/images.yml")
    assert project.doit("push_bundle").ran == []
    images.tag(images.build({"hello": b"two"}), name)
    run = project.doit("push_bundle")
    assert run.ran == ["push_image:app", "lock_bundle:b", "push_bundle:b"]
    assert f"docker-daemon:{name} changed" in run.stdout
    images.remove(name)
    assert project.doit("push_bundle").ran == []


def test_a_foreign_image_is_copied_once_and_again_on_request(project: Project, vendor: Repository) -> None:
    project.pipeline(f"images:\n  app: {{from: '{vendor}:v1', tags: [stable]}}\n")
    project.doit("push_image")
    assert project.digest("image", "app") == f"layout.localhost/app@{_at(vendor).digest}"
    put_image(Stores().repository(vendor, writes=True), file_layer("a", "two"), tag="v1")
    assert project.doit("push_image").ran == []
    project.doit("push_image", "refresh=app")
    assert project.digest("image", "app") == f"layout.localhost/app@{_at(vendor).digest}"


def test_a_refused_push_of_a_build_is_one_line(built: Project, registry: Registry, proxy: Proxy) -> None:
    built.environment["REGISTRY"] = f"{proxy.host}/{registry.repository('x').path}"
    proxy.fault("POST", "/blobs/uploads/", Respond(403))
    run = built.doit("push_image", status=1)
    assert "403 Forbidden" in run.output
    assert "Traceback" not in run.output
