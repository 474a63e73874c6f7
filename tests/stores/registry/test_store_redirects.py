"""Redirects, and the URLs that a registry hands out: followed, but never with credentials to another origin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bundlepipe.errors import AccessDenied, StoreError
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.registry.store import RegistryStore
from tests.support.clients import Client, Content, layer_of, push_image
from tests.support.keychains import alice
from tests.support.proxy import Cut, Proxy, Respond
from tests.support.registries import PasswordRegistry
from tests.support.services import Registry

LAYER = layer_of(700_000)


@dataclass
class Scene:
    """A repository of a registry that wants a password, and a storage host that wants none and has its content."""

    store: RegistryStore
    front: Proxy
    storage: Proxy
    manifest: Manifest

    def redirect(self, method: str, path: str, status: int, location: str = "", times: float = 1) -> None:
        """Let the registry send requests away, by default to where the storage host has the same."""
        proxy = self.front
        base = f"http://{self.storage.host}/v2/{self.store.repository.path}"
        target = location or f"{base}/{'manifests/v1' if 'manifests' in path else f'blobs/{LAYER.descriptor.digest}'}"
        proxy.fault(method, path, Respond(status, {"Location": f"{target}?signature=SECRET"}), times=times)


@pytest.fixture
def scene(authenticated_registry: PasswordRegistry, registry: Registry, make_proxy: Callable[..., Proxy]) -> Scene:
    front, storage = make_proxy(authenticated_registry.host), make_proxy(registry.host)
    client = Client(keychain=alice())
    store = client.store(authenticated_registry.repository("redirected"), through=front.host)
    manifest = push_image(store, LAYER)
    push_image(Client().store(store.repository, through=storage.host), LAYER)
    storage.forget()
    return Scene(store, front, storage, manifest)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_content_elsewhere_is_fetched_without_credentials(scene: Scene, status: int) -> None:
    scene.redirect("GET", "/blobs/", status)
    scene.redirect("GET", "/manifests/", status)
    scene.redirect("HEAD", "/manifests/", status)

    assert b"".join(scene.store.read_blob(LAYER.descriptor)) == LAYER.data
    assert scene.store.read_manifest("v1") == scene.manifest
    assert scene.store.resolve("v1") == scene.manifest.digest
    assert [seen.method for seen in scene.storage.requests] == ["GET", "GET", "HEAD"]
    assert not [seen for seen in scene.storage.requests if "Authorization" in seen.headers]
    assert scene.front.requests[-1].headers["Authorization"].startswith("Basic ")


def test_a_download_that_breaks_elsewhere_is_resumed_by_way_of_the_registry(scene: Scene) -> None:
    scene.redirect("GET", "/blobs/", 307, times=2)
    scene.storage.fault("GET", "/blobs/", Cut(300_000))
    scene.front.forget()

    assert b"".join(scene.store.read_blob(LAYER.descriptor)) == LAYER.data
    assert [seen.headers.get("Range") for seen in scene.front.requests] == [None, "bytes=300000-"]
    assert [seen.headers.get("Range") for seen in scene.storage.requests] == [None, "bytes=300000-"]


def test_credentials_stay_with_the_registry_on_its_own_redirects(scene: Scene) -> None:
    scene.redirect("GET", "/manifests/v9", 302, "v1")
    scene.front.forget()

    assert scene.store.read_manifest("v9") == scene.manifest
    assert all("Authorization" in seen.headers for seen in scene.front.requests)


def test_credentials_do_not_come_back_from_elsewhere(scene: Scene) -> None:
    path = f"/v2/{scene.store.repository.path}/manifests"
    scene.redirect("GET", "/manifests/v9", 307, f"http://{scene.storage.host}{path}/back")
    back = {"Location": f"http://{scene.front.host}{path}/v1"}
    scene.storage.fault("GET", "/manifests/back", Respond(307, back))
    scene.front.forget()

    with pytest.raises(AccessDenied, match=r"/manifests/v1: UNAUTHORIZED: authentication required$"):
        scene.store.read_manifest("v9")
    assert ["Authorization" in seen.headers for seen in scene.front.requests] == [True, False]


def test_another_port_is_another_origin(scene: Scene) -> None:
    assert scene.front.host.split(":")[0] == scene.storage.host.split(":")[0]
    scene.redirect("GET", "/manifests/", 307)
    scene.store.read_manifest("v1")

    assert "Authorization" not in scene.storage.requests[0].headers


def test_redirects_without_end_are_an_error(scene: Scene) -> None:
    scene.redirect("GET", "/manifests/", 307, "v1", times=99)
    scene.front.forget()

    with pytest.raises(StoreError, match=r"/manifests/v1: more than 5 redirects$"):
        scene.store.read_manifest("v1")
    assert scene.front.count() == 6


@pytest.mark.parametrize(
    "location", ["ftp://elsewhere/x", "file:///etc/passwd", "https://", "http://[::1", "http://host:port/"]
)
def test_a_redirect_to_anything_but_http_is_an_error(scene: Scene, location: str) -> None:
    scene.redirect("GET", "/manifests/", 307, location)

    with pytest.raises(StoreError) as error:
        scene.store.read_manifest("v1")
    assert str(error.value) == (
        f"http://{scene.front.host}/v2/{scene.store.repository.path}/manifests/v1: "
        "the server refers to something that is not an HTTP URL"
    )


def test_a_redirect_to_nowhere_is_an_error(scene: Scene) -> None:
    scene.front.fault("GET", "/manifests/", Respond(302))

    with pytest.raises(StoreError, match=r"/manifests/v1: 302 Found$"):
        scene.store.read_manifest("v1")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_elsewhere_is_not_a_question_for_credentials(scene: Scene, status: int) -> None:
    scene.redirect("GET", "/blobs/", 307)
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{scene.storage.host}/steal"'}
    scene.storage.fault("GET", "/blobs/", Respond(status, challenge))

    with pytest.raises(AccessDenied) as error:
        list(scene.store.read_blob(LAYER.descriptor))
    assert f"GET http://{scene.storage.host}/v2/" in str(error.value)
    assert "SECRET" not in str(error.value)
    assert scene.storage.count() == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_what_is_sent_goes_along(scene: Scene, status: int) -> None:
    base = f"http://{scene.storage.host}/v2/{scene.store.repository.path}"
    layer = layer_of(300_000, 7)
    scene.redirect("POST", "/blobs/uploads/", status, f"{base}/blobs/uploads/")
    scene.redirect("PUT", "/manifests/v2", status, f"{base}/manifests/v2")
    scene.store.put_blob(layer.descriptor, layer.open)
    scene.store.put_manifest(scene.manifest, "v2")

    stored = Client().store(scene.store.repository, through=scene.storage.host)
    assert stored.read_manifest("v2") == scene.manifest
    assert b"".join(stored.read_blob(layer.descriptor)) == layer.data
    assert not [seen for seen in scene.storage.requests if "Authorization" in seen.headers]


def test_content_is_opened_anew_for_a_redirected_upload(scene: Scene) -> None:
    layer = Content(layer_of(300_000, 8).data)
    session = Client().store(scene.store.repository, through=scene.storage.host)
    assert not session.has_blob(layer.descriptor)
    scene.front.fault("PUT", "/blobs/uploads/", Respond(307, {"Location": f"http://{scene.storage.host}/session"}))
    scene.storage.fault("PUT", "/session", Respond(201))
    scene.store.put_blob(layer.descriptor, layer.open)

    assert layer.opened == 2
    assert scene.storage.requests[-1].bytes_up == 300_000


def test_a_see_other_is_got_without_body(scene: Scene) -> None:
    scene.redirect("PUT", "/manifests/v2", 303, f"http://{scene.storage.host}/v2/")
    scene.store.put_manifest(scene.manifest, "v2")

    (seen,) = scene.storage.requests
    assert (seen.method, seen.bytes_up) == ("GET", 0)
    assert not [name for name in ("Content-Type", "Content-Length", "Authorization") if name in seen.headers]


def test_an_upload_to_another_host_carries_no_credentials(scene: Scene) -> None:
    layer = layer_of(300_000, 9)
    scene.redirect("POST", "/blobs/uploads/", 202, f"http://{scene.storage.host}/v2/session")
    scene.storage.fault("PUT", "/v2/session", Respond(201))
    scene.store.put_blob(layer.descriptor, layer.open)

    (seen,) = scene.storage.requests
    assert seen.path.startswith("/v2/session?signature=SECRET&digest=sha256%3A")
    assert seen.bytes_up == 300_000
    assert "Authorization" not in seen.headers


def test_the_next_page_of_tags_on_another_host_is_got_without_credentials(scene: Scene) -> None:
    link = {"Link": f'<http://{scene.storage.host}/v2/{scene.store.repository.path}/tags/list>; rel="next"'}
    scene.front.fault("GET", "/tags/list", Respond(200, link, b'{"tags":["first"]}'))

    assert list(scene.store.list_tags()) == ["first", "v1"]
    assert "Authorization" not in scene.storage.requests[0].headers
