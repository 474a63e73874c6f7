"""A home that verbs know nothing of is copied to and from as any other: adding one touches no verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundlepipe.errors import BundlepipeError, NotFound
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from bundlepipe.verbs.describing.describe import describe
from bundlepipe.verbs.pull import pull
from tests.support.images import World, assert_whole, file_layer, make_world, put_bundle, put_image
from tests.support.memory_store import HomesWithMemory, Memory, location_of, place_of

HOST = "layout.localhost"


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """Stores among which are memories."""
    return HomesWithMemory({HOST: RegistrySettings(layout=str(tmp_path / "registry"))})


@pytest.fixture
def world(stores: Stores) -> World:
    """A bundle of bundles, in directories."""
    return make_world(stores, lambda name: Repository(HOST, name))


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_bundle_of_bundles_goes_there_and_back(stores: Stores, world: World, is_closed: bool) -> None:
    memory = Memory("shelf", is_closed)
    there = copy(CopyRequest(source=world.root, destination=place_of(memory, "v1")), stores)
    assert (there.changed, there.roots[0].tag, there.roots[0].image, there.lock) == (True, "v1", None, None)
    assert there.images == len(world.manifests)
    assert_whole(memory, world)
    destination = Repository(HOST, "back")
    back = copy(CopyRequest(source=location_of(memory, "v1"), destination=destination, tags=["stable"]), stores)
    store = stores.repository(destination)
    assert_whole(store, world)
    assert {store.resolve("v1"), store.resolve("stable")} == {world.root_digest}
    assert back.lock
    assert (back.images, back.roots[0].is_bundle) == (there.images, True)
    assert not copy(CopyRequest(source=location_of(memory, "v1"), destination=destination), stores).changed


def test_what_is_there_is_not_put_again(stores: Stores, world: World) -> None:
    request = CopyRequest(source=world.root, destination=place_of(Memory("shelf"), "v1"))
    first, second = copy(request, stores), copy(request, stores)
    assert (first.uploaded, first.present) == (len(world.blobs), 0)
    assert (second.uploaded, second.changed) == (0, False)


def test_it_goes_into_a_tar_and_comes_out_of_one(stores: Stores, world: World, tmp_path: Path) -> None:
    archive, first, second = ArchiveLocation(str(tmp_path / "a.tar")), Memory("first"), Memory("second")
    copy(CopyRequest(source=world.root, destination=place_of(first, "v1")), stores)
    copy(CopyRequest(source=location_of(first, "v1"), destination=archive), stores)
    copy(CopyRequest(source=archive, destination=place_of(second)), stores)
    assert_whole(second, world)
    assert second.resolve("v1") == world.root_digest


def test_from_a_closed_home_nobody_looks_elsewhere(stores: Stores) -> None:
    elsewhere = Repository(HOST, "elsewhere")
    image = put_image(stores.repository(elsewhere, writes=True), file_layer("a", "a"))
    root = Repository(HOST, "root").tagged("v1")
    put_bundle(stores, root, [elsewhere.at(image.digest)])
    memory = Memory("shelf", is_closed=True)
    copy(CopyRequest(source=root, destination=place_of(memory)), stores)
    del memory.manifests[image.digest]
    memory.listed = tuple(image for image in memory.listed if image.is_root_bundle)
    request = CopyRequest(source=location_of(memory), destination=Repository(HOST, "back"))
    with pytest.raises(NotFound, match=f"memory:shelf: there is no {image.digest}"):
        copy(request, stores)
    memory.is_closed = False
    memory.tags["latest"] = memory.listed[0].manifest.digest
    assert copy(request, stores).images == 2


def test_layers_are_left_out_of_tars_alone(stores: Stores, world: World) -> None:
    lock = ArchiveLocation("earlier.tar")
    request = CopyRequest(source=world.root, destination=place_of(Memory("shelf"), "v1"), exclude=[lock])
    with pytest.raises(BundlepipeError, match="memory:shelf:v1: only a tar can leave out layers"):
        copy(request, stores)


def test_other_verbs_read_from_it(stores: Stores, world: World, tmp_path: Path) -> None:
    memory = Memory("shelf")
    copy(CopyRequest(source=world.root, destination=place_of(memory, "v1")), stores)
    described = describe(location_of(memory, "v1"), stores)
    assert described.image == f"memory:shelf@{world.root_digest}"
    assert {bundle.digest for bundle in described.bundles} == {world.bundles["middle"].digest}
    pulled = pull(location_of(memory, "v1"), str(tmp_path / "output"), stores, recursive=True)
    assert pulled.digest == world.root_digest
    assert (tmp_path / "output" / ".imgpkg" / "images.yml").is_file()
