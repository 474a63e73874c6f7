"""kbld's builders. Dockerfiles are built by a real Engine; the other programs are stand-ins that record their call.

Where kbld would find an image in the Engine afterwards, the stand-in has put one there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundlepipe.documents.kbld.builders import (
    BazelBuild,
    Builder,
    BuildxBuild,
    DockerBuild,
    KoBuild,
    KubectlBuildkitBuild,
    PackBuild,
)
from bundlepipe.documents.kbld.config import ImageDestination, ImageSource
from bundlepipe.documents.search.rules import ImageMatcher
from bundlepipe.errors import BundlepipeError, ProgramError
from bundlepipe.events import Event, OutputLine
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.engine.client import engine_client
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.building.kbld_sources import build_source
from tests.support.builds import image_files, write_files
from tests.support.engine import EngineImages, engine_images
from tests.support.services import Registry
from tests.support.stand_ins import Call, StandIns

MATCHER = ImageMatcher(image="app")
WHERE = "kbld.yml:5:3"


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return StandIns(tmp_path / "bin", monkeypatch)


@pytest.fixture
def images() -> Iterator[EngineImages]:
    with engine_images() as images:
        yield images


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_files(tmp_path / "src", {"build/Dockerfile": "FROM scratch AS app\nCOPY a /a\n", "a": "content"})


def source(directory: Path, builder: Builder) -> ImageSource:
    return ImageSource(MATCHER, str(directory), builder, WHERE)


def destination(repository: str = "layout.localhost/app", *tags: str) -> ImageDestination:
    return ImageDestination(MATCHER, repository, tags, "kbld.yml:9:3")


def files_at(reference: Reference, stores: Stores) -> dict[str, bytes]:
    store = stores.repository(reference.repository)
    return image_files(store, store.read_manifest(reference.identifier))


def test_a_dockerfile_is_built_once_and_tagged(
    directory: Path, stores: Stores, images: EngineImages, registry: Registry
) -> None:
    builder = DockerBuild(target="app", file="build/Dockerfile", buildkit=False, raw_options=("--no-cache",))
    repository = registry.repository()
    events: list[Event] = []
    first = build_source(source(directory, builder), destination(str(repository), "v1"), stores, emit=events.append)
    images.also(stores.repository(repository).read_manifest("v1").config.digest)
    count = len(events)

    again = build_source(source(directory, builder), destination(str(repository), "v2"), stores, emit=events.append)

    assert first == again
    assert events[count:] == []
    store = stores.repository(repository)
    assert store.resolve("v1") == store.resolve("v2") == first.digest
    assert files_at(first, stores) == {"a": b"content"}


@pytest.mark.parametrize("builder", [DockerBuild(buildkit=True), BuildxBuild()])
def test_buildkit_is_a_matter_of_buildx(directory: Path, stores: Stores, stand_ins: StandIns, builder: Builder) -> None:
    stand_ins.add("docker", "exit 1")
    write_files(directory, {"Dockerfile": "FROM scratch\n"})

    with pytest.raises(BundlepipeError, match=rf"^{WHERE}: docker buildx: no such program on PATH"):
        build_source(source(directory, builder), destination(), stores)


def test_pack_builds_into_the_engine_and_leaves_no_name(
    directory: Path, stores: Stores, stand_ins: StandIns, images: EngineImages
) -> None:
    made = images.build({"app": b"packed"})
    stand_ins.add("pack", f'echo packing; docker tag {made} "$2"')
    builder = PackBuild("acme/builder", ("a/b", "c/d"), clear_cache=True, raw_options=("--env", "X=1"))
    events: list[Event] = []

    pushed = build_source(source(directory, builder), destination(), stores, emit=events.append)

    assert files_at(pushed, stores) == {"app": b"packed"}
    (call,) = stand_ins.calls("pack")
    name = call.arguments[1]
    options = "--path . --builder acme/builder --buildpack a/b --buildpack c/d --clear-cache --env X=1"
    assert call == Call(["build", name, *options.split()], str(directory))
    assert OutputLine("packing") in events
    assert not engine_client().images(name)


def test_ko_says_what_it_loaded(directory: Path, stores: Stores, stand_ins: StandIns, images: EngineImages) -> None:
    made = images.build({"app": b"from Go"})
    stand_ins.add("ko", f"test $KO_DOCKER_REPO = ko.local && echo {made}")

    pushed = build_source(source(directory, KoBuild(("--bare",))), destination(), stores)

    assert files_at(pushed, stores) == {"app": b"from Go"}
    assert stand_ins.calls("ko") == [Call(["build", "--local", "--bare", "."], str(directory))]


def test_bazel_says_what_it_loaded(directory: Path, stores: Stores, stand_ins: StandIns, images: EngineImages) -> None:
    made = images.build({"app": b"from Bazel"})
    images.tag(made, images.also("bazel/bundlepipe-test:image"))
    stand_ins.add("bazel", "echo Tagging 1f2e3d as bazel/bundlepipe-test:image >&2")

    pushed = build_source(source(directory, BazelBuild("//app:image", ("--config=ci",))), destination(), stores)

    assert files_at(pushed, stores) == {"app": b"from Bazel"}
    assert stand_ins.calls("bazel") == [Call(["run", "--config=ci", "//app:image", "--", "--norun"], str(directory))]


@pytest.mark.parametrize(("builder", "program"), [(KoBuild(), "ko"), (BazelBuild(), "bazel")])
def test_a_builder_that_names_no_image_is_told(
    directory: Path, stores: Stores, stand_ins: StandIns, builder: Builder, program: str
) -> None:
    stand_ins.add(program)

    with pytest.raises(BundlepipeError, match=rf"^{program} .*: it named none: expected the image that it loaded"):
        build_source(source(directory, builder), destination(), stores)


def test_a_cluster_pushes_by_itself(
    directory: Path, stores: Stores, stand_ins: StandIns, images: EngineImages, registry: Registry
) -> None:
    made = images.build({"app": b"from a cluster"})
    stand_ins.add("kubectl", f'docker tag {made} "$5" && docker push "$5" && docker rmi "$5"')
    builder = KubectlBuildkitBuild("app", "linux/arm64", pull=True, no_cache=True, file="D", raw_options=("--x",))
    repository = registry.repository()

    pushed = build_source(source(directory, builder), destination(str(repository), "v1"), stores)

    assert files_at(pushed, stores) == {"app": b"from a cluster"}
    assert stores.repository(repository).resolve("v1") == pushed.digest
    (call,) = stand_ins.calls("kubectl")
    tag = call.arguments[4]
    options = "--target app --platform linux/arm64 --pull --no-cache --file D --x ."
    assert call == Call(["buildkit", "build", "--push", "--tag", tag, *options.split()], str(directory))
    assert tag.startswith(f"{repository}:kbld-")


def test_a_builder_that_fails_is_told(directory: Path, stores: Stores, stand_ins: StandIns) -> None:
    stand_ins.add("kubectl", "echo no builder; exit 4")

    with pytest.raises(
        ProgramError, match=r"^kubectl buildkit build .* failed with exit status 4: no builder$"
    ) as failure:
        build_source(source(directory, KubectlBuildkitBuild()), destination(), stores)

    assert failure.value.tail == ("no builder",)


def test_what_is_built_needs_a_destination(directory: Path, stores: Stores) -> None:
    with pytest.raises(BundlepipeError, match=rf"^{WHERE}: the image built from '.*' has no destination"):
        build_source(source(directory, KoBuild()), None, stores)


def test_a_destination_is_a_repository(directory: Path, stores: Stores) -> None:
    with pytest.raises(BundlepipeError, match=r"^kbld\.yml:9:3: .*expected a repository without tag or digest"):
        build_source(source(directory, KoBuild()), destination("registry.example/app:v1"), stores)


@pytest.mark.parametrize("builder", [PackBuild(), KoBuild(), BazelBuild(), KubectlBuildkitBuild()])
def test_a_program_that_is_missing_is_named_with_the_source(
    directory: Path, stores: Stores, monkeypatch: pytest.MonkeyPatch, builder: Builder, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BundlepipeError, match=rf"^{WHERE}: (pack|ko|bazel|kubectl): no such program on PATH"):
        build_source(source(directory, builder), destination(), stores)
