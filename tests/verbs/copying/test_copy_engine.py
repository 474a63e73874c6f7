"""copy from and to the Docker Engine: the image ID stays, and what is there is neither saved nor sent again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.errors import BundlepipeError, IntegrityError, NotFound, Unreachable
from bundlepipe.events import BlobDone, CopyPlanned, Event, ImageDone
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.engine import store as engine
from bundlepipe.stores.location import ArchiveLocation, EngineLocation, LayoutLocation, Location
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Store
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import Copied, CopyRequest
from bundlepipe.verbs.pull import pull
from tests.support.engine import EngineImages, engine_images, image_id, located
from tests.support.images import file_layer, plain_layer, put_bundle, put_document, put_image, put_index
from tests.support.services import Registry, program


@pytest.fixture
def images() -> Iterator[EngineImages]:
    with engine_images() as made:
        yield made


@dataclass
class Copying:
    """Copies, with the events of the last one."""

    stores: Stores
    events: list[Event] = field(default_factory=list)

    def __call__(
        self,
        source: Location | ImagesLock,
        destination: Repository | LayoutLocation | ArchiveLocation | EngineLocation,
        *tags: str,
        tag: str | None = None,
    ) -> Copied:
        self.events.clear()
        request = CopyRequest(source=source, destination=destination, tag=tag, tags=tags)
        return copy(request, self.stores, emit=self.events.append)

    @property
    def ways(self) -> set[str]:
        return {event.how for event in self.events if isinstance(event, BlobDone)}


@pytest.fixture
def copying(stores: Stores) -> Copying:
    return Copying(stores)


@pytest.fixture
def here(stores: Stores) -> Store:
    """A repository in a layout."""
    return stores.repository(Repository("layout.localhost", "app"))


def test_from_the_engine_to_a_registry_and_back_keeps_the_image_id(
    images: EngineImages, copying: Copying, registry: Registry
) -> None:
    busybox = Path(program("busybox")).read_bytes()
    name = images.build({"busybox": busybox, "data": os.urandom(1000)}, 'CMD ["/busybox", "echo", "hi"]')
    before, repository = image_id(name), registry.repository()
    copied = copying(located(name), repository)
    assert (copied.uploaded, copied.roots[0].tag) == (3, "dev")
    images.remove(name)
    loaded = copying(repository.tagged("dev"), located(name))
    assert loaded.roots[0].digest == image_id(name) == before
    assert (loaded.uploaded, loaded.images, loaded.changed) == (2, 1, True)
    assert subprocess.check_output(["docker", "run", "--rm", "--network=none", name]) == b"hi\n"


def test_from_a_registry_to_the_engine_and_back_keeps_the_image_id(
    images: EngineImages, copying: Copying, registry: Registry
) -> None:
    repository, again, name = registry.repository(), registry.repository(), images.name()
    store = copying.stores.repository(repository, writes=True)
    image = put_image(store, file_layer("a", "a"), plain_layer("b", "b"), file_layer("a", "a"), oci=True, tag="v1")
    copying(repository.tagged("v1"), located(name))
    assert image_id(name) == image.config.digest
    copied = copying(located(name), again, tag="v1")
    there = copying.stores.repository(again).read_manifest("v1")
    assert there.digest == copied.roots[0].digest
    assert there.config.digest == image.config.digest


def test_skopeo_finds_the_same_image(images: EngineImages, copying: Copying, registry: Registry) -> None:
    skopeo = program("skopeo")
    name = images.build({"hello": os.urandom(100)})
    ours, theirs = registry.repository(), registry.repository()
    copying(located(name), ours)
    target = f"docker://{theirs}:dev"
    subprocess.run([skopeo, "copy", "--dest-tls-verify=false", f"docker-daemon:{name}", target], check=True)
    manifests = [copying.stores.repository(repository).read_manifest("dev") for repository in (ours, theirs)]
    assert {manifest.config.digest for manifest in manifests} == {image_id(name)}


def test_the_same_image_gives_the_same_manifest_everywhere(
    images: EngineImages, copying: Copying, registry: Registry, tmp_path: Path
) -> None:
    name = images.build({"one": b"1" * 100_000, "two": os.urandom(100_000)}, "LABEL a=b")
    archive = ArchiveLocation(str(tmp_path / "app.tar"))
    destinations = (registry.repository(), LayoutLocation(str(tmp_path / "layout")), archive)
    digests = {copying(located(name), destination).roots[0].digest for destination in destinations}
    digests.add(copying(EngineLocation(image_id(name)), Repository("layout.localhost", "by-id")).roots[0].digest)
    assert len(digests) == 1
    before = image_id(name)
    images.remove(name)
    copying(archive, located(name))
    assert image_id(name) == before


def test_what_the_destination_has_is_not_saved(
    images: EngineImages, copying: Copying, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, repository = images.build({"hello": os.urandom(100)}), registry.repository()
    first = copying(located(name), repository)
    monkeypatch.setattr(engine, "SavedImage", None)
    again = copying(located(name), repository)
    assert again.roots == first.roots
    assert not again.changed and copying.ways == {"present"}


def test_another_image_under_the_tag_is_replaced(images: EngineImages, copying: Copying) -> None:
    repository = Repository("layout.localhost", "app")
    for number in range(2):
        name = images.build({"hello": os.urandom(100 + number)})
        copying(located(name), repository, tag="v1")
        assert copying.stores.repository(repository).read_manifest("v1").config.digest == image_id(name)


def test_what_the_engine_has_is_not_sent(images: EngineImages, copying: Copying, here: Store) -> None:
    image = put_image(here, file_layer("a", os.urandom(100)), tag="v1")
    name, other = images.name(), images.name("stable")
    source = Repository("layout.localhost", "app").tagged("v1")
    assert copying(source, located(name)).changed
    assert copying.ways == {"transferred"}
    assert not copying(source, located(name)).changed
    assert copying.ways == {"present"}
    assert copying.events[0] == CopyPlanned(1, 1, image.layers[0].size)
    assert copying.events[-1] == ImageDone(f"docker-daemon:{name}", "present")
    assert copying(source, located(other)).changed
    assert copying.ways == {"present"}
    assert image_id(other) == image_id(name) == image.config.digest


def test_from_engine_to_engine_is_a_further_name(images: EngineImages, copying: Copying) -> None:
    name, other = images.build({"hello": os.urandom(100)}), images.name()
    further = images.also(other.replace(":dev", ":stable"))
    copied = copying(located(name), located(other), "stable")
    assert copied.changed and copied.uploaded == 0
    assert image_id(other) == image_id(further) == image_id(name) == copied.roots[0].digest
    assert not copying(located(name), located(other), "stable").changed


def test_an_index_stands_for_the_image_of_the_engines_platform(
    images: EngineImages, copying: Copying, here: Store
) -> None:
    own, name = engine.engine_platform().architecture, images.name()
    others = [each for each in ("s390x", "riscv64", "amd64") if each != own][:2]
    members = [put_image(here, file_layer(each, each), platform=_linux(each)) for each in (others[0], own, others[1])]
    put_index(here, members, tag="all", architectures=[others[0], own, others[1]])
    put_index(here, [members[0]], tag="foreign", architectures=[others[0]])
    repository = Repository("layout.localhost", "app")
    copied = copying(repository.tagged("all"), located(name))
    assert image_id(name) == copied.roots[0].digest == members[1].config.digest
    platform = f"no image for the Docker Engine's platform linux/{own}.*; its platforms: linux/{others[0]}"
    with pytest.raises(BundlepipeError, match=platform):
        copying(repository.tagged("foreign"), located(name))


def _linux(architecture: str) -> dict[str, str]:
    return {"os": "linux", "architecture": architecture}


def test_a_lock_of_one_image_is_loaded_and_one_of_several_is_not(
    images: EngineImages, copying: Copying, here: Store
) -> None:
    found = [put_image(here, file_layer(each, each)) for each in "ab"]
    repository, name = Repository("layout.localhost", "app"), images.name()
    entries = [ImageRef(repository.at(image.digest), {KBLD_ID: "a"}) for image in found]
    copying(ImagesLock(tuple(entries[:1])), located(name))
    assert image_id(name) == found[0].config.digest
    with pytest.raises(BundlepipeError, match="names one image, and the lock 2"):
        copying(ImagesLock(tuple(entries)), located(name))


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("bundle", "is a bundle, and the Docker Engine keeps single images"),
        ("windows", "may not be redistributed: let the Docker Engine pull it"),
        ("artifact", "is not a container image but an artifact of type 'application/example'"),
        ("odd", "its configuration has no rootfs"),
    ],
)
def test_what_an_engine_cannot_keep_is_refused(
    images: EngineImages, copying: Copying, here: Store, tag: str, message: str
) -> None:
    repository, name = Repository("layout.localhost", "app"), images.name()
    image = put_image(here, file_layer("a", "a"))
    put_bundle(copying.stores, repository.tagged("bundle"), [repository.at(image.digest)])
    layers = [layer.to_json() for layer in image.layers]
    put_image(here, file_layer("foreign", "f").as_foreign(), tag="windows")
    config = image.config.to_json()
    put_document(
        here, image.media_type, {"config": {**config, "mediaType": "application/example"}, "layers": layers}, "artifact"
    )
    odd = image.layers[0].to_json() | {"mediaType": image.config.media_type}
    put_document(here, image.media_type, {"config": odd, "layers": layers * 2}, "odd")
    with pytest.raises(BundlepipeError, match=message):
        copying(repository.tagged(tag), located(name))
    assert engine.find_image(located(name)) is None


def test_a_digest_is_no_destination(copying: Copying) -> None:
    with pytest.raises(BundlepipeError, match="is a name: give docker-daemon:NAME"):
        copying(Repository("layout.localhost", "app").tagged("v1"), EngineLocation(Digest.of(b"")))


def test_a_layer_that_breaks_on_the_way_loads_nothing(
    images: EngineImages, copying: Copying, here: Store, tmp_path: Path
) -> None:
    image, name = put_image(here, file_layer("a", os.urandom(100_000)), tag="v1"), images.name()
    blob = tmp_path / "registry" / "app" / "blobs" / "sha256" / image.layers[0].digest.encoded
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match="arrived with other content"):
        copying(Repository("layout.localhost", "app").tagged("v1"), located(name))
    assert engine.find_image(located(name)) is None


def test_an_image_of_the_engine_is_pulled_as_any_other(images: EngineImages, stores: Stores, tmp_path: Path) -> None:
    name = images.build({"hello": b"hello"})
    pulled = pull(located(name), str(tmp_path / "out"), stores)
    assert (tmp_path / "out" / "hello").read_bytes() == b"hello"
    assert pulled.store_name == f"docker-daemon:{name}"
    with pytest.raises(NotFound):
        pull(located(images.name()), str(tmp_path / "out"), stores)


def test_without_an_engine_copies_say_so(copying: Copying, here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    put_image(here, file_layer("a", "a"), tag="v1")
    repository = Repository("layout.localhost", "app")
    for source, destination in ((repository.tagged("v1"), located("app:v1")), (located("app:v1"), repository)):
        with pytest.raises(Unreachable, match=r"cannot reach the Docker Engine at unix:///nowhere/docker\.sock"):
            copying(source, destination)
    copying(repository.tagged("v1"), Repository("layout.localhost", "other"))
