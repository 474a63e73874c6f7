"""A bundle that is copied as an image alone: what it names stays where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import find_manifest
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from bundlepipe.verbs.pull import pull
from bundlepipe.verbs.shared.bundles import internal_tag, locations_tag
from tests.support.images import file_layer, put_bundle, put_cosign, put_image
from tests.support.services import Registry


@pytest.fixture
def bundle(stores: Stores, registry: Registry) -> Reference:
    """A bundle with one image, each in a repository of its own."""
    images = registry.repository("images")
    image = put_image(stores.repository(images, writes=True), file_layer("a", "content"))
    root = registry.repository("bundle").tagged("v1")
    put_bundle(stores, root, [images.at(image.digest)])
    return root


@pytest.mark.parametrize("way", ["directly", "tar"])
def test_nothing_but_the_bundle_itself_arrives(
    way: str, bundle: Reference, stores: Stores, registry: Registry, tmp_path: Path
) -> None:
    to = registry.repository("copy")
    if way == "tar":
        tar = ArchiveLocation(str(tmp_path / "a.tar"))
        copy(CopyRequest(source=bundle, destination=tar, expected="image", shallow=True), stores)
        copied = copy(CopyRequest(source=tar, destination=to), stores)
    else:
        copied = copy(CopyRequest(source=bundle, destination=to, expected="image", shallow=True), stores)

    digest = stores.repository(bundle.repository).resolve("v1")
    store = stores.repository(to)
    assert (copied.images, copied.roots[0].digest, copied.roots[0].is_bundle) == (1, digest, False)
    assert sorted(store.list_tags()) == sorted([internal_tag(digest), "v1"])
    assert isinstance(copied.lock, ImagesLock)
    assert [entry.image for entry in copied.lock.images] == [to.at(digest)]
    pulled = pull(to.tagged("v1"), str(tmp_path / "out"), stores)
    assert [(one.path, one.relocated) for one in pulled.bundles] == [(".", False)]


def test_signatures_go_along(bundle: Reference, stores: Stores, registry: Registry) -> None:
    to = registry.repository("copy")
    store = stores.repository(bundle.repository, writes=True)
    signature = put_cosign(store, store.read_manifest("v1"))
    copied = copy(CopyRequest(source=bundle, destination=to, shallow=True, cosign=True), stores)
    assert copied.images == 2
    assert stores.repository(to).has_manifest(signature.digest)


def test_a_whole_copy_after_it_brings_the_rest(bundle: Reference, stores: Stores, registry: Registry) -> None:
    to = registry.repository("copy")
    copy(CopyRequest(source=bundle, destination=to, shallow=True), stores)
    copied = copy(CopyRequest(source=bundle, destination=to), stores)
    assert (copied.images, copied.changed, copied.roots[0].is_bundle) == (2, True, True)
    assert find_manifest(stores.repository(to), locations_tag(copied.roots[0].digest))
