"""A home that verbs know nothing of is copied to and from as any other: adding one touches no verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundlepipe.errors import BundlepipeError, NotFound
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.homes import Homes
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from bundlepipe.verbs.describing.describe import describe
from bundlepipe.verbs.pull import pull
from tests.support.images import World, assert_whole, file_layer, make_world, put_bundle, put_image
from tests.support.memory_home import HomesWithMemory, Memory, location_of, place_of

HOST = "layout.localhost"


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    """Homes among which are memories."""
    return HomesWithMemory({HOST: RegistrySettings(layout=str(tmp_path / "registry"))})


@pytest.fixture
def world(homes: Homes) -> World:
    """A bundle of bundles, in directories."""
    return make_world(homes, lambda name: Repository(HOST, name))


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_bundle_of_bundles_goes_there_and_back(homes: Homes, world: World, is_closed: bool) -> None:
    memory = Memory("shelf", is_closed)
    there = copy(CopyRequest(source=world.root, destination=place_of(memory, "v1")), homes)
    assert (there.changed, there.roots[0].tag, there.roots[0].image, there.lock) == (True, "v1", None, None)
    assert there.images == len(world.manifests)
    assert_whole(memory, world)
    destination = Repository(HOST, "back")
    back = copy(CopyRequest(source=location_of(memory, "v1"), destination=destination, tags=["stable"]), homes)
    store = homes.repository(destination)
    assert_whole(store, world)
    assert {store.resolve("v1"), store.resolve("stable")} == {world.root_digest}
    assert back.lock
    assert (back.images, back.roots[0].is_bundle) == (there.images, True)
    assert not copy(CopyRequest(source=location_of(memory, "v1"), destination=destination), homes).changed


def test_what_is_there_is_not_put_again(homes: Homes, world: World) -> None:
    request = CopyRequest(source=world.root, destination=place_of(Memory("shelf"), "v1"))
    first, second = copy(request, homes), copy(request, homes)
    assert (first.uploaded, first.present) == (len(world.blobs), 0)
    assert (second.uploaded, second.changed) == (0, False)


def test_it_goes_into_a_tar_and_comes_out_of_one(homes: Homes, world: World, tmp_path: Path) -> None:
    archive, first, second = ArchiveLocation(str(tmp_path / "a.tar")), Memory("first"), Memory("second")
    copy(CopyRequest(source=world.root, destination=place_of(first, "v1")), homes)
    copy(CopyRequest(source=location_of(first, "v1"), destination=archive), homes)
    copy(CopyRequest(source=archive, destination=place_of(second)), homes)
    assert_whole(second, world)
    assert second.resolve("v1") == world.root_digest


def test_from_a_closed_home_nobody_looks_elsewhere(homes: Homes) -> None:
    elsewhere = Repository(HOST, "elsewhere")
    image = put_image(homes.repository(elsewhere, writes=True), file_layer("a", "a"))
    root = Repository(HOST, "root").tagged("v1")
    put_bundle(homes, root, [elsewhere.at(image.digest)])
    memory = Memory("shelf", is_closed=True)
    copy(CopyRequest(source=root, destination=place_of(memory)), homes)
    del memory.manifests[image.digest]
    memory.listed = tuple(arrival for arrival in memory.listed if arrival.is_root_bundle)
    request = CopyRequest(source=location_of(memory), destination=Repository(HOST, "back"))
    with pytest.raises(NotFound, match=f"memory:shelf: there is no {image.digest}"):
        copy(request, homes)
    memory.is_closed = False
    memory.tags["latest"] = memory.listed[0].manifest.digest
    assert copy(request, homes).images == 2


def test_layers_are_left_out_of_tars_alone(homes: Homes, world: World) -> None:
    lock = ArchiveLocation("earlier.tar")
    request = CopyRequest(source=world.root, destination=place_of(Memory("shelf"), "v1"), exclude=[lock])
    with pytest.raises(BundlepipeError, match="memory:shelf:v1: only a tar can leave out layers"):
        copy(request, homes)


def test_other_verbs_read_from_it(homes: Homes, world: World, tmp_path: Path) -> None:
    memory = Memory("shelf")
    copy(CopyRequest(source=world.root, destination=place_of(memory, "v1")), homes)
    described = describe(location_of(memory, "v1"), homes)
    assert described.image == f"memory:shelf@{world.root_digest}"
    assert {bundle.digest for bundle in described.bundles} == {world.bundles["middle"].digest}
    pulled = pull(location_of(memory, "v1"), str(tmp_path / "output"), homes, recursive=True)
    assert pulled.digest == world.root_digest
    assert (tmp_path / "output" / ".imgpkg" / "images.yml").is_file()
