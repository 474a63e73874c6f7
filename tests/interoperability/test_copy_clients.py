"""What bundlepipe relocates, other clients pull from its new place."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import ArchiveLocation, LayoutLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Store
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from bundlepipe.verbs.pull import pull
from tests.support.images import (
    EMPTY_LAYER,
    WELL_KNOWN_EMPTY_LAYER,
    World,
    closure,
    file_layer,
    make_world,
    put_bundle,
    put_image,
    put_index,
    random_layer,
)
from tests.support.services import Registry, program, require


def _run(service: str, *arguments: object) -> str:
    command = [program(service), *map(str, arguments)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture
def stores() -> Stores:
    return Stores()


@pytest.fixture
def relocated(registry: Registry, own_registry: Registry, stores: Stores, tmp_path: Path) -> tuple[World, Repository]:
    """A world that came through a tar to another registry; where it came from is gone."""
    world = make_world(stores, own_registry.repository)
    archive = ArchiveLocation(str(tmp_path / "world.tar"))
    destination = registry.repository("relocated")
    copy(CopyRequest(source=world.root, destination=archive), stores)
    copy(CopyRequest(source=archive, destination=destination), stores)
    own_registry.stop()
    return world, destination


def test_skopeo_pulls_every_image_from_its_new_place(
    relocated: tuple[World, Repository], stores: Stores, tmp_path: Path
) -> None:
    require("skopeo")
    world, repository = relocated
    for number, (name, image) in enumerate(world.images.items()):
        # The one with a layer that nobody has cannot be copied by anyone, and skopeo knows no index of indexes.
        if name in ("windows", "all"):
            continue
        source, target = f"docker://{repository}@{image.digest}", tmp_path / f"copy{number}"
        _run("skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", source, f"oci:{target}:v1")
        store, manifest = stores.locate(LayoutLocation(str(target), "v1"))
        assert manifest.digest == image.digest
        assert closure(store, manifest.digest) == {
            digest: world.manifests[digest].raw for digest in closure(stores.repository(repository), manifest.digest)
        }


def test_skopeo_finds_the_root_by_its_tag(relocated: tuple[World, Repository]) -> None:
    require("skopeo")
    world, repository = relocated
    inspected = json.loads(_run("skopeo", "inspect", "--tls-verify=false", f"docker://{repository}:v1"))
    assert inspected["Digest"] == world.root_digest
    listed = json.loads(_run("skopeo", "list-tags", "--tls-verify=false", f"docker://{repository}"))
    assert {f"sha256-{digest.encoded}.imgpkg" for digest in world.manifests} < set(listed["Tags"])


def test_skopeo_pulls_every_image_that_a_pulled_lock_names(
    relocated: tuple[World, Repository], stores: Stores, tmp_path: Path
) -> None:
    require("skopeo")
    world, repository = relocated
    pull(repository.tagged("v1"), str(tmp_path / "out"), stores, recursive=True)
    locks = list((tmp_path / "out").rglob("images.yml"))
    images = {image.image for path in locks for image in ImagesLock.parse(path.read_bytes(), str(path)).images}
    assert images == {repository.at(_digest(image)) for name, image in world.images.items() if name != "outer"}
    for image in images:
        raw = _run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}")
        assert Digest.of(raw.encode()) == image.digest


def _digest(image: Reference) -> Digest:
    assert image.digest
    return image.digest


@pytest.fixture
def engine() -> Iterator[Any]:
    """The Docker Engine."""
    require("docker")
    import docker

    client = docker.from_env()
    yield client
    client.close()


def _pull_and_remove(engine: Any, repository: Repository, digest: Digest) -> str:
    """Pull by digest with the Docker Engine; return the image ID that it arrives at."""
    name = f"{repository}@{digest}"
    image = engine.images.pull(name)
    try:
        image_id: str = image.id
        return image_id
    finally:
        engine.images.remove(name, force=True)


def test_the_engine_pulls_every_image_from_its_new_place(relocated: tuple[World, Repository], engine: Any) -> None:
    world, repository = relocated
    # The engine fetches a foreign layer from where its vendor has it, and follows one index only.
    for name, image in world.images.items():
        if name in ("windows", "all"):
            continue
        manifest = world.manifests[_digest(image)]
        child = world.manifests[manifest.children[0].digest] if manifest.is_index else manifest
        assert _pull_and_remove(engine, repository, manifest.digest) == child.config.digest, name


def test_the_engine_runs_through_duplicate_and_empty_layers(
    registry: Registry, own_registry: Registry, stores: Stores, engine: Any
) -> None:
    source = registry.repository("odd")
    store: Store = stores.repository(source, writes=True)
    layer = file_layer("a", "a")
    images = [
        put_image(store, layer, layer, EMPTY_LAYER, random_layer(1000, 1), layer),
        put_image(store, WELL_KNOWN_EMPTY_LAYER, layer, WELL_KNOWN_EMPTY_LAYER),
        put_image(store, layer, EMPTY_LAYER, EMPTY_LAYER, oci=True),
    ]
    root = registry.repository("bundle").tagged("v1")
    put_bundle(stores, root, [source.at(image.digest) for image in images])
    destination = own_registry.repository("copy")
    copy(CopyRequest(source=root, destination=destination), stores)
    for image in images:
        assert _pull_and_remove(engine, destination, image.digest) == image.config.digest


def _skopeo_layout(directory: Path, manifest: Manifest, source: Repository) -> None:
    options = ("--all", "--preserve-digests", "--src-tls-verify=false")
    _run("skopeo", "copy", *options, f"docker://{source}@{manifest.digest}", f"oci:{directory}:v1")


def test_layouts_that_skopeo_writes_are_copied(registry: Registry, stores: Stores, tmp_path: Path) -> None:
    require("skopeo")
    source = registry.repository("multi")
    store = stores.repository(source, writes=True)
    children = [put_image(store, file_layer("name", name), oci=True) for name in ("one", "two")]
    for number, manifest in enumerate((put_index(store, children), children[0])):
        _skopeo_layout(tmp_path / f"layout{number}", manifest, source)
        destination = registry.repository("copy")
        location = LayoutLocation(str(tmp_path / f"layout{number}"), "v1")
        copied = copy(CopyRequest(source=location, destination=destination), stores)
        assert [(root.digest, root.tag) for root in copied.roots] == [(manifest.digest, "v1")]
        assert closure(stores.repository(destination), manifest.digest) == closure(store, manifest.digest)


def test_skopeo_reads_the_layouts_that_are_written(
    relocated: tuple[World, Repository], stores: Stores, registry: Registry, tmp_path: Path
) -> None:
    require("skopeo")
    world, repository = relocated
    layout = tmp_path / "layout"
    source = repository.at(_digest(world.images["index"]))
    copied = copy(CopyRequest(source=source, destination=LayoutLocation(str(layout)), tag="v1"), stores)
    destination = registry.repository("by-skopeo")
    options = ("--all", "--preserve-digests", "--dest-tls-verify=false")
    _run("skopeo", "copy", *options, f"oci:{layout}:v1", f"docker://{destination}:v1")
    assert stores.repository(destination).resolve("v1") == copied.roots[0].digest
    assert closure(stores.repository(destination), copied.roots[0].digest)


def test_tar_reads_the_archives_that_are_written(relocated: tuple[World, Repository], tmp_path: Path) -> None:
    listed = subprocess.run(["tar", "-tvf", str(tmp_path / "world.tar")], check=True, capture_output=True, text=True)
    assert listed.stderr == ""
    with tarfile.open(tmp_path / "world.tar") as archive:
        assert [line.split()[-1] for line in listed.stdout.splitlines()] == archive.getnames()
