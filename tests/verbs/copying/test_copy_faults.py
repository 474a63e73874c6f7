"""copy between faulty registries: the right bytes or a clear error, and nothing half done."""

from __future__ import annotations

import math
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from bundlepipe.errors import BundlepipeError, IntegrityError, StoreError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.opening import CONCURRENT_TRANSFERS, Stores
from bundlepipe.stores.protocol import find_manifest
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import Copied, CopyRequest
from bundlepipe.verbs.shared.bundles import locations_tag
from tests.support.gauge import Gauge
from tests.support.images import (
    World,
    assert_whole,
    closure,
    file_layer,
    put_bundle,
    put_image,
    put_images,
    put_index,
    random_layer,
)
from tests.support.proxy import Alter, Cut, Exchange, Fault, Header, Proxy, Reset, Respond, Truncate, Unframed
from tests.support.services import Registry

pytestmark = pytest.mark.usefixtures("_impatient")

BUSY = Respond(429, {"Retry-After": "0"}, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}')
PASSING: dict[str, Fault] = {
    "cut": Cut(100),
    "silent": Cut(0),
    "reset": Reset(),
    "unframed": Unframed(100),
    "500": Respond(500),
    "502": Respond(502),
    "503": Respond(503),
    "429": BUSY,
}
LASTING: dict[str, Fault] = {
    "cut": Cut(0),
    "reset": Reset(),
    "500": Respond(500),
    "429": BUSY,
    "404": Respond(404),
    "403": Respond(403),
    "other content": Respond(200, {"Content-Type": "application/octet-stream"}, b"{}"),
    "truncated": Truncate(100),
    "altered": Alter(50),
}


class Scene:
    """A bundle behind one faulty registry, to be copied to another faulty one or to a tar.

    The two are proxies in front of the same registry: by their names they are two.
    """

    def __init__(self, registry: Registry) -> None:
        self.source, self.destination = Proxy(registry.host), Proxy(registry.host)
        self.stores = Stores()
        self.repository = Repository(self.source.host, registry.repository("source").path)
        self.store = self.stores.repository(self.repository, writes=True)
        images = [put_image(self.store, random_layer(20_000, number), tag=None) for number in range(4)]
        index = put_index(self.store, images[:2])
        self.victim = images[3]
        named = [self.repository.at(manifest.digest) for manifest in (index, *images[2:])]
        bundle = put_bundle(self.stores, self.repository.tagged("v1"), named)
        self.manifests = [*images, index, bundle]
        self.root = bundle

    def begin(self, target: str, archive: Path) -> None:
        """Begin a test, with a repository and a tar of its own to copy to."""
        self.target = Repository(self.destination.host, target)
        self.archive = archive
        for proxy in (self.source, self.destination):
            proxy.heal()
            proxy.forget()

    def close(self) -> None:
        """Close the proxies."""
        self.source.close()
        self.destination.close()

    def copy(self, to: str = "registry") -> Copied:
        """Copy with a client that knows nothing yet."""
        place = ArchiveLocation(str(self.archive)) if to == "tar" else self.target
        return copy(CopyRequest(source=self.repository.tagged("v1"), destination=place), Stores())

    def assert_arrived(self, to: str = "registry") -> None:
        """Raise AssertionError unless everything is there, byte for byte."""
        self.source.heal()
        self.destination.heal()
        place: Reference | ArchiveLocation = self.target.tagged("v1")
        store, root = Stores().locate(ArchiveLocation(str(self.archive)) if to == "tar" else place)
        assert root.digest == self.root.digest
        for manifest in self.manifests:
            assert closure(store, manifest.digest)[manifest.digest] == manifest.raw

    def assert_nothing_half_done(self, error: BaseException, to: str = "registry") -> None:
        """Raise AssertionError unless it failed in one line and left nothing that looks complete."""
        assert "\n" not in str(error)
        self.source.heal()
        self.destination.heal()
        assert not self.archive.exists()
        assert find_manifest(Stores().repository(self.target), "v1") is None
        self.copy(to)
        self.assert_arrived(to)


@pytest.fixture(scope="module")
def _scene(registry: Registry) -> Iterator[Scene]:
    scene = Scene(registry)
    yield scene
    scene.close()


@pytest.fixture
def scene(_scene: Scene, registry: Registry, tmp_path: Path) -> Scene:
    _scene.begin(registry.repository("target").path, tmp_path / "bundle.tar")
    return _scene


@pytest.mark.parametrize("to", ["registry", "tar"])
@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (path, fault)
        for path in ("/manifests/", "/blobs/")
        for fault in PASSING
        # A manifest that is cut and unframed looks like a whole one with other content.
        if (path, fault) != ("/manifests/", "unframed")
    ],
)
def test_passing_faults_of_the_source_are_overcome(path: str, fault: str, to: str, scene: Scene) -> None:
    scene.source.fault("GET", path, PASSING[fault], times=3, skip=1)
    scene.copy(to)
    assert len(scene.source.requests) > 3
    scene.assert_arrived(to)


@pytest.mark.parametrize("to", ["registry", "tar"])
@pytest.mark.parametrize("part", ["manifest", "config", "layer", "bundle"])
@pytest.mark.parametrize("fault", LASTING)
def test_lasting_faults_of_the_source_are_errors(fault: str, part: str, to: str, scene: Scene) -> None:
    victim = scene.victim
    digests = {
        "manifest": victim.digest,
        "config": victim.config.digest,
        "layer": victim.layers[0].digest,
        "bundle": scene.root.layers[0].digest,
    }
    scene.source.fault("GET", digests[part], LASTING[fault], times=math.inf)
    with pytest.raises(BundlepipeError, match=digests[part]) as failure:
        scene.copy(to)
    scene.assert_nothing_half_done(failure.value, to)


WRITES = [
    ("HEAD", "/blobs/"),
    ("POST", "/uploads/"),
    ("PUT", "/uploads/"),
    ("PUT", "/manifests/"),
    ("GET", "/tags/list"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("fault", ["reset", "500", "503", "429"])
def test_passing_faults_of_the_destination_are_overcome(fault: str, method: str, path: str, scene: Scene) -> None:
    faults = {**PASSING, "reset": Reset(after=1000)}
    scene.destination.fault(method, path, faults[fault], times=3)
    scene.copy()
    assert scene.destination.count(method, path) > 1
    scene.assert_arrived()


@pytest.mark.parametrize(
    ("method", "path", "fault"),
    [
        (method, path, fault)
        for method, path in WRITES[:-1]
        for fault in ("reset", "500", "429", "404", "403")
        if (method, fault) != ("HEAD", "404")  # which is no fault
    ],
)
def test_lasting_faults_of_the_destination_are_errors(method: str, path: str, fault: str, scene: Scene) -> None:
    scene.destination.fault(method, path, LASTING[fault], times=math.inf, skip=2)
    with pytest.raises(StoreError) as failure:
        scene.copy()
    scene.assert_nothing_half_done(failure.value)


@pytest.mark.parametrize("path", ["/uploads/", "/manifests/"])
def test_a_registry_that_stores_something_else_is_found_out(path: str, scene: Scene) -> None:
    other = str(Digest.of(b"something else"))
    scene.destination.fault("PUT", path, Header("Docker-Content-Digest", other), times=1)
    with pytest.raises(IntegrityError, match=other) as failure:
        scene.copy()
    scene.assert_nothing_half_done(failure.value)


class _Unlucky:
    """Picks one request of `every`, but for the same thing `most` times: beyond that it would rightly be given up."""

    def __init__(self, every: int, most: int) -> None:
        self._numbers = count(1)
        self._every = every
        self._most = most
        self._picked: Counter[tuple[str, str]] = Counter()

    def __call__(self, seen: Exchange) -> bool:
        if next(self._numbers) % self._every:
            return False
        # The session of an upload is new each time; the blob is not.
        path = seen.path.partition("digest=")[2] or seen.path
        self._picked[seen.method, path] += 1
        return self._picked[seen.method, path] <= self._most


@pytest.mark.parametrize("to", ["registry", "tar"])
def test_every_tenth_request_may_fail(to: str, scene: Scene) -> None:
    unlucky = _Unlucky(10, most=2)
    for proxy in (scene.source, scene.destination):
        proxy.fault("*", "", Respond(500), times=math.inf, when=unlucky)
    scene.copy(to)
    assert any(seen.status == 500 for seen in scene.source.requests)
    scene.assert_arrived(to)


def test_a_storm_of_refusals_is_weathered(scene: Scene) -> None:
    for proxy in (scene.source, scene.destination):
        proxy.fault("GET", "", Respond(429, {"Retry-After": "1"}), times=2, skip=7)
        proxy.fault("*", "", BUSY, times=math.inf, when=_Unlucky(1, most=1))
    scene.copy()
    # Everything is refused the first time.
    refused = [seen for seen in scene.destination.requests if seen.status == 429]
    assert len(refused) > len(scene.destination.requests) / 3
    scene.assert_arrived()


@pytest.mark.parametrize("to", ["registry", "tar"])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_the_bytes_are_right_or_the_error_is_clear(seed: int, to: str, scene: Scene) -> None:
    chance = random.Random(seed)
    lock = threading.Lock()

    def happens(seen: Exchange) -> bool:
        with lock:
            return chance.random() < 0.02

    for proxy in (scene.source, scene.destination):
        for fault in (*PASSING.values(), Alter(20), Truncate(10), Reset(500), Respond(404)):
            proxy.fault("*", "", fault, times=math.inf, when=happens)
    try:
        scene.copy(to)
    except BundlepipeError as error:
        scene.assert_nothing_half_done(error, to)
    else:
        scene.assert_arrived(to)


@pytest.mark.parametrize(
    ("source_limit", "destination_limit"),
    [(None, None), (2, None), (None, 3), (4, 2), (1, 1)],
)
def test_no_more_blobs_are_on_their_way_than_allowed(
    source_limit: int | None, destination_limit: int | None, scene: Scene
) -> None:
    layers = [random_layer(2000, number) for number in range(100, 124)]
    images = [put_image(scene.store, *layers[start : start + 4]) for start in range(0, 24, 4)]
    bundle = scene.repository.tagged("wide")
    put_bundle(scene.stores, bundle, [scene.repository.at(image.digest) for image in images])
    downloads = Gauge(scene.source, "GET", "/blobs/")
    uploads = Gauge(scene.destination, "PUT", "/blobs/uploads/")
    limits = {
        scene.source.host: RegistrySettings(concurrency=source_limit),
        scene.destination.host: RegistrySettings(concurrency=destination_limit),
    }
    copy(CopyRequest(source=bundle, destination=scene.target), Stores(limits))
    assert uploads.most <= (destination_limit or CONCURRENT_TRANSFERS)
    assert downloads.most <= (source_limit or CONCURRENT_TRANSFERS)
    assert (uploads.most > 1) == (destination_limit != 1)


def test_a_tar_is_written_with_as_many_downloads_as_allowed(scene: Scene) -> None:
    images = put_images(scene.store, 8, own=3)
    bundle = scene.repository.tagged("wide")
    put_bundle(scene.stores, bundle, [scene.repository.at(image.digest) for image in images])
    downloads = Gauge(scene.source, "GET", "/blobs/")
    copy(CopyRequest(source=bundle, destination=ArchiveLocation(str(scene.archive))), Stores())
    assert 1 < downloads.most <= CONCURRENT_TRANSFERS


def _make_immutable(proxy: Proxy, status: int) -> None:
    """Make a registry refuse every tag that was put before, were it for the same manifest."""
    put: set[str] = set()

    def is_taken(seen: Exchange) -> bool:
        tag = seen.path.rpartition("/")[2]
        was_put = tag in put
        put.add(tag)
        return was_put

    body = b'{"errors":[{"code":"TAG_INVALID","message":"the tag exists and is immutable"}]}'
    proxy.fault("PUT", "/manifests/(?!sha256:)", Respond(status, body=body), times=math.inf, when=is_taken)


@pytest.fixture
def destination(registry: Registry, proxy: Proxy) -> Repository:
    """A repository of the registry behind the proxy."""
    return Repository(proxy.host, registry.repository("copy").path)


@pytest.mark.parametrize("status", [400, 403, 409])
def test_a_registry_with_immutable_tags_takes_the_same_again(
    status: int, world: World, destination: Repository, proxy: Proxy, tmp_path: Path
) -> None:
    _make_immutable(proxy, status)
    archive = ArchiveLocation(str(tmp_path / "bundle.tar"))
    copy(CopyRequest(source=world.root, destination=archive), Stores())
    first = copy(CopyRequest(source=world.root, destination=destination), Stores())
    for source in (world.root, archive, world.root.repository.at(world.root_digest), destination.tagged("v1")):
        again = copy(CopyRequest(source=source, destination=destination, tag="v1"), Stores())
        assert again.lock == first.lock
    assert_whole(Stores().repository(destination), world)


@pytest.mark.parametrize("status", [400, 403, 409])
def test_a_registry_with_immutable_tags_keeps_a_tag_where_it_is(
    status: int, world: World, destination: Repository, proxy: Proxy
) -> None:
    _make_immutable(proxy, status)
    app = copy(CopyRequest(source=world.images["app"], destination=destination, tag="v1"), Stores()).roots[0].digest
    with pytest.raises(StoreError) as failure:
        copy(CopyRequest(source=world.root, destination=destination), Stores())
    message = str(failure.value)
    assert f"{destination}:v1" in message and app in message and world.root_digest in message
    assert "\n" not in message
    assert Stores().repository(destination).resolve("v1") == app


def test_tags_that_are_there_already_are_as_good_as_our_own(
    registry: Registry, world: World, destination: Repository, proxy: Proxy
) -> None:
    _make_immutable(proxy, 400)
    images = [world.images[name] for name in world.contents["outer"]]
    # As a push leaves it: with tags, and without the images.
    bundle = put_bundle(Stores(), destination.tagged("v1"), images, {"config.yml": "of: another\n"})
    stores = Stores()
    source = registry.repository("again").tagged("v1")
    assert put_bundle(stores, source, images, {"config.yml": "of: another\n"}).digest == bundle.digest
    copied = copy(CopyRequest(source=source, destination=destination), stores)
    assert copied.roots[0].digest == bundle.digest
    store = stores.repository(destination)
    for manifest in world.manifests.values():
        if manifest.digest != world.root_digest:
            assert closure(store, manifest.digest, world.left_out)


def test_other_locations_than_ours_are_left_where_they_cannot_be_replaced(
    world: World, destination: Repository, proxy: Proxy
) -> None:
    _make_immutable(proxy, 409)
    stores = Stores()
    tags = [locations_tag(bundle.digest) for bundle in world.bundles.values()]
    other: list[Manifest] = [
        put_image(
            stores.repository(destination, writes=True), file_layer("image-locations.yml", _NO_LOCATIONS), tag=tag
        )
        for tag in tags
    ]
    copy(CopyRequest(source=world.root, destination=destination), stores)
    store = stores.repository(destination)
    assert_whole(store, world)
    assert [store.resolve(tag) for tag in tags] == [manifest.digest for manifest in other]


_NO_LOCATIONS = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nimages: null\nkind: ImageLocations\n"


def test_an_error_names_the_image_and_where_it_was_looked_for(scene: Scene, registry: Registry) -> None:
    missing = scene.repository.at(Digest.of(b"missing"))
    root = registry.repository("bundle").tagged("v1")
    put_bundle(Stores(), root, [missing])
    with pytest.raises(StoreError, match=re.escape(str(missing))) as failure:
        copy(CopyRequest(source=root, destination=scene.target), Stores())
    assert root.repository.path in str(failure.value)
