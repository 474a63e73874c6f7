"""copy between registries and layouts: everything arrives, byte for byte, and is found there."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.image_locations import ImageLocation, ImageLocations
from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.errors import BundlepipeError, NotFound, StoreError
from bundlepipe.events import BlobAdvanced, BlobDone, CopyPlanned, Event, ImageDone
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.layout.store import LayoutStore
from bundlepipe.stores.location import ArchiveLocation, LayoutLocation, Location
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Source, Store, find_manifest
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import Copied, CopyRequest
from bundlepipe.verbs.pull import pull
from bundlepipe.verbs.shared.bundles import internal_tag, locations_tag
from bundlepipe.verbs.shared.image_locations import read_locations
from tests.support.images import (
    EMPTY_LAYER,
    OCI_EMPTY,
    WELL_KNOWN_EMPTY_LAYER,
    World,
    assert_whole,
    closure,
    fallback_tag,
    file_layer,
    make_world,
    put_bundle,
    put_bytes,
    put_document,
    put_image,
    put_index,
    put_referrer,
    random_layer,
)
from tests.support.referrers import ReferrersProxy
from tests.support.services import Registry

Destination = Repository | LayoutLocation | ArchiveLocation


def _locations(world: World, bundle: str) -> ImageLocations:
    images = ((world.images[name], name in world.bundles) for name in world.contents[bundle])
    return ImageLocations(tuple(sorted((ImageLocation(*image) for image in images), key=lambda one: str(one.image))))


def _assert_relocated(stores: Stores, repository: Repository, world: World, output: Path) -> None:
    """Raise AssertionError unless a repository has all of a world, and says so to whoever pulls."""
    store = stores.repository(repository)
    assert_whole(store, world)
    for name, bundle in world.bundles.items():
        assert read_locations(store, bundle.digest) == _locations(world, name)
    pulled = pull(repository.tagged("v1"), str(output), stores, recursive=True)
    assert len(pulled.bundles) == len(world.bundles)
    assert all(bundle.relocated and bundle.store_name == str(repository) for bundle in pulled.bundles)
    locks = [ImagesLock.parse(path.read_bytes(), str(path)) for path in output.rglob("images.yml")]
    named = [[image.image for image in lock.images] for lock in locks]
    expected = [
        [repository.at(image.digest) for name in contents if (image := world.images[name]).digest]
        for contents in world.contents.values()
    ]
    assert sorted(named, key=str) == sorted(expected, key=str)


def _internal_tags(world: World) -> set[str]:
    return {internal_tag(digest) for digest in world.manifests}


def _locations_tags(store: Source, world: World) -> set[str]:
    tags = {locations_tag(bundle.digest) for bundle in world.bundles.values()}
    return tags | {internal_tag(store.read_manifest(tag).digest) for tag in tags}


def test_the_locations_image_is_that_of_imgpkg(world: World, registry: Registry, stores: Stores) -> None:
    destination = registry.repository("copy")
    copy(CopyRequest(source=world.root, destination=destination), stores)
    store = stores.repository(destination)
    manifest = store.read_manifest(locations_tag(world.bundles["inner"].digest))
    assert manifest.media_type == DOCKER_MANIFEST
    config = json.loads(b"".join(store.read_blob(manifest.config)))
    assert (config["config"], config["history"][0]["author"]) == ({}, "imgpkg")
    (layer,) = manifest.layers
    with tarfile.open(fileobj=io.BytesIO(b"".join(store.read_blob(layer)))) as tar:
        assert tar.getnames() == [".", "image-locations.yml"]
        file = tar.extractfile("image-locations.yml")
        assert file
        text = file.read().decode()
    images = sorted(str(world.images[name]) for name in world.contents["inner"])
    listed = "".join(f"- image: {image}\n  isBundle: false\n" for image in images)
    assert text == f"---\napiVersion: imgpkg.carvel.dev/v1alpha1\nimages:\n{listed}kind: ImageLocations\n"


def _uploads(copied: Copied) -> tuple[int, int, int]:
    return copied.uploaded, copied.mounted, copied.present


def test_a_world_is_mounted_within_a_registry(world: World, registry: Registry, stores: Stores, tmp_path: Path) -> None:
    destination = registry.repository("copy")
    copied = copy(CopyRequest(source=world.root, destination=destination), stores)
    assert _uploads(copied) == (0, len(world.blobs), 0)
    assert copied.size == 0
    assert copied.images == len(world.manifests)
    _assert_relocated(stores, destination, world, tmp_path / "out")


def test_a_world_is_sent_to_another_registry(
    world: World, own_registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    destination = own_registry.repository("copy")
    copied = copy(CopyRequest(source=world.root, destination=destination), stores)
    assert _uploads(copied) == (len(world.blobs), 0, 0)
    assert copied.images == len(world.manifests)
    blobs = {
        blob.digest: blob.size
        for manifest in world.manifests.values()
        if not manifest.is_index
        for blob in (manifest.config, *manifest.layers)
    }
    assert copied.size == sum(blobs[digest] for digest in world.blobs)
    _assert_relocated(stores, destination, world, tmp_path / "out")


def test_images_come_to_their_bundle_in_its_own_repository(registry: Registry, stores: Stores, tmp_path: Path) -> None:
    world = make_world(stores, registry.repository)
    copy(CopyRequest(source=world.root, destination=world.root.repository), stores)
    _assert_relocated(stores, world.root.repository, world, tmp_path / "out")


def _by_way(name: str, registry: Registry, tmp_path: Path) -> tuple[Destination, Location]:
    """Return a place to copy to, and how to copy on from there."""
    local = Repository("layout.localhost", "way")
    remote = registry.repository("way")
    directory, archive = str(tmp_path / "layout"), ArchiveLocation(str(tmp_path / "way.tar"))
    places: dict[str, tuple[Destination, Location]] = {
        "registry": (remote, remote.tagged("v1")),
        "tar": (archive, archive),
        "layout": (LayoutLocation(directory), LayoutLocation(directory, "v1")),
        "layout host": (local, local.tagged("v1")),
    }
    return places[name]


WAYS = ("registry", "tar", "layout", "layout host")


@pytest.mark.parametrize("way", WAYS)
def test_a_relocated_world_goes_on_without_its_origins(
    way: str, registry: Registry, own_registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    world = make_world(stores, own_registry.repository)
    there, again = _by_way(way, registry, tmp_path)
    first = copy(CopyRequest(source=world.root, destination=there), stores)
    own_registry.stop()
    destination = registry.repository("copy")
    second = copy(CopyRequest(source=again, destination=destination), stores)
    assert first.images == second.images == len(world.manifests)
    assert [root.tag for root in second.roots] == ["v1"]
    _assert_relocated(stores, destination, world, tmp_path / "out")
    tags = set(stores.repository(destination).list_tags())
    store = stores.repository(destination)
    assert tags == {"v1"} | _internal_tags(world) | _locations_tags(store, world)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("last", ["tar", "layout", "layout host"])
def test_a_relocated_world_goes_into_any_local_home(
    way: str, last: str, registry: Registry, own_registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    world = make_world(stores, own_registry.repository)
    there, again = _by_way(way, registry, tmp_path)
    copy(CopyRequest(source=world.root, destination=there), stores)
    own_registry.stop()
    (tmp_path / "last").mkdir()
    end: dict[str, tuple[Destination, Location]] = {
        "tar": (last_tar := ArchiveLocation(str(tmp_path / "last/end.tar")), last_tar),
        "layout": (LayoutLocation(str(tmp_path / "last/layout")), LayoutLocation(str(tmp_path / "last/layout"), "v1")),
        "layout host": (last_local := Repository("layout.localhost", "end"), last_local.tagged("v1")),
    }
    destination, location = end[last]
    copied = copy(CopyRequest(source=again, destination=destination), stores)
    assert copied.images == len(world.manifests)
    store, root = stores.locate(location)
    assert root.digest == world.root_digest
    assert_whole(store, world)


def test_a_layout_host_relocates_as_a_registry_does(world: World, stores: Stores, tmp_path: Path) -> None:
    destination = Repository("layout.localhost", "copy")
    copied = copy(CopyRequest(source=world.root, destination=destination), stores)
    assert copied.lock == BundleLock(destination.at(world.root_digest), "v1")
    _assert_relocated(stores, destination, world, tmp_path / "out")


def test_what_is_there_is_not_sent_again(world: World, own_registry: Registry, stores: Stores) -> None:
    request = CopyRequest(source=world.root, destination=own_registry.repository("copy"))
    first, second = copy(request, stores), copy(request, stores)
    assert (second.uploaded, second.mounted, second.size) == (0, 0, 0)
    assert second.present
    assert second.lock == first.lock
    assert second.images == first.images


def test_what_is_missing_at_the_destination_is_put_there(world: World, registry: Registry, stores: Stores) -> None:
    destination = registry.repository("copy")
    own = stores.repository(destination, writes=True)
    # The bundle alone, with its internal tag, as a push of it would have left it.
    bundle = put_bundle(stores, destination.tagged("v0"), [world.images[name] for name in world.contents["outer"]])
    copy(CopyRequest(source=world.images["index"], destination=destination), stores)
    copy(CopyRequest(source=world.root, destination=destination), stores)
    assert_whole(own, world)
    assert own.has_manifest(bundle.digest)


def test_a_tag_that_named_something_else_moves(world: World, registry: Registry, stores: Stores) -> None:
    destination = registry.repository("copy")
    copy(CopyRequest(source=world.images["app"], destination=destination, tag="v1"), stores)
    copy(CopyRequest(source=world.root, destination=destination), stores)
    copied = copy(CopyRequest(source=world.images["app"], destination=destination, tag="v1"), stores)
    assert stores.repository(destination).resolve("v1") == copied.roots[0].digest == world.images["app"].digest
    copy(CopyRequest(source=world.root, destination=destination), stores)
    assert stores.repository(destination).resolve("v1") == world.root_digest


def _root_tags(stores: Stores, repository: Repository) -> set[str]:
    return {tag for tag in stores.repository(repository).list_tags() if not tag.endswith(".imgpkg")}


def test_the_root_keeps_the_tag_that_was_asked_for(registry: Registry, stores: Stores) -> None:
    world = make_world(stores, registry.repository)
    repository = world.root.repository
    stores.repository(repository, writes=True).put_manifest(world.bundles["outer"], "latest")
    expected: dict[Reference, set[str]] = {
        world.root: {"v1"},
        Reference(repository): {"latest"},
        repository.at(world.root_digest): set(),
        Reference(repository, "v1", world.root_digest): {"v1"},
    }
    for source, tags in expected.items():
        destination = registry.repository("copy")
        copied = copy(CopyRequest(source=source, destination=destination), stores)
        assert _root_tags(stores, destination) == tags
        assert [{root.tag} - {None} for root in copied.roots] == [tags]
        assert [root.image for root in copied.roots] == [destination.at(world.root_digest)]
        assert copied.lock == BundleLock(destination.at(world.root_digest), next(iter(tags), None))


def test_the_root_gets_the_tags_that_are_given(world: World, registry: Registry, stores: Stores) -> None:
    destination = registry.repository("copy")
    request = CopyRequest(source=world.root, destination=destination, tag="2.0", tags=["2", "stable"])
    copied = copy(request, stores)
    assert _root_tags(stores, destination) == {"2.0", "2", "stable"}
    assert {stores.repository(destination).resolve(tag) for tag in request.tags} == {world.root_digest}
    assert copied.lock == BundleLock(destination.at(world.root_digest), "2.0")


def test_tags_that_are_given_pass_through_a_tar(
    world: World, registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    archive, destination = ArchiveLocation(str(tmp_path / "bundle.tar")), registry.repository("copy")
    copy(CopyRequest(source=world.root, destination=archive, tag="2.0", tags=["2"]), stores)
    copied = copy(CopyRequest(source=archive, destination=destination), stores)
    assert _root_tags(stores, destination) == {"2.0", "2"}
    assert copied.lock == BundleLock(destination.at(world.root_digest), "2.0")


def test_the_tag_of_a_layout_location_is_the_roots(world: World, stores: Stores, tmp_path: Path) -> None:
    directory = str(tmp_path / "layout")
    copied = copy(CopyRequest(source=world.root, destination=LayoutLocation(directory, "kept")), stores)
    _, manifest = stores.locate(LayoutLocation(directory, "kept"))
    assert manifest.digest == world.root_digest
    assert copied.lock is None
    assert [(root.tag, root.image) for root in copied.roots] == [("kept", None)]


def test_a_layout_without_tag_is_the_image_that_has_one(world: World, stores: Stores, tmp_path: Path) -> None:
    layout, destination = LayoutLocation(str(tmp_path / "layout")), Repository("layout.localhost", "copy")
    copy(CopyRequest(source=world.root, destination=layout, cosign=True, referrers=True), stores)
    copied = copy(CopyRequest(source=layout, destination=destination), stores)
    assert [(root.digest, root.tag) for root in copied.roots] == [(world.root_digest, world.root.tag)]
    assert stores.repository(destination).resolve(str(world.root.tag)) == world.root_digest


def test_internal_tags_may_name_the_origin(world: World, registry: Registry, stores: Stores) -> None:
    destination = registry.repository("copy")
    copy(CopyRequest(source=world.root, destination=destination, repo_based_tags=True), stores)
    tags = set(stores.repository(destination).list_tags())
    for image in world.images.values():
        assert image.digest
        assert f"{image.repository.path.replace('/', '-')}-{internal_tag(image.digest)}" in tags
    assert not tags & _internal_tags(world)
    again = copy(CopyRequest(source=world.root, destination=destination, repo_based_tags=True), stores)
    assert again.mounted == again.uploaded == 0


def test_a_long_origin_is_cut_for_its_tag(registry: Registry, stores: Stores) -> None:
    source = Repository(registry.host, f"{'a' * 30}/b__c/{'d' * 43}")
    image = put_image(stores.repository(source, writes=True), file_layer("a", "a"))
    destination = registry.repository("copy")
    request = CopyRequest(source=source.at(image.digest), destination=destination, repo_based_tags=True)
    copy(request, stores)
    # The last 49 characters begin with a dash, which no tag may.
    origin = f"b__c-{'d' * 43}"
    assert list(stores.repository(destination).list_tags()) == [f"{origin}-{internal_tag(image.digest)}"]


def test_plain_images_and_indexes_are_copied_by_themselves(world: World, registry: Registry, stores: Stores) -> None:
    for name in ("app", "all", "windows"):
        destination = registry.repository(name)
        copied = copy(CopyRequest(source=world.images[name], destination=destination, tag="v1"), stores)
        digest = copied.roots[0].digest
        found = closure(stores.repository(destination), digest, world.left_out)
        assert {key: world.manifests[key].raw for key in found} == found
        tags = {internal_tag(key) for key in found}
        assert set(stores.repository(destination).list_tags()) == {"v1"} | tags
        assert not copied.roots[0].is_bundle
        assert copied.lock == ImagesLock((ImageRef(destination.at(digest), {KBLD_ID: str(world.images[name])}),))
        assert copied.images == len(found)


@pytest.mark.parametrize("through_a_tar", [False, True])
def test_the_images_of_a_lock_are_copied(
    through_a_tar: bool, world: World, registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    names = ["odd", "app", "index"]
    lock = ImagesLock(tuple(ImageRef(world.images[name], {"note": name}) for name in names))
    destination = registry.repository("copy")
    source: ImagesLock | ArchiveLocation = lock
    if through_a_tar:
        source = ArchiveLocation(str(tmp_path / "images.tar"))
        assert copy(CopyRequest(source=lock, destination=source), stores).lock is None
    copied = copy(CopyRequest(source=source, destination=destination), stores)
    assert isinstance(copied.lock, ImagesLock)
    assert {image.image for image in copied.lock.images} == {destination.at(_digest(lock, name)) for name in names}
    if not through_a_tar:
        notes = [(image.image.digest, image.annotations["note"]) for image in copied.lock.images]
        assert notes == [(world.images[name].digest, name) for name in names]
    for name in names:
        assert closure(stores.repository(destination), _digest(lock, name))
    assert _root_tags(stores, destination) == set()


def _digest(lock: ImagesLock, name: str) -> Digest:
    digest = next(image.image.digest for image in lock.images if image.annotations["note"] == name)
    assert digest
    return digest


def test_a_bundle_lock_is_a_source_with_its_tag(world: World, registry: Registry, stores: Stores) -> None:
    destination = registry.repository("copy")
    source = BundleLock(world.root.repository.at(world.root_digest), "v1")
    copied = copy(CopyRequest(source=source, destination=destination), stores)
    assert copied.lock == BundleLock(destination.at(world.root_digest), "v1")
    assert_whole(stores.repository(destination), world)


def test_an_images_lock_that_names_a_bundle_is_refused(world: World, registry: Registry, stores: Stores) -> None:
    lock = ImagesLock((ImageRef(world.images["app"]), ImageRef(world.images["inner"])))
    destination = registry.repository("copy")
    with pytest.raises(BundlepipeError, match="Unable to copy bundles using an Images Lock file"):
        copy(CopyRequest(source=lock, destination=destination), stores)
    with pytest.raises(NotFound):
        list(stores.repository(destination).list_tags())


def test_layers_that_may_not_be_distributed_are_left_out_and_told(
    world: World, own_registry: Registry, stores: Stores
) -> None:
    destination = own_registry.repository("copy")
    copied = copy(CopyRequest(source=world.root, destination=destination), stores)
    windows = world.images["windows"]
    assert windows.digest
    assert dict(copied.skipped) == {str(windows): world.foreign[windows.digest]}
    layer = stores.repository(destination).read_manifest(windows.digest).layers[0]
    assert not stores.repository(destination).has_blob(layer)


@pytest.mark.parametrize("oci", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_layers_that_may_not_be_distributed_are_taken_along_on_request(
    oci: bool, way: str, own_registry: Registry, registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    source = own_registry.repository("windows")
    foreign = file_layer("kernel32.dll", "not ours").as_foreign()
    image = put_image(stores.repository(source, writes=True), foreign, file_layer("a", "a"), oci=oci)
    bundle = put_bundle(stores, own_registry.repository("bundle").tagged("v1"), [source.at(image.digest)])
    there, again = _by_way(way, registry, tmp_path)
    origin = Reference(Repository(own_registry.host, "test2/bundle"), "v1")
    for _ in range(2):
        # The second time, the image is there, but not with all its layers.
        request = CopyRequest(source=origin, destination=there)
        skipped = copy(request, stores).skipped
        assert [(name.rpartition("@")[2], layers) for name, layers in skipped.items()] == [
            (image.digest, (foreign.digest,))
        ]
    request = CopyRequest(source=origin, destination=there, include_non_distributable=True)
    assert copy(request, stores).skipped == {}
    own_registry.stop()
    destination = registry.repository("copy")
    copied = copy(CopyRequest(source=again, destination=destination, include_non_distributable=True), stores)
    assert copied.skipped == {}
    store = stores.repository(destination)
    assert closure(store, image.digest) and closure(store, bundle.digest)


def test_a_layer_that_nobody_has_is_an_error_when_it_is_asked_for(
    world: World, registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    destination, archive = registry.repository("copy"), tmp_path / "bundle.tar"
    for place in (destination, ArchiveLocation(str(archive))):
        request = CopyRequest(source=world.root, destination=place, include_non_distributable=True)
        with pytest.raises(StoreError, match=next(iter(world.left_out))):
            copy(request, stores)
    assert find_manifest(stores.repository(destination), "v1") is None
    assert not archive.exists()


def test_artifacts_stay_behind_unless_asked_for(world: World, registry: Registry, stores: Stores) -> None:
    destination = registry.repository("copy")
    copy(CopyRequest(source=world.root, destination=destination), stores)
    store = stores.repository(destination)
    assert not set(store.list_tags()) & {*world.cosign, *map(fallback_tag, world.referrers)}
    assert not any(store.has_manifest(artifact.digest) for artifact in world.artifacts)


def _assert_artifacts(store: Source, world: World, *, cosign: bool = True, referrers: bool = True) -> None:
    found = {tag: find_manifest(store, tag) for tag in world.cosign}
    assert {tag: one.raw for tag, one in found.items() if one} == (
        {tag: artifact.raw for tag, artifact in world.cosign.items()} if cosign else {}
    )
    for subject, expected in world.referrers.items():
        index = store.read_referrers(subject)
        listed = {child.digest for child in index.children} if index else set()
        assert listed == ({referrer.digest for referrer in expected} if referrers else set())
    artifacts = [*(world.cosign.values() if cosign else ())]
    artifacts += chain.from_iterable(world.referrers.values()) if referrers else ()
    for artifact in artifacts:
        assert closure(store, artifact.digest) == {artifact.digest: artifact.raw}


@pytest.mark.parametrize("way", WAYS)
def test_artifacts_are_taken_along_again_and_again(
    way: str, registry: Registry, own_registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    world = make_world(stores, own_registry.repository)
    there, again = _by_way(way, registry, tmp_path)
    copy(CopyRequest(source=world.root, destination=there, cosign=True, referrers=True), stores)
    _assert_artifacts(stores.locate(again)[0], world)
    own_registry.stop()
    destination = registry.repository("copy")
    copy(CopyRequest(source=again, destination=destination, cosign=True, referrers=True), stores)
    store = stores.repository(destination)
    _assert_artifacts(store, world)
    assert_whole(store, world)
    kept = {internal_tag(artifact.digest) for artifact in world.artifacts}
    assert kept <= set(store.list_tags())


@pytest.mark.parametrize("kind", ["cosign", "referrers"])
def test_either_kind_of_artifacts_is_taken_along_by_itself(
    kind: str, world: World, own_registry: Registry, stores: Stores
) -> None:
    destination = own_registry.repository("copy")
    wanted = {"cosign": kind == "cosign", "referrers": kind == "referrers"}
    copy(CopyRequest(source=world.root, destination=destination, **wanted), stores)  # type: ignore[arg-type]
    _assert_artifacts(stores.repository(destination), world, **wanted)


def test_artifacts_follow_a_world_that_is_there_already(world: World, own_registry: Registry, stores: Stores) -> None:
    destination = own_registry.repository("copy")
    copy(CopyRequest(source=world.root, destination=destination), stores)
    copy(CopyRequest(source=world.root, destination=destination, cosign=True, referrers=True), stores)
    _assert_artifacts(stores.repository(destination), world)


def test_referrers_that_are_there_already_stay(world: World, own_registry: Registry, stores: Stores) -> None:
    destination = own_registry.repository("copy")
    copy(CopyRequest(source=world.root, destination=destination), stores)
    app = world.images["app"].digest
    assert app
    store = stores.repository(destination, writes=True)
    own = put_referrer(store, world.manifests[app], "application/vnd.example.own")
    copy(CopyRequest(source=world.root, destination=destination, referrers=True), stores)
    referrers = {**world.referrers, app: [*world.referrers[app], own]}
    _assert_artifacts(store, replace(world, referrers=referrers), cosign=False)


@pytest.mark.parametrize("at", ["source", "destination"])
def test_referrers_come_and_go_by_the_api_of_a_registry(
    at: str, registry: Registry, own_registry: Registry, stores: Stores
) -> None:
    server = ReferrersProxy(own_registry)
    try:
        origin = server.host if at == "source" else registry.host
        world = make_world(stores, lambda name: Repository(origin, registry.repository(name).path))
        if at == "source":
            for subject in world.referrers:
                _forget_tag(own_registry, fallback_tag(subject))
        path = own_registry.repository("copy").path
        destination = Repository(server.host if at == "destination" else registry.host, path)
        copy(CopyRequest(source=world.root, destination=destination, referrers=True), stores)
        _assert_artifacts(stores.repository(destination), world, cosign=False)
        assert server.count("GET", "/referrers/")
    finally:
        server.close()


def _forget_tag(registry: Registry, tag: str) -> None:
    """Remove a tag from all repositories of a registry."""
    tags = list((registry.directory / "content/docker/registry/v2/repositories").rglob(f"_manifests/tags/{tag}"))
    assert tags
    for path in tags:
        shutil.rmtree(path)


def test_an_image_that_nobody_has_is_an_error_before_anything_is_written(
    world: World, registry: Registry, own_registry: Registry, stores: Stores
) -> None:
    missing = registry.repository("missing").at(Digest.of(b"missing"))
    root = registry.repository("bundle").tagged("v1")
    put_bundle(stores, root, [world.images["app"], missing])
    destination = own_registry.repository("copy")
    with pytest.raises(NotFound, match=str(missing)):
        copy(CopyRequest(source=root, destination=destination), stores)
    with pytest.raises(NotFound):
        list(stores.repository(destination).list_tags())


def test_exclusions_are_for_tars_only(world: World, registry: Registry, stores: Stores, tmp_path: Path) -> None:
    archive = ArchiveLocation(str(tmp_path / "bundle.tar"))
    copy(CopyRequest(source=world.root, destination=archive), stores)
    with pytest.raises(BundlepipeError, match="only a tar"):
        copy(CopyRequest(source=world.root, destination=registry.repository("copy"), exclude=[archive]), stores)


def test_duplicate_and_empty_layers_arrive(own_registry: Registry, stores: Stores, registry: Registry) -> None:
    source = registry.repository("odd")
    store = stores.repository(source, writes=True)
    layer = file_layer("a", "a")
    images = [
        put_image(store, layer, layer, EMPTY_LAYER, layer),
        put_image(store, EMPTY_LAYER, EMPTY_LAYER, oci=True),
        put_image(store, WELL_KNOWN_EMPTY_LAYER),
        put_image(store),
    ]
    root = registry.repository("bundle").tagged("v1")
    bundle = put_bundle(stores, root, [source.at(image.digest) for image in (*images, images[0])])
    destination = own_registry.repository("copy")
    copied = copy(CopyRequest(source=root, destination=destination), stores)
    assert copied.images == 5
    for manifest in (*images, bundle):
        assert closure(stores.repository(destination), manifest.digest) == {manifest.digest: manifest.raw}


def test_an_index_with_a_missing_child_is_an_error(registry: Registry, own_registry: Registry, stores: Stores) -> None:
    layout = Repository("layout.localhost", "sparse")
    store = stores.repository(layout, writes=True)
    children = [put_image(store, file_layer("a", name), platform={"os": "linux"}) for name in ("one", "two")]
    index = put_index(store, children, tag="v1")
    assert isinstance(store, LayoutStore)
    (Path(store.directory) / "blobs/sha256" / children[1].digest.encoded).unlink()
    destination = own_registry.repository("copy")
    with pytest.raises(NotFound, match=children[1].digest):
        copy(CopyRequest(source=layout.at(index.digest), destination=destination, tag="v1"), stores)
    assert find_manifest(stores.repository(destination), "v1") is None


@pytest.mark.parametrize("way", WAYS)
def test_events_tell_of_every_blob_and_image_once(
    way: str, world: World, own_registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    there, _ = _by_way(way, own_registry, tmp_path)
    events: list[Event] = []
    copied = copy(CopyRequest(source=world.root, destination=there), stores, emit=events.append)
    planned = [event for event in events if isinstance(event, CopyPlanned)]
    done = Counter(event.digest for event in events if isinstance(event, BlobDone))
    images = Counter(event.image.rpartition("@")[2] for event in events if isinstance(event, ImageDone))
    advanced = sum(event.count for event in events if isinstance(event, BlobAdvanced))
    assert [(plan.images, plan.blobs) for plan in planned] == [(len(world.manifests), len(done))]
    assert images == dict.fromkeys(world.manifests, 1)
    assert set(done.values()) == {1}
    if way != "tar":
        assert set(done) == world.blobs
    assert advanced == copied.size == planned[0].size


def _put_unusual_images(store: Store) -> list[Manifest]:
    """Put what is no image of layers of files, or has something odd about it."""
    helm = put_bytes(store, b'{"name":"chart","version":"1.0.0"}', "application/vnd.cncf.helm.config.v1+json")
    chart = put_bytes(store, b"a chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    nothing = put_bytes(store, b"{}", OCI_EMPTY)
    empty_file = put_bytes(store, b"", "application/octet-stream")
    escaped = '{"rootfs":{"type":"layers","diff_ids":[]},"config":{"Labels":{"a":"<&> \u2028 \\u003c é 😀"}}}'
    config = put_bytes(store, escaped.encode(), OCI_CONFIG)
    return [
        put_document(store, OCI_MANIFEST, {"config": helm.to_json(), "layers": [chart.to_json()]}),
        put_document(store, OCI_MANIFEST, {"config": nothing.to_json(), "layers": [nothing.to_json()]}),
        put_document(store, OCI_MANIFEST, {"config": nothing.to_json(), "layers": [empty_file.to_json()]}),
        put_document(
            store,
            OCI_MANIFEST,
            {"config": config.to_json(), "layers": [], "annotations": {"a": "<&> \u2028 é 😀", "b": '\t\n"\\'}},
        ),
        put_index(store, []),
    ]


def _put_index_of_shared_members(store: Store) -> list[Manifest]:
    """Put an index that lists a member twice, that member by itself, and an index of both."""
    member = put_image(store, file_layer("a", "a"), oci=True)
    attestation = put_image(
        store, file_layer("b", "b"), oci=True, platform={"os": "unknown", "architecture": "unknown"}
    )
    index = put_index(store, [member, attestation, member])
    return [member, index, put_index(store, [index, member])]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [_put_unusual_images, _put_index_of_shared_members])
def test_what_is_unusual_arrives_too(
    kind: Callable[[Store], list[Manifest]],
    way: str,
    registry: Registry,
    own_registry: Registry,
    stores: Stores,
    tmp_path: Path,
) -> None:
    source = own_registry.repository("unusual")
    manifests = kind(stores.repository(source, writes=True))
    root = own_registry.repository("bundle").tagged("v1")
    put_bundle(stores, root, [source.at(manifest.digest) for manifest in manifests])
    expected = [closure(stores.repository(source), manifest.digest) for manifest in manifests]
    there, again = _by_way(way, registry, tmp_path)
    first = copy(CopyRequest(source=root, destination=there), stores)
    own_registry.stop()
    destination = registry.repository("copy")
    second = copy(CopyRequest(source=again, destination=destination), stores)
    assert first.images == second.images
    store = stores.repository(destination)
    assert [closure(store, manifest.digest) for manifest in manifests] == expected


def test_a_configuration_that_is_no_text_goes_anywhere_but_into_a_tar(
    registry: Registry, own_registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    source = registry.repository("binary")
    store = stores.repository(source, writes=True)
    config = put_bytes(store, b"\xff\xfe\x00", "application/vnd.example.binary")
    manifest = put_document(store, OCI_MANIFEST, {"config": config.to_json(), "layers": []}, "v1")
    destination = own_registry.repository("copy")
    copy(CopyRequest(source=source.tagged("v1"), destination=destination), stores)
    assert closure(stores.repository(destination), manifest.digest)
    archive = tmp_path / "binary.tar"
    with pytest.raises(BundlepipeError, match=config.digest):
        copy(CopyRequest(source=source.tagged("v1"), destination=ArchiveLocation(str(archive))), stores)
    assert not list(tmp_path.glob("*.tar*")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_host_with_few_places_gets_everything(
    concurrency: int, world: World, own_registry: Registry, registry: Registry
) -> None:
    settings = RegistrySettings(concurrency=concurrency)
    stores = Stores({own_registry.host: settings, registry.host: settings})
    destination = own_registry.repository("copy")
    copy(CopyRequest(source=world.root, destination=destination), stores)
    assert_whole(stores.repository(destination), world)


def test_a_large_layer_arrives(registry: Registry, own_registry: Registry, stores: Stores) -> None:
    source = registry.repository("large")
    layer = random_layer(20 << 20, 7)
    image = put_image(stores.repository(source, writes=True), layer, tag="v1")
    destination = own_registry.repository("copy")
    copied = copy(CopyRequest(source=source.tagged("v1"), destination=destination), stores)
    assert copied.size == len(layer.data) + image.config.size
    blob: Descriptor = image.layers[0]
    assert b"".join(stores.repository(destination).read_blob(blob)) == layer.data
