"""copy as imgpkg does it: what it does not tag, take along or write down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.archive.reader import ArchiveStore
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from bundlepipe.verbs.shared.bundles import internal_tag
from tests.support.images import cosign_tag, file_layer, put_bundle, put_cosign, put_image, put_index
from tests.support.services import Registry

NewRepository = Callable[[str], Repository]


@pytest.fixture
def local() -> NewRepository:
    """Repositories in a directory."""
    return lambda name: Repository("layout.localhost", name)


def _tags(stores: Stores, repository: Repository) -> set[str]:
    return set(stores.repository(repository).list_tags())


def test_members_of_an_index_have_no_tags(stores: Stores, registry: Registry) -> None:
    source, destination = registry.repository("source"), registry.repository("copy")
    store = stores.repository(source, writes=True)
    inner = put_index(store, [put_image(store, file_layer("c", "c"))])
    members = [put_image(store, file_layer(name, name)) for name in "ab"]
    index = put_index(store, [*members, inner], tag="v1")
    request = CopyRequest(source=source.tagged("v1"), destination=destination, as_imgpkg=True)
    assert copy(request, stores).changed
    assert _tags(stores, destination) == {"v1", internal_tag(index.digest)}
    there = stores.repository(destination)
    assert all(there.has_manifest(each.digest) for each in (*index.children, *inner.children))
    assert not copy(request, stores).changed


def test_a_member_that_is_named_by_itself_as_well_has_its_tag(stores: Stores, registry: Registry) -> None:
    source, destination = registry.repository("source"), registry.repository("copy")
    store = stores.repository(source, writes=True)
    member = put_image(store, file_layer("a", "a"))
    index = put_index(store, [member])
    lock = ImagesLock((ImageRef(source.at(index.digest)), ImageRef(source.at(member.digest))))
    copy(CopyRequest(source=lock, destination=destination, as_imgpkg=True), stores)
    assert _tags(stores, destination) == {internal_tag(index.digest), internal_tag(member.digest)}


def test_signatures_of_what_is_listed_alone_are_taken_along(stores: Stores, local: NewRepository) -> None:
    source, destination = local("source"), local("copy")
    store = stores.repository(source, writes=True)
    member = put_image(store, file_layer("a", "a"))
    index = put_index(store, [member], tag="v1")
    signature = put_cosign(store, index)
    for subject, kind in ((member, "sig"), (index, "att"), (index, "sbom"), (signature, "sig")):
        put_cosign(store, subject, kind)
    request = CopyRequest(source=source.tagged("v1"), destination=destination, cosign=True, as_imgpkg=True)
    copied = copy(request, stores)
    assert _tags(stores, destination) == {"v1", cosign_tag(index.digest)}
    # What was copied is in the lock, whatever it is, in the order of the references, and without names.
    digests = sorted([index.digest, signature.digest])
    assert copied.lock == ImagesLock(tuple(ImageRef(destination.at(digest)) for digest in digests))


def test_the_lock_of_a_tar_has_all_its_images(stores: Stores, local: NewRepository, tmp_path: Path) -> None:
    source, archive = local("source"), ArchiveLocation(str(tmp_path / "images.tar"))
    store = stores.repository(source, writes=True)
    images = [source.at(put_image(store, file_layer(name, name)).digest) for name in "abc"]
    lock = ImagesLock(tuple(ImageRef(image, {"a": "b"}) for image in images))
    copy(CopyRequest(source=lock, destination=archive, as_imgpkg=True), stores)
    copied = copy(CopyRequest(source=archive, destination=local("copy"), as_imgpkg=True), stores)
    assert isinstance(copied.lock, ImagesLock)
    digests = sorted(image.digest for image in images if image.digest)
    assert copied.lock.images == tuple(ImageRef(local("copy").at(digest)) for digest in digests)


@pytest.mark.parametrize(("by", "is_told"), [("reference", True), ("lock", False)])
def test_a_tar_tells_origins_where_a_bundle_is_copied_by_its_reference(
    by: str, is_told: bool, stores: Stores, local: NewRepository, tmp_path: Path
) -> None:
    image = local("image").at(
        put_image(stores.repository(local("image"), writes=True), file_layer("a", "a"), tag="v1").digest
    )
    bundle = put_bundle(stores, local("bundle").tagged("v1"), [image])
    put_cosign(stores.repository(local("bundle"), writes=True), bundle)
    lock = BundleLock(local("bundle").at(bundle.digest), "v1")
    source = local("bundle").tagged("v1") if by == "reference" else lock
    path = str(tmp_path / "bundle.tar")
    copy(CopyRequest(source=source, destination=ArchiveLocation(path), cosign=True, as_imgpkg=True), stores)
    told = {entry.tag: entry.origin for entry in ArchiveStore(path).entries}
    assert told == {
        None: str(image) if is_told else None,
        "v1": str(local("bundle").at(bundle.digest)) if is_told else None,
        cosign_tag(bundle.digest): None,
    }


def test_a_tar_of_an_image_tells_no_origin(stores: Stores, local: NewRepository, tmp_path: Path) -> None:
    put_image(stores.repository(local("image"), writes=True), file_layer("a", "a"), tag="v1")
    path = str(tmp_path / "image.tar")
    request = CopyRequest(source=local("image").tagged("v1"), destination=ArchiveLocation(path), as_imgpkg=True)
    copy(request, stores)
    assert [entry.origin for entry in ArchiveStore(path).entries] == [None]


def test_a_tar_of_nothing_is_read_as_well(stores: Stores, local: NewRepository, tmp_path: Path) -> None:
    archive = ArchiveLocation(str(tmp_path / "empty.tar"))
    copy(CopyRequest(source=ImagesLock(), destination=archive, as_imgpkg=True), stores)
    assert b"null" in Path(archive.path).read_bytes()
    assert copy(CopyRequest(source=archive, destination=local("copy")), stores).images == 0


def test_layers_that_are_left_out_are_told_by_where_their_images_are_now(
    stores: Stores, local: NewRepository, tmp_path: Path
) -> None:
    source, destination = local("source"), local("copy")
    store = stores.repository(source, writes=True)
    foreign = [file_layer(name, name).as_foreign() for name in "ab"]
    members = [put_image(store, layer, file_layer("x", layer.data)) for layer in foreign]
    put_index(store, members, tag="v1")
    archive = ArchiveLocation(str(tmp_path / "index.tar"))
    for there, name in ((destination, destination.at), (archive, source.at)):
        copied = copy(CopyRequest(source=Reference(source, "v1"), destination=there, as_imgpkg=True), stores)
        expected = [(str(name(each.digest)), (layer.digest,)) for each, layer in zip(members, foreign, strict=True)]
        assert list(copied.skipped.items()) == expected
