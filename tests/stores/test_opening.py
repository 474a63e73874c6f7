"""Places that are copied from and to, as stores open them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bundlepipe.errors import BundlepipeError, NotFound, StoreError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import ArchiveLocation, EngineLocation, LayoutLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import read_manifests
from bundlepipe.stores.settings import RegistrySettings
from tests.support.images import file_layer, put_image, put_index


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """Stores with `layout.localhost` backed by a directory of this test."""
    return Stores({"layout.localhost": RegistrySettings(layout=str(tmp_path / "registry"))})


REPOSITORY = Repository("layout.localhost", "app")
DIGEST = Digest.of(b"")


@pytest.mark.parametrize(
    ("reference", "tag", "tag_beside"),
    [
        (Reference(REPOSITORY), "latest", None),
        (REPOSITORY.tagged("v1"), "v1", None),
        (REPOSITORY.at(DIGEST), None, None),
        (Reference(REPOSITORY, "v1", DIGEST), None, "v1"),
    ],
)
def test_a_reference_is_one_root(stores: Stores, reference: Reference, tag: str | None, tag_beside: str | None) -> None:
    (root,) = stores.roots(reference)
    assert (root.identifier, root.tag, root.tag_beside) == (reference.identifier, tag, tag_beside)
    assert (root.name, root.source.name) == (str(reference), str(REPOSITORY))


def test_a_missing_tar_is_told_before_anything_is_taken(stores: Stores, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no such file"):
        stores.roots(ArchiveLocation(str(tmp_path / "gone.tar")))


def test_a_tar_of_nothing_names_no_image(stores: Stores, tmp_path: Path) -> None:
    path = str(tmp_path / "empty.tar")
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"null"))
    assert list(stores.roots(ArchiveLocation(path))) == []
    with pytest.raises(StoreError, match=f"^tar:{path} holds 0 images and does not say which one is meant"):
        stores.locate(ArchiveLocation(path))


def test_a_layout_gives_its_own_tag_to_what_is_copied_there(stores: Stores, tmp_path: Path) -> None:
    target = stores.destination(LayoutLocation(str(tmp_path / "there"), "v1"))
    assert (target.tag, target.store and target.store.name) == ("v1", f"oci:{tmp_path}/there")
    assert not target.is_at(ArchiveLocation("there"))


def test_an_engine_takes_single_images_under_a_name(stores: Stores) -> None:
    target = stores.destination(EngineLocation(Reference.parse("app")))
    assert target.loader
    assert target.loader.name_of("v1") == "docker-daemon:app:v1"
    with pytest.raises(BundlepipeError, match=f"docker-daemon:{DIGEST}: the destination of a copy is a name"):
        _ = stores.destination(EngineLocation(DIGEST)).loader


def test_what_indexes_list_many_times_is_read_once(stores: Stores) -> None:
    store = stores.repository(REPOSITORY, writes=True)
    index = put_image(store, file_layer("a", "a"))
    for number in range(40):
        index = put_index(store, [index, index], tag=f"v{number}")
    assert next(iter(read_manifests(store, "v39"))) == index.digest
    assert len(read_manifests(store, "v39")) == 41
