"""copy at its edges: what is tagged, named or nested in ways that nobody expects, and what fails halfway."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.errors import AccessDenied, BundlepipeError, InvalidContent, NotFound
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.labels import BUNDLE_LABEL
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_MANIFEST, OCI_INDEX
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from bundlepipe.verbs.describing.describe import describe
from bundlepipe.verbs.pull import pull
from bundlepipe.verbs.shared.bundles import internal_tag, locations_tag
from tests.support.images import (
    cosign_tag,
    fallback_tag,
    file_layer,
    put_bundle,
    put_bytes,
    put_document,
    put_image,
    put_index,
    put_referrer,
)
from tests.support.proxy import Proxy, Respond
from tests.support.services import Registry

NewRepository = Callable[[str], Repository]


@pytest.fixture
def local() -> NewRepository:
    """Repositories in a directory."""
    return lambda name: Repository("layout.localhost", name)


def _image(stores: Stores, repository: Repository, content: str = "a") -> Digest:
    return put_image(stores.repository(repository, writes=True), file_layer("file", content)).digest


def test_no_locations_are_told_of_before_all_images_are_there(stores: Stores, registry: Registry) -> None:
    source, destination = registry.repository("source"), registry.repository("copy")
    nested = put_bundle(stores, destination.tagged("nested"), [source.at(_image(stores, source))])
    store = stores.repository(source, writes=True)
    absent = file_layer("absent", "absent").as_foreign()
    broken = source.at(put_image(store, absent, file_layer("b", "b"), absent=[absent]).digest)
    outer = put_bundle(stores, destination.tagged("outer"), [destination.at(nested.digest), broken])
    request = CopyRequest(source=destination.tagged("outer"), destination=destination, include_non_distributable=True)
    with pytest.raises(BundlepipeError):
        copy(request, stores)
    tags = set(stores.repository(destination).list_tags())
    assert not tags & {locations_tag(nested.digest), locations_tag(outer.digest)}


def test_the_same_referrers_again_change_nothing(stores: Stores, registry: Registry) -> None:
    source, destination = registry.repository("source"), registry.repository("copy")
    store = stores.repository(source, writes=True)
    image = put_image(store, file_layer("a", "a"), tag="v1")
    for kind in ("application/z", "application/a"):
        put_referrer(store, image, kind)
    request = CopyRequest(source=source.tagged("v1"), destination=destination, referrers=True)
    assert copy(request, stores).changed
    named = stores.repository(destination).resolve(fallback_tag(image.digest))
    assert not copy(request, stores).changed
    assert stores.repository(destination).resolve(fallback_tag(image.digest)) == named


def test_a_lock_keeps_every_name_of_an_image(stores: Stores, local: NewRepository) -> None:
    source, destination = local("source"), local("copy")
    image = source.at(_image(stores, source))
    lock = ImagesLock((ImageRef(image, {KBLD_ID: "app:1.0"}), ImageRef(image, {KBLD_ID: "app:latest"})))
    copied = copy(CopyRequest(source=lock, destination=destination), stores)
    assert isinstance(copied.lock, ImagesLock)
    assert [each.annotations[KBLD_ID] for each in copied.lock.images] == ["app:1.0", "app:latest"]
    assert {each.image for each in copied.lock.images} == {destination.at(lock.images[0].digest)}


def test_the_lock_of_an_image_says_what_it_was_called(stores: Stores, local: NewRepository) -> None:
    source = local("source")
    put_image(stores.repository(source, writes=True), file_layer("a", "a"), tag="v1")
    copied = copy(CopyRequest(source=source.tagged("v1"), destination=local("copy")), stores)
    assert isinstance(copied.lock, ImagesLock)
    assert [each.annotations for each in copied.lock.images] == [{KBLD_ID: "layout.localhost/source:v1"}]


def test_a_delta_brings_layers_that_the_base_was_not_allowed_to(
    stores: Stores, local: NewRepository, tmp_path: Path
) -> None:
    source = local("source")
    foreign = file_layer("kernel", "kernel").as_foreign()
    image = put_image(stores.repository(source, writes=True), foreign, file_layer("a", "a"), tag="v1")
    base, delta, further = (ArchiveLocation(str(tmp_path / f"{name}.tar")) for name in ("base", "delta", "further"))
    assert copy(CopyRequest(source=source.tagged("v1"), destination=base), stores).skipped
    everything = CopyRequest(
        source=source.tagged("v1"), destination=delta, include_non_distributable=True, exclude=[base]
    )
    assert copy(everything, stores).uploaded == 1
    for archive in (base, delta):
        copy(CopyRequest(source=archive, destination=local("copy"), include_non_distributable=archive is delta), stores)
    assert stores.repository(local("copy")).has_blob(image.layers[0])
    # The delta has the layer, so another one that continues it need not.
    again = CopyRequest(
        source=source.tagged("v1"), destination=further, include_non_distributable=True, exclude=[base, delta]
    )
    assert copy(again, stores).uploaded == 0


@pytest.mark.parametrize("pinned", ["itself", "a member"])
def test_a_tag_that_looks_like_that_of_referrers_is_none(pinned: str, stores: Stores, local: NewRepository) -> None:
    source, destination = local("source"), local("copy")
    store = stores.repository(source, writes=True)
    member = put_index(store, [put_image(store, file_layer("a", "a"))])
    index = put_index(store, [member], tag="v1")
    store.put_manifest(index if pinned == "itself" else member, fallback_tag(index.digest))
    copied = copy(CopyRequest(source=source.tagged("v1"), destination=destination, referrers=True), stores)
    assert copied.images == 3
    assert stores.repository(destination).read_manifest("v1").raw == index.raw


def test_an_image_built_on_a_bundle_is_an_image(stores: Stores, local: NewRepository, tmp_path: Path) -> None:
    source, destination = local("source"), local("copy")
    store = stores.repository(source, writes=True)
    bundle = put_bundle(stores, source.tagged("bundle"), [])
    layer = file_layer("further", "further")
    store.put_blob(layer.descriptor, lambda: io.BytesIO(layer.data))
    config = put_bytes(store, b'{"config":{"Labels":{"%s":"true"}}}' % BUNDLE_LABEL.encode(), DOCKER_CONFIG)
    layers = [*(each.to_json() for each in bundle.layers), layer.descriptor.to_json()]
    put_document(store, DOCKER_MANIFEST, {"config": config.to_json(), "layers": layers}, "v1")
    copied = copy(CopyRequest(source=source.tagged("v1"), destination=destination), stores)
    assert not copied.roots[0].is_bundle
    pull(destination.tagged("v1"), str(tmp_path / "out"), stores)
    assert (tmp_path / "out/further").exists()
    with pytest.raises(BundlepipeError, match="Expected bundle image but found plain image"):
        describe(destination.tagged("v1"), stores)


def test_digests_of_manifests_by_other_algorithms_are_refused(stores: Stores, local: NewRepository) -> None:
    source = local("source")
    image = f"{source}@sha512:{'0' * 128}"
    store = stores.repository(source, writes=True)
    entry = {"mediaType": DOCKER_MANIFEST, "digest": image.rpartition("@")[2], "size": 1}
    put_document(store, OCI_INDEX, {"manifests": [entry]}, "v1")
    with pytest.raises(InvalidContent, match=r"sha512:0+: only manifests named by sha256 can be copied"):
        copy(CopyRequest(source=source.tagged("v1"), destination=local("copy")), stores)
    assert not stores.repository(local("copy")).has_manifest(store.resolve("v1"))


@pytest.mark.parametrize("first", ["gone", "there"])
def test_an_image_named_twice_is_looked_for_in_both_places(first: str, stores: Stores, local: NewRepository) -> None:
    there = local("there")
    digest = _image(stores, there)
    places = [local("gone").at(digest), there.at(digest)]
    root = local("bundle").tagged("v1")
    put_bundle(stores, root, places if first == "gone" else places[::-1])
    assert copy(CopyRequest(source=root, destination=local("copy")), stores).images == 2


def test_a_relocated_bundle_that_names_an_image_too_is_asked_first(
    stores: Stores, registry: Registry, make_proxy: Callable[[str], Proxy]
) -> None:
    origin = make_proxy(registry.host)
    image = Repository(origin.host, registry.repository("image").path)
    digest = _image(stores, image)
    near, far, root = (registry.repository(name) for name in ("near", "far", "root"))
    bundles = [far.at(put_bundle(stores, far.tagged("v1"), [image.at(digest)], {"a": "far"}).digest)]
    relocated = put_bundle(stores, near.tagged("v1"), [image.at(digest)], {"a": "near"})
    copy(CopyRequest(source=near.tagged("v1"), destination=near), stores)
    bundles.append(near.at(relocated.digest))
    put_bundle(stores, root.tagged("v1"), bundles)
    origin.forget()
    copied = copy(CopyRequest(source=root.tagged("v1"), destination=registry.repository("copy")), Stores())
    assert copied.images == 4
    assert not origin.requests


def test_an_image_that_is_there_by_its_tag_alone_is_kept_by_one_of_its_digest(
    stores: Stores, registry: Registry, proxy: Proxy
) -> None:
    source, path = registry.repository("source"), registry.repository("copy").path
    image = put_image(stores.repository(source, writes=True), file_layer("a", "a"), tag="v1")
    here = Repository(registry.host, path)
    put_image(stores.repository(here, writes=True), file_layer("a", "a"), tag="v1")
    proxy.fault("GET", "/tags/list", Respond(405), times=float("inf"))
    copy(CopyRequest(source=source.tagged("v1"), destination=Repository(proxy.host, path)), stores)
    assert set(stores.repository(here).list_tags()) == {"v1", internal_tag(image.digest)}


def test_a_delta_of_a_delta_is_the_same(stores: Stores, local: NewRepository, tmp_path: Path) -> None:
    source = local("source")
    put_bundle(stores, source.tagged("v1"), [source.at(_image(stores, source))])
    base, delta, again = (ArchiveLocation(str(tmp_path / f"{name}.tar")) for name in ("base", "delta", "again"))
    copy(CopyRequest(source=source.tagged("v1"), destination=base), stores)
    copy(CopyRequest(source=source.tagged("v1"), destination=delta, exclude=[base]), stores)
    assert copy(CopyRequest(source=delta, destination=again, exclude=[base]), stores).roots[0].is_bundle
    assert Path(again.path).read_bytes() == Path(delta.path).read_bytes()


def test_a_tar_does_not_leave_out_what_is_in_it_alone(stores: Stores, local: NewRepository, tmp_path: Path) -> None:
    source, archive = local("source"), ArchiveLocation(str(tmp_path / "bundle.tar"))
    put_bundle(stores, source.tagged("v1"), [])
    copy(CopyRequest(source=source.tagged("v1"), destination=archive), stores)
    before = Path(archive.path).read_bytes()
    (tmp_path / "link.tar").symlink_to(archive.path)
    link = ArchiveLocation(str(tmp_path / "link.tar"))
    with pytest.raises(BundlepipeError, match="is excluded too, so it would lose layers"):
        copy(CopyRequest(source=source.tagged("v1"), destination=archive, exclude=[link]), stores)
    assert Path(archive.path).read_bytes() == before


def test_a_refusal_stays_a_refusal(stores: Stores, registry: Registry, proxy: Proxy) -> None:
    source, destination = registry.repository("source"), Repository(proxy.host, registry.repository("copy").path)
    first, second = _image(stores, source, "first"), _image(stores, source, "second")
    copy(CopyRequest(source=source.at(first), destination=destination, tag="v1"), stores)
    proxy.fault("PUT", "/manifests/v1", Respond(403), times=float("inf"))
    with pytest.raises(AccessDenied, match=f":v1 names {first} and was not moved to {second}: .*403"):
        copy(CopyRequest(source=source.at(second), destination=destination, tag="v1"), stores)


def test_many_bundles_take_one_file(
    stores: Stores, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers of bundles that are read for what they name wait in one place until they are delivered."""
    resource = pytest.importorskip("resource")
    nested = [registry.repository(f"b{number}") for number in range(60)]
    noise = {number: f"{number}" * 100_000 for number in range(60)}
    bundles = [
        repository.at(put_bundle(stores, repository.tagged("v1"), [], {"a": noise[number]}).digest)
        for number, repository in enumerate(nested)
    ]
    root = registry.repository("root").tagged("v1")
    put_bundle(stores, root, bundles)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50, hard))
    try:
        copied = copy(CopyRequest(source=root, destination=ArchiveLocation(str(tmp_path / "x.tar"))), stores)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert copied.images == 61
    for bundle in bundles:
        assert stores.locate(ArchiveLocation(str(tmp_path / "x.tar")))[0].has_manifest(Digest(bundle.digest or ""))


def test_an_attachment_of_what_is_missing_is_no_reason_to_fail(stores: Stores, local: NewRepository) -> None:
    source = local("source")
    store = stores.repository(source, writes=True)
    image = put_image(store, file_layer("a", "a"), tag="v1")
    put_image(store, file_layer("b", "b"), tag=cosign_tag(Digest.of(b"another")))
    copied = copy(CopyRequest(source=source.tagged("v1"), destination=local("copy"), cosign=True), stores)
    assert copied.images == 1
    assert copied.roots[0].digest == image.digest
    with pytest.raises(NotFound):
        stores.repository(local("copy")).resolve(cosign_tag(Digest.of(b"another")))


@pytest.mark.parametrize("is_copied_before", [False, True])
def test_a_layer_is_taken_along_for_the_image_that_may_be_redistributed(
    is_copied_before: bool, stores: Stores, registry: Registry, tmp_path: Path
) -> None:
    source, destination = registry.repository("source"), registry.repository("copy")
    store = stores.repository(source, writes=True)
    layer = file_layer("both", "both")
    windows = put_image(store, layer.as_foreign(), file_layer("a", "a"))
    linux = put_image(store, layer, file_layer("b", "b"))
    if is_copied_before:
        copy(CopyRequest(source=source.at(windows.digest), destination=destination), stores)
    lock = ImagesLock(tuple(ImageRef(source.at(image.digest), {}) for image in (windows, linux)))
    archive = ArchiveLocation(str(tmp_path / "images.tar"))
    for place in (destination, archive):
        copied = copy(CopyRequest(source=lock, destination=place), stores)
        assert dict(copied.skipped) == {str(source.at(windows.digest)): (layer.digest,)}
    copy(CopyRequest(source=archive, destination=registry.repository("from-tar")), stores)
    assert stores.repository(destination).has_blob(linux.layers[0])
