"""Faults between us and a registry: the outcome is success with the right bytes, or a clear error on one line."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from bundlepipe.errors import BundlepipeError, IntegrityError, StoreError, Unreachable
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.http.reachability import LOOK_AGAIN
from bundlepipe.stores.registry.store import RegistryStore
from tests.support.clients import Client, Content, layer_of, push_image
from tests.support.proxy import (
    Alter,
    Cut,
    Delay,
    Fault,
    HangUp,
    Header,
    Proxy,
    RequestHeader,
    Reset,
    Respond,
    Truncate,
    Unframed,
)
from tests.support.services import Registry

LAYER = layer_of(1_500_000)
NEW = layer_of(1_500_001)


@dataclass
class Scene:
    """A repository that holds an image under the tag `v1`, seen through a proxy."""

    client: Client
    proxy: Proxy
    store: RegistryStore
    sibling: RegistryStore
    manifest: Manifest

    def do(self, method: str) -> object:
        """Call a method of the store, and return what shows that it did what it should."""
        store, manifest = self.store, self.manifest
        actions: dict[str, Callable[[], object]] = {
            "resolve": lambda: store.resolve("v1"),
            "read_manifest": lambda: store.read_manifest("v1").raw,
            "has_manifest": lambda: store.has_manifest(manifest.digest),
            "read_blob": lambda: _content_of(store, LAYER),
            "has_blob": lambda: store.has_blob(LAYER.descriptor),
            "put_blob": lambda: _pushed(store, NEW),
            "mount_blob": lambda: self.sibling.mount_blob(LAYER.descriptor, store),
            "put_manifest": lambda: _tagged(store, manifest),
            "list_tags": lambda: list(store.list_tags()),
        }
        self.proxy.forget()
        return actions[method]()

    def expected(self, method: str) -> object:
        """Return what `do` returns if all goes well."""
        results: dict[str, object] = {
            "resolve": self.manifest.digest,
            "read_manifest": self.manifest.raw,
            "read_blob": LAYER.data,
            "put_blob": NEW.data,
            "put_manifest": self.manifest.digest,
            "list_tags": ["v1"],
        }
        return results.get(method, True)


# Where a fault strikes each method: the request that matters to it.
REQUESTS = {
    "resolve": ("HEAD", "/manifests/"),
    "read_manifest": ("GET", "/manifests/"),
    "has_manifest": ("HEAD", "/manifests/sha256"),
    "read_blob": ("GET", "/blobs/"),
    "has_blob": ("HEAD", "/blobs/"),
    "put_blob": ("PUT", "/blobs/uploads/"),
    "mount_blob": ("POST", "mount="),
    "put_manifest": ("PUT", "/manifests/"),
    "list_tags": ("GET", "/tags/list"),
}
METHODS = list(REQUESTS)
READERS = ["read_manifest", "read_blob", "list_tags"]


def _pushed(store: RegistryStore, content: Content) -> bytes:
    store.put_blob(content.descriptor, content.open)
    return _content_of(store, content)


def _tagged(store: RegistryStore, manifest: Manifest) -> Digest:
    store.put_manifest(manifest, "v2")
    return store.resolve("v2")


def _content_of(store: RegistryStore, content: Content) -> bytes:
    return b"".join(store.read_blob(content.descriptor))


@pytest.fixture(scope="module")
def original(registry: Registry) -> tuple[Repository, Manifest]:
    """An image that is pushed once; each test mounts it into a repository of its own."""
    repository = registry.repository("original")
    return repository, push_image(Client().store(repository), LAYER)


@pytest.fixture
def scene(registry: Registry, proxy: Proxy, original: tuple[Repository, Manifest]) -> Scene:
    return _scene(Client(), registry, proxy, original)


@pytest.fixture
def impatient_scene(registry: Registry, proxy: Proxy, original: tuple[Repository, Manifest]) -> Scene:
    return _scene(Client(timeout=0.3, tries=2), registry, proxy, original)


def _scene(client: Client, registry: Registry, proxy: Proxy, original: tuple[Repository, Manifest]) -> Scene:
    repository, manifest = original
    direct = Client().store(registry.repository())
    for blob in (manifest.config, *manifest.layers):
        assert direct.mount_blob(blob, Client().store(repository))
    direct.put_manifest(manifest, "v1")
    store = client.store(direct.repository, through=proxy.host)
    assert store.has_blob(LAYER.descriptor), "the registry is known to be plain HTTP, and there"
    return Scene(client, proxy, store, client.store(registry.repository("sibling"), through=proxy.host), manifest)


@pytest.mark.parametrize(
    ("method", "status"),
    [*((method, 503) for method in METHODS), *(("read_manifest", status) for status in (408, 429, 500, 502, 504))],
)
def test_a_passing_refusal_is_overcome(scene: Scene, method: str, status: int) -> None:
    scene.proxy.fault(*REQUESTS[method], Respond(status), times=2)

    assert scene.do(method) == scene.expected(method)
    assert scene.proxy.count(*REQUESTS[method]) == 3
    assert [reason[:4] for reason in scene.client.retries] == [f"{status} "] * 2
    assert len(scene.client.pauses) == 2


@pytest.mark.parametrize("method", METHODS)
def test_a_lasting_refusal_is_an_error_on_one_line(scene: Scene, method: str) -> None:
    body = b'{"errors":[{"code":"UNAVAILABLE","message":"not\\nnow"}]}'
    scene.proxy.fault(*REQUESTS[method], Respond(503, {}, body), times=99)

    with pytest.raises(StoreError) as error:
        scene.do(method)
    assert scene.proxy.count(*REQUESTS[method]) == 5
    words = "UNAVAILABLE: not now" if REQUESTS[method][0] != "HEAD" else "503 Service Unavailable"
    assert words in str(error.value)
    assert str(error.value).endswith("; gave up after 5 attempts")
    assert "\n" not in str(error.value)
    assert f"http://{scene.proxy.host}/v2/" in str(error.value)


def test_who_is_told_to_slow_down_does_so_for_minutes_before_giving_up(scene: Scene) -> None:
    scene.proxy.fault("GET", "/manifests/", Respond(429), times=11)
    assert scene.do("read_manifest") == scene.expected("read_manifest")
    assert 60 < sum(scene.client.pauses) < 300
    scene.proxy.fault("GET", "/manifests/", Respond(429), times=99)
    with pytest.raises(StoreError, match="429 Too Many Requests; gave up after 12 attempts"):
        scene.do("read_manifest")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_refusal_for_good_is_not_argued_with(scene: Scene, method: str, status: int) -> None:
    request = REQUESTS[method]
    tolerated = method == "mount_blob" or (status in (404, 405) and method in ("has_manifest", "has_blob", "resolve"))
    scene.proxy.fault(*request, Respond(status, {}, b'{"errors":[{"code":"NO","message":"never"}]}'), times=99)

    if tolerated and (method, status) not in {("resolve", 404), ("has_blob", 405)}:
        scene.do(method)
    else:
        with pytest.raises(StoreError) as error:
            scene.do(method)
        assert ("NO: never" if request[0] != "HEAD" else f"{status} ") in str(error.value)
    assert scene.proxy.count(*request) == 1
    assert scene.client.retries == []


@pytest.mark.parametrize("method", METHODS)
def test_a_reset_connection_is_replaced(scene: Scene, method: str) -> None:
    scene.proxy.fault(*REQUESTS[method], Reset(), times=2)

    assert scene.do(method) == scene.expected(method)
    assert scene.proxy.count(*REQUESTS[method]) == 3
    assert all(reason.startswith("the connection broke: ") for reason in scene.client.retries)


@pytest.mark.parametrize("method", METHODS)
def test_a_connection_that_is_always_reset_is_an_error(scene: Scene, method: str) -> None:
    scene.proxy.fault(*REQUESTS[method], Reset(), times=99)

    with pytest.raises(Unreachable, match=r"^\w+ http://\S+: the connection broke: .*; gave up after 5 attempts$"):
        scene.do(method)
    assert scene.proxy.count(*REQUESTS[method]) == 5


@pytest.mark.parametrize("method", METHODS)
def test_a_kept_connection_that_the_server_closes_is_replaced_at_once(scene: Scene, method: str) -> None:
    scene.proxy.fault(*REQUESTS[method], HangUp())

    assert scene.do(method) == scene.expected(method)
    assert scene.proxy.count(*REQUESTS[method]) == 2
    assert scene.client.retries == []


@pytest.mark.parametrize("method", METHODS)
def test_a_server_that_always_hangs_up_is_an_error(scene: Scene, method: str) -> None:
    scene.proxy.fault(*REQUESTS[method], HangUp(), times=99)

    with pytest.raises(
        Unreachable, match=r": Remote end closed connection without response; gave up after 5 attempts$"
    ):
        scene.do(method)
    assert len(scene.client.retries) == 4


@pytest.mark.parametrize("method", READERS)
@pytest.mark.parametrize("after", [0, 10])
def test_an_answer_that_is_cut_off_is_fetched_again(scene: Scene, method: str, after: int) -> None:
    scene.proxy.fault(*REQUESTS[method], Cut(after), times=2)

    assert scene.do(method) == scene.expected(method)
    assert scene.proxy.count(*REQUESTS[method]) == 3


@pytest.mark.parametrize("method", ["has_blob", "read_blob", "put_blob", "read_manifest"])
def test_a_silent_registry_is_given_up(impatient_scene: Scene, method: str) -> None:
    impatient_scene.proxy.fault(*REQUESTS[method], Delay(60), times=99)

    with pytest.raises(Unreachable, match=r": timeout awaiting response headers; gave up after 2 attempts$"):
        impatient_scene.do(method)


def test_a_registry_that_falls_silent_in_a_body_is_asked_for_the_rest(impatient_scene: Scene) -> None:
    impatient_scene.proxy.fault("GET", "/blobs/", Header("Content-Length", "9000000"))

    assert impatient_scene.do("read_blob") == LAYER.data
    assert impatient_scene.client.retries == ["timeout awaiting data"]


def test_retry_after_is_honoured(scene: Scene) -> None:
    scene.proxy.fault("GET", "/manifests/", Respond(429, {"Retry-After": "7"}))
    moment = datetime.now(timezone.utc) + timedelta(seconds=60)
    scene.proxy.fault("GET", "/manifests/", Respond(503, {"Retry-After": format_datetime(moment, usegmt=True)}))
    scene.proxy.fault("GET", "/manifests/", Respond(503, {"Retry-After": "soon"}))
    scene.store.read_manifest("v1")

    seconds, date, nonsense = scene.client.pauses
    assert 7 <= seconds <= 8
    assert 50 <= date <= 66
    assert nonsense < 2


def test_a_registry_that_wants_a_long_rest_gets_it(scene: Scene) -> None:
    scene.proxy.fault("GET", "/manifests/", Respond(429, {"Retry-After": "3600"}), times=9)

    with pytest.raises(StoreError, match="429 Too Many Requests; the server asks to come back in 3600 s"):
        scene.store.read_manifest("v1")
    assert scene.client.pauses == []


def test_pauses_grow(scene: Scene) -> None:
    scene.proxy.fault("GET", "/manifests/", Respond(500), times=4)
    scene.store.read_manifest("v1")

    bounds = [(0.125, 0.25), (0.25, 0.5), (0.5, 1), (1, 2)]
    assert all(low <= pause <= high for pause, (low, high) in zip(scene.client.pauses, bounds, strict=True))


def _ranges(proxy: Proxy) -> list[str | None]:
    return [seen.headers.get("Range") for seen in proxy.requests if seen.method == "GET"]


def test_a_broken_download_goes_on_where_it_stopped(scene: Scene) -> None:
    scene.proxy.fault("GET", "/blobs/", Cut(600_000))
    scene.proxy.fault("GET", "/blobs/", Reset())
    scene.proxy.fault("GET", "/blobs/", Cut(300_000))
    scene.proxy.forget()

    assert _content_of(scene.store, LAYER) == LAYER.data
    assert _ranges(scene.proxy) == [None, "bytes=600000-", "bytes=600000-", "bytes=900000-"]


def test_progress_refills_the_tries_of_a_download(scene: Scene) -> None:
    for _ in range(3):
        scene.proxy.fault("GET", "/blobs/", Cut(300_000))
        scene.proxy.fault("GET", "/blobs/", Reset(), times=3)

    assert _content_of(scene.store, LAYER) == LAYER.data
    assert len(scene.client.retries) == 12


def test_a_download_without_progress_is_given_up(scene: Scene) -> None:
    scene.proxy.fault("GET", "/blobs/", Cut(300_000))
    scene.proxy.fault("GET", "/blobs/", Reset(), times=99)

    with pytest.raises(Unreachable, match=r"the connection broke: .*; gave up after 5 attempts"):
        _content_of(scene.store, LAYER)


def test_a_registry_that_ignores_ranges_is_coped_with(scene: Scene) -> None:
    scene.proxy.fault("GET", "/blobs/", Cut(600_000))
    scene.proxy.fault("GET", "/blobs/", RequestHeader("Range", None), Header("Accept-Ranges", "none"))

    assert _content_of(scene.store, LAYER) == LAYER.data


def test_a_range_that_begins_earlier_is_coped_with(scene: Scene) -> None:
    scene.proxy.fault("GET", "/blobs/", Cut(600_000))
    scene.proxy.fault("GET", "/blobs/", RequestHeader("Range", "bytes=1000-"))

    assert _content_of(scene.store, LAYER) == LAYER.data


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (RequestHeader("Range", "bytes=1000000-"), "the server left out bytes when the download was resumed"),
        (Header("Content-Range", None), "the server sent a part without saying which"),
    ],
)
def test_a_part_that_does_not_fit_is_an_error(scene: Scene, fault: Fault, message: str) -> None:
    scene.proxy.fault("GET", "/blobs/", Cut(600_000))
    scene.proxy.fault("GET", "/blobs/", fault)

    with pytest.raises(StoreError, match=message):
        _content_of(scene.store, LAYER)


def test_a_cut_after_the_last_byte_is_no_fault(scene: Scene) -> None:
    scene.proxy.fault("GET", "/blobs/", Header("Content-Length", str(len(LAYER.data) + 1)), Cut(len(LAYER.data)))

    assert _content_of(scene.store, LAYER) == LAYER.data
    assert scene.client.retries == []


def test_a_body_without_length_that_ends_early_is_resumed(scene: Scene) -> None:
    scene.proxy.fault("GET", "/blobs/", Unframed(after=600_000))
    scene.proxy.fault("GET", "/blobs/", Unframed())
    scene.proxy.forget()

    assert _content_of(scene.store, LAYER) == LAYER.data
    assert _ranges(scene.proxy) == [None, "bytes=600000-"]


def test_a_blob_that_is_shorter_than_stated_is_an_error(scene: Scene) -> None:
    scene.proxy.fault("GET", "/blobs/", Truncate(1_000_000))

    with pytest.raises(IntegrityError, match=f"{LAYER.descriptor.digest} ended after 1000000 of 1500000 bytes"):
        _content_of(scene.store, LAYER)


@pytest.mark.parametrize("at", [0, 700_000, 1_499_999])
def test_an_altered_blob_is_an_error(scene: Scene, at: int) -> None:
    scene.proxy.fault("GET", "/blobs/", Alter(at))

    with pytest.raises(IntegrityError, match=f"{LAYER.descriptor.digest} arrived with other content"):
        _content_of(scene.store, LAYER)
    assert _content_of(scene.store, LAYER) == LAYER.data


def test_a_blob_that_is_longer_than_stated_is_an_error(scene: Scene) -> None:
    scene.proxy.fault("GET", "/blobs/", Respond(200, {}, LAYER.data + b"x"))

    with pytest.raises(IntegrityError, match="is larger than the 1500000 bytes"):
        _content_of(scene.store, LAYER)


def test_an_altered_manifest_is_an_error(scene: Scene) -> None:
    scene.proxy.fault("GET", "/manifests/", Alter(20))

    with pytest.raises(IntegrityError, match=r":v1: manifest sha256:\w+ arrived with other content"):
        scene.store.read_manifest("v1")


def test_a_content_encoding_is_not_decoded(scene: Scene) -> None:
    scene.proxy.fault("GET", "/blobs/", Header("Content-Encoding", "gzip"))

    assert _content_of(scene.store, LAYER) == LAYER.data


@pytest.mark.parametrize("fault", [Reset(after=700_000), Respond(500), Reset(after=1_500_001)])
def test_a_broken_upload_starts_again_as_a_whole(scene: Scene, fault: Fault) -> None:
    content = Content(NEW.data)
    scene.proxy.fault("PUT", "/blobs/uploads/", fault, times=2)
    scene.proxy.forget()
    scene.store.put_blob(content.descriptor, content.open)

    assert [scene.proxy.count(method, "/blobs/") for method in ("HEAD", "POST", "PUT")] == [1, 3, 3]
    assert content.opened == 3
    assert _content_of(scene.store, NEW) == NEW.data


def test_an_upload_that_never_gets_through_is_an_error(scene: Scene) -> None:
    scene.proxy.fault("PUT", "/blobs/uploads/", Reset(after=700_000), times=99)

    with pytest.raises(Unreachable, match=r"^PUT http://[^?]*: the connection broke: .*; gave up after 5 attempts$"):
        scene.store.put_blob(NEW.descriptor, NEW.open)
    assert not scene.store.has_blob(NEW.descriptor)


def test_an_upload_that_is_refused_early_says_why(scene: Scene) -> None:
    body = b'{"errors":[{"code":"SIZE_INVALID","message":"too large for this project"}]}'
    scene.proxy.fault("PUT", "/blobs/uploads/", Respond(413, {}, body))

    with pytest.raises(StoreError, match=r": SIZE_INVALID: too large for this project$"):
        scene.store.put_blob(NEW.descriptor, NEW.open)
    assert scene.client.retries == []


def test_no_registry_at_all_is_an_error(own_registry: Registry) -> None:
    own_registry.stop()
    client = Client()

    with pytest.raises(Unreachable) as error:
        client.store(own_registry.repository()).resolve("v1")
    assert str(error.value) == (
        f"registry {own_registry.host}: cannot connect: Connection refused; gave up after 5 attempts"
    )
    assert len(client.pauses) == 4


def test_a_registry_that_goes_away_and_comes_back_is_used_again(own_registry: Registry) -> None:
    client = Client()
    store = client.store(own_registry.repository())
    pushed = push_image(store)
    own_registry.stop()
    with pytest.raises(Unreachable):
        store.read_manifest("v1")
    own_registry.start()
    client.now += LOOK_AGAIN

    assert store.read_manifest("v1") == pushed


@pytest.mark.parametrize("name", ["registry.invalid", "registry.local"])
def test_a_host_that_does_not_exist_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def no_such_host(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
    client = Client()
    with pytest.raises(Unreachable, match=rf"{name}\S*: there is no such host: Name or service not known$"):
        client.store(Repository(name, "app")).resolve("v1")
    assert client.retries == []


def test_threads_share_the_fault_of_the_first_contact(own_registry: Registry) -> None:
    own_registry.stop()
    client, start = Client(tries=2), threading.Barrier(6)
    repository = own_registry.repository()

    def work(_: int) -> str:
        start.wait()
        with pytest.raises(Unreachable) as error:
            client.store(repository).resolve("v1")
        return str(error.value)

    with ThreadPoolExecutor(6) as pool:
        messages = set(pool.map(work, range(6)))
    assert len(messages) == 1


def test_a_push_over_a_faulty_connection_is_complete(scene: Scene) -> None:
    for request in [("HEAD", "/blobs/"), ("POST", "/uploads/"), ("PUT", "/uploads/"), ("PUT", "/manifests/")]:
        scene.proxy.fault(*request, Reset())
        scene.proxy.fault(*request, Respond(429, {"Retry-After": "1"}))
    layer = layer_of(50_000, 99)

    pushed = push_image(scene.sibling, layer)

    direct = Client().store(scene.sibling.repository)
    assert direct.read_manifest("v1") == pushed
    assert _content_of(direct, layer) == layer.data
    assert len(scene.client.retries) == 8


def test_every_error_is_one_line_that_names_the_request(scene: Scene) -> None:
    faults: list[Fault] = [Reset(), Truncate(3), Alter(3), Respond(500), Respond(404), Respond(200, {}, b"\n\n")]
    place = re.compile(rf"http://{re.escape(scene.proxy.host)}/v2/[^?]*: |{re.escape(scene.store.name)}\b")
    for method in READERS:
        for fault in faults:
            scene.proxy.fault(*REQUESTS[method], fault, times=99)
            with pytest.raises(BundlepipeError) as error:
                scene.do(method)
            scene.proxy.heal()
            assert "\n" not in str(error.value)
            assert place.search(str(error.value))
        assert scene.do(method) == scene.expected(method)
