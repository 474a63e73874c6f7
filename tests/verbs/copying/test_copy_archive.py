"""copy to and from tars: imgpkg's form to the byte, resumed, continued by deltas, and flat in memory."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
from bundlepipe.errors import BundlepipeError, NotFound, StoreError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Descriptor, Manifest, docker_manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import ArchiveLocation, LayoutLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import find_manifest
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from tests.support.images import (
    World,
    assert_whole,
    closure,
    file_layer,
    layers_of,
    make_world,
    put_bundle,
    put_image,
    put_images,
    random_layer,
)
from tests.support.loopback import LoopbackServer
from tests.support.proxy import Delay, Proxy, Respond
from tests.support.services import Registry

ROOT_LABEL = "dev.carvel.imgpkg.copy.root-bundle"
IMAGE_KEYS = ["Refs", "Layers", "Config", "Manifest", "Tag", "OrigRef", "Labels"]
INDEX_KEYS = ["Refs", "Images", "Indexes", "MediaType", "Digest", "Raw", "Tag", "OrigRef", "Labels"]


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveLocation:
    return ArchiveLocation(str(tmp_path / "bundle.tar"))


def _members(path: str) -> list[tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return tar.getmembers()


def _read(path: str, name: str) -> bytes:
    with tarfile.open(path) as tar:
        file = tar.extractfile(name)
        assert file
        return file.read()


def _manifest_json(path: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(_read(path, "manifest.json"))
    return entries


def _layer_names(path: str) -> set[str]:
    return {member.name for member in _members(path)} - {"manifest.json"}


def _names(digests: set[Digest]) -> set[str]:
    return {f"{digest.replace(':', '-')}.tar.gz" for digest in digests}


def test_the_entries_are_those_of_imgpkg(world: World, stores: Stores, archive: ArchiveLocation) -> None:
    copy(CopyRequest(source=world.root, destination=archive), stores)
    members = _members(archive.path)
    layers = layers_of(world.manifests.values()) - world.left_out
    assert [member.name for member in members] == ["manifest.json", *sorted(_names(layers))]
    for member in members:
        assert (member.mode, member.uid, member.gid, member.mtime) == (0o644, 0, 0, 0)
        assert (member.uname, member.gname, member.type, member.pax_headers) == ("", "", tarfile.REGTYPE, {})
    for digest in layers:
        assert Digest.of(_read(archive.path, f"{digest.replace(':', '-')}.tar.gz")) == digest
    assert Path(archive.path).stat().st_size % 512 == 0


def _check_raw(part: dict[str, Any]) -> None:
    assert Digest.of(part["Raw"].encode()) == part["Digest"]


def _check_image(image: dict[str, Any], manifest: Manifest) -> None:
    assert list(image) == IMAGE_KEYS
    _check_raw(image["Config"])
    _check_raw(image["Manifest"])
    assert image["Manifest"]["Raw"].encode() == manifest.raw
    assert list(image["Manifest"]) == ["MediaType", "Digest", "Raw"]
    assert list(image["Config"]) == ["Digest", "Raw"]
    assert image["Manifest"]["MediaType"] == manifest.media_type
    diff_ids = json.loads(image["Config"]["Raw"])["rootfs"]["diff_ids"]
    expected = [
        {"MediaType": layer.media_type, "Digest": layer.digest, "DiffID": diff_id, "Size": layer.size}
        for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)
    ]
    assert image["Layers"] == expected
    assert all(list(layer) == ["MediaType", "Digest", "DiffID", "Size"] for layer in image["Layers"])


def _check_index(index: dict[str, Any], manifests: dict[Digest, Manifest]) -> None:
    assert list(index) == INDEX_KEYS
    _check_raw(index)
    manifest = manifests[index["Digest"]]
    assert index["MediaType"] == manifest.media_type
    # A list without members is null, as Go writes it.
    images, indexes = index["Images"] or [], index["Indexes"] or []
    assert [] not in (index["Images"], index["Indexes"])
    children = {image["Manifest"]["Digest"] for image in images} | {child["Digest"] for child in indexes}
    assert children == {child.digest for child in manifest.children}
    for image in images:
        _check_image(image, manifests[image["Manifest"]["Digest"]])
    for child in indexes:
        _check_index(child, manifests)


def test_manifest_json_is_that_of_imgpkg(world: World, stores: Stores, archive: ArchiveLocation) -> None:
    copy(CopyRequest(source=world.root, destination=archive), stores)
    entries = _manifest_json(archive.path)
    digests = []
    for entry in entries:
        assert list(entry) == ["ImageIndex", "Image"]
        listed = entry["Image"] or entry["ImageIndex"]
        digests.append(listed["Digest"] if entry["ImageIndex"] else listed["Manifest"]["Digest"])
        if entry["ImageIndex"]:
            assert entry["Image"] is None
            _check_index(entry["ImageIndex"], world.manifests)
        else:
            assert entry["ImageIndex"] is None
            _check_image(entry["Image"], world.manifests[digests[-1]])
        is_root = digests[-1] == world.root_digest
        assert listed["Tag"] == ("v1" if is_root else "")
        assert listed["Labels"] == ({ROOT_LABEL: ""} if is_root else None)
    assert digests == sorted(digests)
    references = {str(image.digest): str(image) for image in world.images.values()}
    assert digests == sorted(references)
    listed_images = [entry["Image"] or entry["ImageIndex"] for entry in entries]
    assert [image["Refs"] for image in listed_images] == [[references[digest]] for digest in digests]
    named = [image["OrigRef"] for image, digest in zip(listed_images, digests, strict=True)]
    assert named == [references[digest] for digest in digests]


def test_a_relocated_world_remembers_its_origins(
    world: World, stores: Stores, own_registry: Registry, archive: ArchiveLocation
) -> None:
    destination = own_registry.repository("copy")
    copy(CopyRequest(source=world.root, destination=destination), stores)
    copy(CopyRequest(source=destination.tagged("v1"), destination=archive), stores)
    images = [entry["Image"] or entry["ImageIndex"] for entry in _manifest_json(archive.path)]
    assert {reference for image in images for reference in image["Refs"]} == {
        str(destination.at(image.digest)) for image in world.images.values() if image.digest
    }
    nested = {str(image) for name, image in world.images.items() if name != "outer"}
    assert {image["OrigRef"] for image in images if image["Labels"] is None} == nested


def test_the_same_content_gives_the_same_tar(world: World, stores: Stores, registry: Registry, tmp_path: Path) -> None:
    one_at_a_time = Stores({registry.host: RegistrySettings(concurrency=1)})
    written = []
    for number, each in enumerate((stores, one_at_a_time, Stores())):
        path = tmp_path / f"{number}.tar"
        copy(CopyRequest(source=world.root, destination=ArchiveLocation(str(path))), each)
        written.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(set(written)) == 1
    assert sorted(path.name for path in tmp_path.glob("*")) == ["0.tar", "1.tar", "2.tar"]


def test_a_tar_comes_out_of_a_tar_as_it_went_in(world: World, stores: Stores, tmp_path: Path) -> None:
    first, second = ArchiveLocation(str(tmp_path / "1.tar")), ArchiveLocation(str(tmp_path / "2.tar"))
    copy(CopyRequest(source=world.root, destination=first, cosign=True, referrers=True), stores)
    copy(CopyRequest(source=first, destination=second, cosign=True, referrers=True), stores)
    assert Path(first.path).read_bytes() == Path(second.path).read_bytes()


def _rewritten(path: str, output: Path, change: Callable[[list[dict[str, Any]]], Any]) -> ArchiveLocation:
    """Write the archive once more, by other means and with another manifest.json."""
    content = json.dumps(change(_manifest_json(path))).encode()
    with tarfile.open(output, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("manifest.json", *sorted(_layer_names(path))):
            data = content if name == "manifest.json" else _read(path, name)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return ArchiveLocation(str(output))


def _as_old_imgpkg(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop what early releases did not write."""
    for entry in entries:
        image = entry["Image"] or entry["ImageIndex"]
        for key in ("Tag", "OrigRef", "Labels"):
            del image[key]
        for child in (entry["ImageIndex"] or {}).get("Images") or []:
            for key in ("Tag", "OrigRef", "Labels"):
                child.pop(key, None)
    return entries


def test_the_archives_of_old_releases_are_read(
    world: World, stores: Stores, own_registry: Registry, archive: ArchiveLocation, tmp_path: Path
) -> None:
    copy(CopyRequest(source=world.root, destination=archive), stores)
    old = _rewritten(archive.path, tmp_path / "old.tar", _as_old_imgpkg)
    destination = own_registry.repository("copy")
    copied = copy(CopyRequest(source=old, destination=destination, tag="v1"), stores)
    assert [(root.digest, root.is_bundle) for root in copied.roots] == [(world.root_digest, True)]
    assert copied.lock == BundleLock(destination.at(world.root_digest), "v1")
    assert_whole(stores.repository(destination), world)


def test_null_for_layers_and_a_list_of_no_children_are_read(
    registry: Registry, stores: Stores, archive: ArchiveLocation, tmp_path: Path
) -> None:
    source = registry.repository("bare")
    image = put_image(stores.repository(source, writes=True), tag="v1")
    copy(CopyRequest(source=source.tagged("v1"), destination=archive), stores)

    def with_nulls(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        entries[0]["Image"]["Layers"] = None
        return entries

    old = _rewritten(archive.path, tmp_path / "old.tar", with_nulls)
    destination = registry.repository("copy")
    copy(CopyRequest(source=old, destination=destination), stores)
    assert stores.repository(destination).read_manifest("v1").raw == image.raw


def _digest_of_image(entries: list[dict[str, Any]]) -> dict[str, Any]:
    image: dict[str, Any] = next(entry["Image"] for entry in entries if entry["Image"])
    return image


def _alter_manifest(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    _digest_of_image(entries)["Manifest"]["Raw"] += " "
    return entries


def _alter_config(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    _digest_of_image(entries)["Config"]["Raw"] += " "
    return entries


def _no_tag(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    _digest_of_image(entries)["Tag"] = "../../elsewhere/manifests/v1"
    return entries


def _not_a_list(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return entries[0]


@pytest.mark.parametrize("change", [_alter_manifest, _alter_config, _no_tag, _not_a_list])
def test_an_archive_that_lies_is_refused(
    change: Callable[[list[dict[str, Any]]], Any],
    world: World,
    stores: Stores,
    registry: Registry,
    archive: ArchiveLocation,
    tmp_path: Path,
) -> None:
    copy(CopyRequest(source=world.root, destination=archive), stores)
    lying = _rewritten(archive.path, tmp_path / "lying.tar", change)
    destination = registry.repository("copy")
    with pytest.raises(BundlepipeError, match=re.escape(lying.path)):
        copy(CopyRequest(source=lying, destination=destination), stores)
    assert find_manifest(stores.repository(destination), "v1") is None


def test_an_altered_layer_is_refused(
    world: World, stores: Stores, own_registry: Registry, archive: ArchiveLocation
) -> None:
    copy(CopyRequest(source=world.root, destination=archive), stores)
    largest = max(_members(archive.path), key=lambda member: member.size if member.name != "manifest.json" else 0)
    content = bytearray(Path(archive.path).read_bytes())
    content[largest.offset_data + 1000] ^= 1
    Path(archive.path).write_bytes(content)
    destination = own_registry.repository("copy")
    with pytest.raises(BundlepipeError, match=largest.name[7:71]):
        copy(CopyRequest(source=archive, destination=destination), stores)
    assert find_manifest(stores.repository(destination), "v1") is None


def test_a_cut_archive_is_refused_before_anything_is_written(
    world: World, stores: Stores, registry: Registry, make_proxy: Callable[[str], Proxy], archive: ArchiveLocation
) -> None:
    copy(CopyRequest(source=world.root, destination=archive), stores)
    content = Path(archive.path).read_bytes()
    proxy = make_proxy(registry.host)
    for length in (0, 100, 512, 5000, len(content) // 2):
        Path(archive.path).write_bytes(content[:length])
        destination = Repository(proxy.host, registry.repository("copy").path)
        with pytest.raises(BundlepipeError, match=re.escape(archive.path)):
            copy(CopyRequest(source=archive, destination=destination), stores)
    assert not any(proxy.count(method) for method in ("PUT", "POST", "PATCH"))


def _fetched(proxy: Proxy) -> set[str]:
    """Return the blobs that were asked for, by digest."""
    return {seen.path.rpartition("/")[2] for seen in proxy.requests if seen.method == "GET" and "/blobs/" in seen.path}


def _fleet(stores: Stores, host: Repository, count: int = 12, size: int = 50_000) -> tuple[Reference, list[Manifest]]:
    """Put a bundle of images of one larger layer each into a repository."""
    store = stores.repository(host, writes=True)
    images = [put_image(store, random_layer(size, number)) for number in range(count)]
    bundle = put_bundle(stores, host.tagged("v1"), [host.at(image.digest) for image in images])
    return host.tagged("v1"), [*images, bundle]


@pytest.mark.usefixtures("_impatient")
def test_an_interrupted_tar_is_completed_and_is_the_same(
    registry: Registry, proxy: Proxy, stores: Stores, tmp_path: Path
) -> None:
    source, manifests = _fleet(stores, Repository(proxy.host, registry.repository().path))
    whole, interrupted = tmp_path / "whole.tar", tmp_path / "interrupted.tar"
    copy(CopyRequest(source=source, destination=ArchiveLocation(str(whole))), stores)
    victim = manifests[5].layers[0].digest
    proxy.fault("GET", f"/blobs/{victim}", Delay(0.05), Respond(503), times=float("inf"))
    request = CopyRequest(source=source, destination=ArchiveLocation(str(interrupted)))
    with pytest.raises(StoreError, match=victim):
        copy(request, stores)
    assert not interrupted.exists()
    proxy.heal()
    proxy.forget()
    copied = copy(request, stores)
    assert whole.read_bytes() == interrupted.read_bytes()
    assert victim in _fetched(proxy)
    assert copied.uploaded and copied.present
    assert sorted(path.name for path in tmp_path.iterdir()) == ["interrupted.tar", "whole.tar"]


def test_layers_of_an_earlier_tar_are_used_again(
    registry: Registry, proxy: Proxy, stores: Stores, archive: ArchiveLocation
) -> None:
    source, manifests = _fleet(stores, Repository(proxy.host, registry.repository().path))
    request = CopyRequest(source=source, destination=archive)
    copy(request, stores)
    before = Path(archive.path).read_bytes()
    images = {manifest.layers[0].digest for manifest in manifests[:-1]}
    proxy.forget()
    assert copy(request, stores).uploaded == 0
    assert not _fetched(proxy) & images
    # One whose bytes have rotted meanwhile is not used.
    Path(archive.path).write_bytes(before.replace(before[-60_000:-59_000], bytes(1000)))
    proxy.forget()
    copy(request, stores)
    assert len(_fetched(proxy) & images) == 1
    assert Path(archive.path).read_bytes() == before


def test_without_resume_every_layer_is_fetched(
    registry: Registry, proxy: Proxy, stores: Stores, archive: ArchiveLocation
) -> None:
    source, manifests = _fleet(stores, Repository(proxy.host, registry.repository().path))
    copy(CopyRequest(source=source, destination=archive), stores)
    proxy.forget()
    copied = copy(CopyRequest(source=source, destination=archive, resume=False), stores)
    assert layers_of(manifests) <= _fetched(proxy)
    assert copied.present == 0


def test_a_tar_is_copied_into_a_layout(world: World, stores: Stores, archive: ArchiveLocation, tmp_path: Path) -> None:
    copy(CopyRequest(source=world.root, destination=archive), stores)
    layout = LayoutLocation(str(tmp_path / "layout"))
    copied = copy(CopyRequest(source=archive, destination=layout), stores)
    assert copied.images == len(world.manifests)
    store, manifest = stores.locate(LayoutLocation(layout.directory, "v1"))
    assert manifest.digest == world.root_digest
    assert_whole(store, world)


def test_nested_bundles_keep_their_number_of_images_at_each_step(
    own_registry: Registry, registry: Registry, stores: Stores, tmp_path: Path
) -> None:
    world = make_world(stores, own_registry.repository)
    tars = [ArchiveLocation(str(tmp_path / f"{number}.tar")) for number in range(3)]
    places = [registry.repository("copy"), own_registry.repository("copy")]
    counts = [copy(CopyRequest(source=world.root, destination=tars[0]), stores).images]
    for number, place in enumerate(places):
        counts.append(copy(CopyRequest(source=tars[number], destination=place), stores).images)
        counts.append(copy(CopyRequest(source=place.tagged("v1"), destination=tars[number + 1]), stores).images)
    assert counts == [len(world.manifests)] * 5
    contents = [sorted(_digests(tar)) for tar in tars]
    assert contents[0] == contents[1] == contents[2]
    assert _layer_names(tars[0].path) == _layer_names(tars[2].path)


def _digests(archive: ArchiveLocation) -> Iterator[str]:
    for entry in _manifest_json(archive.path):
        yield entry["Image"]["Manifest"]["Digest"] if entry["Image"] else entry["ImageIndex"]["Digest"]


@pytest.mark.slow
def test_a_bundle_of_942_images_goes_through_a_tar(
    registry: Registry, stores: Stores, archive: ArchiveLocation
) -> None:
    local = Repository("layout.localhost", "many")
    images = put_images(stores.repository(local, writes=True), 942)
    bundle = put_bundle(stores, local.tagged("v1"), [local.at(image.digest) for image in images])
    assert copy(CopyRequest(source=local.tagged("v1"), destination=archive), stores).images == 943
    destination = registry.repository("many")
    assert copy(CopyRequest(source=archive, destination=destination), stores).images == 943
    store = stores.repository(destination)
    for manifest in (bundle, *images[::100]):
        assert closure(store, manifest.digest) == {manifest.digest: manifest.raw}
    internal = [tag for tag in store.list_tags() if re.fullmatch(r"sha256-[0-9a-f]{64}\.imgpkg", tag)]
    assert len(internal) == 944


class _Releases:
    """Releases of a bundle of sixty images, of which each release changes one."""

    def __init__(self, stores: Stores, repository: Repository) -> None:
        self.stores = stores
        self.repository = repository
        self._images = put_images(self._store, 60, file_layer("base", "base"))
        self.manifests: list[list[Manifest]] = []
        self.release()

    @property
    def _store(self) -> Any:
        return self.stores.repository(self.repository, writes=True)

    def release(self) -> None:
        """Make the next release."""
        number = len(self.manifests) + 1
        if number > 1:
            changed = put_image(self._store, file_layer("base", "base"), file_layer("app", f"release {number}"))
            self._images = [*self._images[:number], changed, *self._images[number + 1 :]]
        references = [self.repository.at(image.digest) for image in self._images]
        bundle = put_bundle(self.stores, self.repository.tagged(f"v{number}"), references, {"release": str(number)})
        self.manifests.append([*self._images, bundle])

    def new_layers(self, number: int) -> set[Digest]:
        """The layers that a release has and none before it."""
        before = {digest for manifests in self.manifests[: number - 1] for digest in layers_of(manifests)}
        return layers_of(self.manifests[number - 1]) - before

    def to_tar(self, number: int, archive: ArchiveLocation, *exclude: ArchiveLocation | BundleLock | ImagesLock) -> Any:
        """Write a release to a tar."""
        source = self.repository.tagged(f"v{number}")
        return copy(CopyRequest(source=source, destination=archive, exclude=exclude), self.stores)

    def assert_at(self, destination: Repository, number: int) -> None:
        """Raise AssertionError unless a release is complete at a destination."""
        store = self.stores.repository(destination)
        for manifest in self.manifests[number - 1]:
            assert closure(store, manifest.digest) == {manifest.digest: manifest.raw}
        assert store.resolve(f"v{number}") == self.manifests[number - 1][-1].digest


@pytest.fixture
def releases(stores: Stores) -> _Releases:
    made = _Releases(stores, Repository("layout.localhost", "app"))
    made.release()
    return made


@pytest.fixture
def tars(tmp_path: Path) -> list[ArchiveLocation]:
    return [ArchiveLocation(str(tmp_path / f"v{number}.tar")) for number in range(5)]


@pytest.mark.parametrize("form", ["tar", "bundle lock", "images lock"])
def test_a_delta_has_only_the_layers_that_are_new(
    form: str, releases: _Releases, tars: list[ArchiveLocation], own_registry: Registry, stores: Stores
) -> None:
    releases.to_tar(1, tars[1])
    earlier = releases.manifests[0]
    bundle = earlier[-1].digest
    images = ImagesLock(tuple(ImageRef(releases.repository.at(image.digest)) for image in earlier[:-1]))
    exclusions: dict[str, ArchiveLocation | BundleLock | ImagesLock] = {
        "tar": tars[1],
        "bundle lock": BundleLock(releases.repository.at(bundle)),
        "images lock": images,
    }
    releases.to_tar(2, tars[2], exclusions[form])
    assert len(releases.new_layers(2)) == 2
    assert _layer_names(tars[2].path) == _names(releases.new_layers(2))
    destination = own_registry.repository("app")
    copy(CopyRequest(source=tars[1], destination=destination), stores)
    copied = copy(CopyRequest(source=tars[2], destination=destination), stores)
    assert copied.images == 61
    releases.assert_at(destination, 1)
    releases.assert_at(destination, 2)


def test_a_delta_does_not_go_where_its_base_is_not(
    releases: _Releases, tars: list[ArchiveLocation], own_registry: Registry, make_proxy: Callable[[str], Proxy]
) -> None:
    releases.to_tar(1, tars[1])
    releases.to_tar(2, tars[2], tars[1])
    proxy = make_proxy(own_registry.host)
    destination = Repository(proxy.host, own_registry.repository("app").path)
    with pytest.raises(StoreError) as failure:
        copy(CopyRequest(source=tars[2], destination=destination), releases.stores)
    missing = layers_of(releases.manifests[1]) - releases.new_layers(2)
    assert all(digest in str(failure.value) for digest in missing)
    assert "\n" not in str(failure.value)
    assert not any(proxy.count(method) for method in ("PUT", "POST", "PATCH", "DELETE"))


def test_a_delta_does_not_go_into_an_empty_layout(
    releases: _Releases, tars: list[ArchiveLocation], tmp_path: Path
) -> None:
    releases.to_tar(1, tars[1])
    releases.to_tar(2, tars[2], tars[1])
    with pytest.raises(StoreError, match=next(iter(layers_of(releases.manifests[1]) - releases.new_layers(2)))):
        copy(CopyRequest(source=tars[2], destination=LayoutLocation(str(tmp_path / "empty"))), releases.stores)
    assert not (tmp_path / "empty").exists()


def test_a_delta_does_not_become_a_whole_tar(releases: _Releases, tars: list[ArchiveLocation], tmp_path: Path) -> None:
    releases.to_tar(1, tars[1])
    releases.to_tar(2, tars[2], tars[1])
    with pytest.raises(StoreError):
        copy(CopyRequest(source=tars[2], destination=tars[3]), releases.stores)
    assert not Path(tars[3].path).exists()


def test_deltas_form_a_chain(releases: _Releases, tars: list[ArchiveLocation], own_registry: Registry) -> None:
    releases.release()
    releases.to_tar(1, tars[1])
    releases.to_tar(2, tars[2], tars[1])
    releases.to_tar(3, tars[3], tars[1], tars[2])
    assert _layer_names(tars[3].path) == _names(releases.new_layers(3))
    # Whoever has the second release has all that it names, whichever tars brought it.
    releases.to_tar(3, tars[4], tars[2])
    assert _layer_names(tars[4].path) == _names(releases.new_layers(3))
    destination = own_registry.repository("app")
    for number in (1, 2, 3):
        copy(CopyRequest(source=tars[number], destination=destination), releases.stores)
        releases.assert_at(destination, number)


def test_an_exclusion_that_is_not_there_is_an_error(releases: _Releases, tars: list[ArchiveLocation]) -> None:
    with pytest.raises(NotFound, match=re.escape(tars[1].path)):
        releases.to_tar(2, tars[2], tars[1])
    assert not Path(tars[2].path).exists()


@pytest.mark.parametrize("cosign", [False, True])
@pytest.mark.parametrize("into", ["registry", "layout"])
def test_a_delta_leaves_out_the_bundles_that_have_not_changed(
    into: str, cosign: bool, registry: Registry, stores: Stores, own_registry: Registry, tars: list[ArchiveLocation]
) -> None:
    world = make_world(stores, registry.repository)
    destination = own_registry.repository("copy") if into == "registry" else Repository("layout.localhost", "copy")
    names = world.contents["outer"]
    changed = put_bundle(stores, world.root, [world.images[name] for name in names], {"release": "2"})
    old = world.root.repository.at(world.root_digest)
    copy(CopyRequest(source=old, destination=tars[1], tag="v1", cosign=cosign), stores)
    copy(CopyRequest(source=world.root, destination=tars[2], cosign=cosign, exclude=[tars[1]]), stores)
    assert _layer_names(tars[2].path) == _names(layers_of([changed]))
    with pytest.raises(StoreError):
        copy(CopyRequest(source=tars[2], destination=destination, cosign=cosign), stores)
    for tar in tars[1:3]:
        copy(CopyRequest(source=tar, destination=destination, cosign=cosign), stores)
    store = stores.repository(destination)
    assert_whole(store, world)
    assert store.resolve("v1") == changed.digest
    assert closure(store, changed.digest)
    assert not cosign or all(find_manifest(store, tag) for tag in world.cosign)


def test_a_tar_is_copied_onto_itself_with_another_tag(world: World, stores: Stores, archive: ArchiveLocation) -> None:
    copy(CopyRequest(source=world.root, destination=archive), stores)
    before = _layer_names(archive.path)
    copy(CopyRequest(source=archive, destination=archive, tag="v2"), stores)
    assert _layer_names(archive.path) == before
    store, manifest = stores.locate(archive)
    assert (manifest.digest, store.resolve("v2")) == (world.root_digest, world.root_digest)
    assert_whole(store, world)


def test_what_another_copy_left_goes_when_a_tar_is_there(
    world: World, stores: Stores, archive: ArchiveLocation
) -> None:
    request = CopyRequest(source=world.root, destination=archive)
    assert copy(request, stores).changed
    for kind in ("partial", "previous"):
        Path(archive.path).with_name(f".bundle.tar.{kind}").write_bytes(bytes(4096))
    assert not copy(request, stores).changed
    assert [path.name for path in Path(archive.path).parent.iterdir() if "bundle.tar" in path.name] == ["bundle.tar"]


def test_a_tar_that_another_process_writes_is_left_to_it(
    world: World, stores: Stores, archive: ArchiveLocation
) -> None:
    partial = Path(archive.path).with_name(".bundle.tar.partial")
    with partial.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another process"):
            copy(CopyRequest(source=world.root, destination=archive), stores)
    assert not Path(archive.path).exists()


def test_what_is_no_place_for_a_tar_is_an_error(world: World, stores: Stores, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/kept").touch()
    for path in (tmp_path / "file/bundle.tar", tmp_path / "directory"):
        with pytest.raises(StoreError, match=re.escape(str(path))):
            copy(CopyRequest(source=world.root, destination=ArchiveLocation(str(path))), stores)
    assert (tmp_path / "file").read_text() == "a file"
    assert (tmp_path / "directory/kept").exists()


def test_a_tar_goes_into_a_directory_that_is_made_for_it(world: World, stores: Stores, tmp_path: Path) -> None:
    archive = ArchiveLocation(str(tmp_path / "new/er/bundle.tar"))
    copy(CopyRequest(source=world.root, destination=archive), stores)
    assert_whole(stores.locate(archive)[0], world)


GIGABYTES = 2
ZEROS = bytes(1 << 20)
LARGE_LAYER = Descriptor(
    DOCKER_LAYER,
    Digest("sha256:a7c744c13cc101ed66c29f672f92455547889cc586ce6d44fe76ae824958ea51"),
    GIGABYTES << 30,
)
LARGE_CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:00"]}}'
LARGE_IMAGE = docker_manifest(Descriptor(DOCKER_CONFIG, Digest.of(LARGE_CONFIG), len(LARGE_CONFIG)), (LARGE_LAYER,))


class _LargeImageHandler(BaseHTTPRequestHandler):
    """Serves an image with a layer of zeros, and takes it back, keeping nothing of it."""

    protocol_version = "HTTP/1.1"
    received = 0

    def do_HEAD(self) -> None:
        self._send(404, b"")

    def do_GET(self) -> None:
        documents = {Digest.of(LARGE_CONFIG): LARGE_CONFIG, "v1": LARGE_IMAGE.raw, LARGE_IMAGE.digest: LARGE_IMAGE.raw}
        name = self.path.rpartition("/")[2]
        if name == LARGE_LAYER.digest:
            self._head(200, LARGE_LAYER.size)
            for _ in range(LARGE_LAYER.size // len(ZEROS)):
                self.wfile.write(ZEROS)
        elif self.path.startswith("/v2/large/") and name in documents:
            self._send(200, documents[name])
        else:
            self._send(404, b"{}")

    def do_POST(self) -> None:
        self.send_response(202)
        self.send_header("Location", "/v2/copy/blobs/uploads/1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left and (chunk := self.rfile.read(min(left, len(ZEROS)))):
            left -= len(chunk)
            if chunk == ZEROS:
                type(self).received += len(chunk)
        self._send(201, b"")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
        pass

    def _send(self, status: int, body: bytes) -> None:
        self._head(status, len(body))
        self.wfile.write(body if self.command != "HEAD" else b"")

    def _head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", DOCKER_MANIFEST)
        self.send_header("Content-Length", str(length))
        self.end_headers()


# What getrusage tells of a new process begins with the size of the one that started it.
COPY_AND_MEASURE = """
import pathlib, resource, sys
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.verbs.copying.copy import CopyRequest, copy

host, archive = sys.argv[1:]
tar = ArchiveLocation(archive)
copy(CopyRequest(source=Repository(host, "large").tagged("v1"), destination=tar), Stores())
copy(CopyRequest(source=tar, destination=Repository(host, "copy")), Stores())
if sys.platform == "linux":
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_two_gigabytes_need_no_memory(tmp_path: Path) -> None:
    archive = tmp_path / "large.tar"
    handler = type("Handler", (_LargeImageHandler,), {})
    server = LoopbackServer(handler)
    try:
        command = [sys.executable, "-c", COPY_AND_MEASURE, server.host, str(archive)]
        finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        assert finished.returncode == 0, finished.stderr
        assert archive.stat().st_size > LARGE_LAYER.size
        assert handler.received == LARGE_LAYER.size  # type: ignore[attr-defined]
        assert int(finished.stdout) < 90 * 1024
    finally:
        server.close()
        with contextlib.suppress(FileNotFoundError):
            archive.unlink()
        for path in tmp_path.iterdir():
            path.unlink()
