"""copy asks for no more than it needs: how many requests, how many transfers, which tokens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bundlepipe.errors import NotFound, StoreError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from tests.conftest import WriteDockerConfig
from tests.support.images import (
    assert_whole,
    basic,
    blobs_of,
    closure,
    file_layer,
    make_world,
    put_bundle,
    put_image,
    put_images,
    random_layer,
)
from tests.support.proxy import Delay, Proxy, RequestHeader, Respond
from tests.support.registries import ALICE, IDENTITY_TOKEN, TokenRegistry
from tests.support.services import Registry

MakeProxy = Callable[[str], Proxy]


def _bundle(host: str, registry: Registry, count: int, own: int, **options: bool) -> tuple[Reference, list[Manifest]]:
    """Put a bundle of as many images into two repositories behind a host: one for the images, one for the bundle."""
    stores = Stores()
    repository = Repository(host, registry.repository("images").path)
    store = stores.repository(repository, writes=True)
    shared = [random_layer(3000, number) for number in range(2)] if options.get("shared") else []
    images = put_images(store, count, *shared, own=own)
    root = Repository(host, registry.repository("bundle").path).tagged("v1")
    return root, [*images, put_bundle(stores, root, [repository.at(image.digest) for image in images])]


def _transfers(proxy: Proxy, method: str) -> Counter[str]:
    """Count the blobs that were fetched (GET) or sent (PUT) through a proxy, by digest."""
    blobs = [seen.path for seen in proxy.requests if seen.method == method and "/blobs/" in seen.path]
    return Counter("sha256:" + path.replace("%3A", ":").rpartition("sha256:")[2] for path in blobs)


@pytest.mark.slow
def test_sixty_images_of_three_layers_are_copied_within_a_registry(registry: Registry, proxy: Proxy) -> None:
    root, manifests = _bundle(proxy.host, registry, 60, 3)
    destination = Repository(proxy.host, registry.repository("copy").path)
    request = CopyRequest(source=root, destination=destination)
    proxy.forget()
    copied = copy(request, Stores())
    first = len(proxy.requests)
    assert first <= 400, proxy.summary()
    assert copied.mounted == len(blobs_of(manifests))
    assert proxy.count("GET", "/tags/list") == 1
    proxy.forget()
    again = copy(request, Stores())
    assert len(proxy.requests) <= 65, proxy.summary()
    assert not any(proxy.count(method) for method in ("PUT", "POST", "PATCH"))
    assert (again.uploaded, again.mounted, again.size) == (0, 0, 0)
    assert again.lock == copied.lock
    store = Stores().repository(destination)
    assert {digest for manifest in manifests for digest in closure(store, manifest.digest)} == {
        manifest.digest for manifest in manifests
    }


def test_bundles_with_the_same_images_have_one_locations_image_which_is_sent_once(
    registry: Registry, make_proxy: MakeProxy
) -> None:
    host, stores = make_proxy(registry.host), Stores()
    images = Repository(host.host, registry.repository("images").path)
    image = images.at(put_images(stores.repository(images, writes=True), 1)[0].digest)
    nested = [images.tagged(f"bundle-{number}") for number in range(4)]
    inner = [put_bundle(stores, place, [image], {"number.yml": place.identifier}) for place in nested]
    root = images.tagged("root")
    put_bundle(stores, root, [images.at(bundle.digest) for bundle in inner])
    destination = make_proxy(registry.host)
    # So slow that several ask before the first has sent anything.
    destination.fault("HEAD", "/blobs/", Delay(0.2), times=math.inf)
    copy(CopyRequest(source=root, destination=Repository(destination.host, registry.repository("copy").path)), Stores())
    sent = _transfers(destination, "PUT")
    assert sent and set(sent.values()) == {1}
    put = Counter(seen.path for seen in destination.requests if seen.method == "PUT" and "/manifests/" in seen.path)
    assert set(put.values()) == {1}


def test_each_blob_is_fetched_and_sent_once(registry: Registry, make_proxy: MakeProxy) -> None:
    source, destination = make_proxy(registry.host), make_proxy(registry.host)
    root, manifests = _bundle(source.host, registry, 20, 1, shared=True)
    source.forget()
    target = Repository(destination.host, registry.repository("copy").path)
    copied = copy(CopyRequest(source=root, destination=target), Stores())
    assert copied.uploaded == len(blobs_of(manifests))
    assert _transfers(source, "GET") == dict.fromkeys(blobs_of(manifests), 1)
    # The locations image is made here: a layer and a configuration.
    sent = _transfers(destination, "PUT")
    assert set(sent.values()) == {1}
    assert blobs_of(manifests) < set(sent) and len(sent) == len(blobs_of(manifests)) + 2
    assert Counter(seen.path for seen in source.requests if seen.method == "GET").most_common(1)[0][1] == 1


def test_each_blob_is_fetched_once_for_a_tar(registry: Registry, proxy: Proxy, tmp_path: Path) -> None:
    root, manifests = _bundle(proxy.host, registry, 20, 1, shared=True)
    proxy.forget()
    copy(CopyRequest(source=root, destination=ArchiveLocation(str(tmp_path / "bundle.tar"))), Stores())
    assert _transfers(proxy, "GET") == dict.fromkeys(blobs_of(manifests), 1)
    assert not any(proxy.count(method) for method in ("PUT", "POST", "PATCH"))
    assert not proxy.count("HEAD", "/blobs/")


def test_a_tar_is_imported_with_each_blob_sent_once(registry: Registry, proxy: Proxy, tmp_path: Path) -> None:
    archive = ArchiveLocation(str(tmp_path / "bundle.tar"))
    root, manifests = _bundle(registry.host, registry, 20, 1, shared=True)
    copy(CopyRequest(source=root, destination=archive), Stores())
    destination = Repository(proxy.host, registry.repository("copy").path)
    copied = copy(CopyRequest(source=archive, destination=destination), Stores())
    assert copied.uploaded == len(blobs_of(manifests))
    assert set(_transfers(proxy, "PUT").values()) == {1}
    proxy.forget()
    again = copy(CopyRequest(source=archive, destination=destination), Stores())
    assert again.uploaded == 0
    assert not any(proxy.count(method) for method in ("PUT", "POST", "PATCH"))


def test_a_relocated_bundle_does_not_ask_its_origins(
    registry: Registry, own_registry: Registry, make_proxy: MakeProxy
) -> None:
    origin = make_proxy(registry.host)
    root, manifests = _bundle(origin.host, registry, 10, 1)
    first, second = own_registry.repository("first"), own_registry.repository("second")
    copy(CopyRequest(source=root, destination=first), Stores())
    origin.forget()
    copy(CopyRequest(source=first.tagged("v1"), destination=second), Stores())
    assert origin.requests == []
    assert closure(Stores().repository(second), manifests[-1].digest)


def test_a_bundle_that_was_never_relocated_is_not_searched_for_its_images(registry: Registry, proxy: Proxy) -> None:
    root, _ = _bundle(proxy.host, registry, 30, 1)
    proxy.forget()
    copy(CopyRequest(source=root, destination=Repository(proxy.host, registry.repository("copy").path)), Stores())
    in_vain = [seen for seen in proxy.requests if seen.status == 404 and "/manifests/" in seen.path]
    assert len(in_vain) <= 2, proxy.summary()


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_tags_that_may_not_be_listed_are_asked_for_one_by_one(status: int, registry: Registry, proxy: Proxy) -> None:
    root, manifests = _bundle(registry.host, registry, 5, 2)
    destination = Repository(proxy.host, registry.repository("copy").path)
    proxy.fault("GET", "/tags/list", Respond(status), times=math.inf)
    request = CopyRequest(source=root, destination=destination)
    copied = copy(request, Stores())
    assert copied.uploaded == len(blobs_of(manifests))
    proxy.forget()
    again = copy(request, Stores())
    assert again.uploaded == 0
    assert not proxy.count("PUT", "/blobs/")
    for manifest in manifests:
        assert closure(Stores().repository(destination), manifest.digest)


@pytest.mark.parametrize("status", [403, 404, 405, 400])
def test_a_registry_that_mounts_nothing_gets_everything_sent(status: int, registry: Registry, proxy: Proxy) -> None:
    world = make_world(Stores(), lambda name: Repository(proxy.host, registry.repository(name).path))
    proxy.fault("POST", "mount=", Respond(status), times=math.inf)
    destination = Repository(proxy.host, registry.repository("copy").path)
    copied = copy(CopyRequest(source=world.root, destination=destination), Stores())
    assert (copied.uploaded, copied.mounted) == (len(world.blobs), 0)
    assert_whole(Stores().repository(destination), world)


@pytest.fixture
def token_proxy(token_registry: TokenRegistry, make_proxy: MakeProxy, docker_config: WriteDockerConfig) -> Proxy:
    """A proxy in front of the registry with tokens, with the credentials for it."""
    running = make_proxy(token_registry.host)
    docker_config({"auths": {running.host: {"auth": basic(ALICE.username, ALICE.password)}}})
    return running


def test_mounts_come_with_tokens_for_both_repositories(token_registry: TokenRegistry, token_proxy: Proxy) -> None:
    root, manifests = _bundle(token_proxy.host, token_registry, 12, 2)
    destination = Repository(token_proxy.host, token_registry.repository("copy").path)
    before = len(token_registry.tokens.requests)
    copied = copy(CopyRequest(source=root, destination=destination), Stores())
    assert copied.mounted == len(blobs_of(manifests))
    asked = [frozenset(request.scopes) for request in token_registry.tokens.requests[before:]]
    sources = {root.repository.path, _images_of(manifests, token_proxy, destination)}
    both = {frozenset({f"repository:{path}:pull", f"repository:{destination.path}:pull,push"}) for path in sources}
    assert both <= set(asked)
    # One to read each source, one to write, one to mount from each source.
    assert len(asked) <= 2 * len(sources) + 1
    assert len(set(asked)) == len(asked)
    assert all(request.user == ALICE.username for request in token_registry.tokens.requests[before:])


@pytest.mark.parametrize("entry", [{"auth": basic(ALICE.username, ALICE.password)}, {"identitytoken": IDENTITY_TOKEN}])
def test_a_copy_goes_on_when_its_tokens_expire(
    token_registry: TokenRegistry, token_proxy: Proxy, docker_config: WriteDockerConfig, entry: dict[str, str]
) -> None:
    root, manifests = _bundle(token_proxy.host, token_registry, 4, 2)
    docker_config({"auths": {token_proxy.host: entry}})
    before = len(token_registry.tokens.requests)
    expired = RequestHeader("Authorization", None)
    for method, path in [("GET", "/manifests/"), ("POST", "/blobs/uploads/"), ("PUT", "/manifests/")]:
        token_proxy.fault(method, path, expired, skip=2)
    destination = Repository(token_proxy.host, token_registry.repository("copy").path)
    copied = copy(CopyRequest(source=root, destination=destination), Stores())

    assert copied.mounted == len(blobs_of(manifests))
    store = Stores().repository(destination)
    assert all(closure(store, manifest.digest) for manifest in manifests)
    assert [seen.status for seen in token_proxy.requests].count(401) >= 3
    methods = {request.method for request in token_registry.tokens.requests[before:]}
    assert methods == {"POST" if "identitytoken" in entry else "GET"}


def _images_of(manifests: list[Manifest], proxy: Proxy, destination: Repository) -> str:
    """Return the path of the repository from which an image was read."""
    seen = next(seen for seen in proxy.requests if seen.path.endswith(f"/manifests/{manifests[0].digest}"))
    path = seen.path.removeprefix("/v2/").partition("/manifests/")[0]
    assert path != destination.path
    return path


def test_what_may_not_be_pulled_for_a_mount_is_an_error(token_registry: TokenRegistry, token_proxy: Proxy) -> None:
    root, _ = _bundle(token_proxy.host, token_registry, 1, 1)
    manners = token_registry.tokens.manners
    manners.grants.clear()
    manners.grants.append((ALICE.username, root.repository.path, frozenset({"pull"})))
    destination = Repository(token_proxy.host, token_registry.repository("copy").path)
    manners.grants.append((ALICE.username, destination.path, frozenset({"pull", "push"})))
    with pytest.raises(StoreError, match="UNAUTHORIZED"):
        copy(CopyRequest(source=root, destination=destination), Stores())


def test_a_repository_of_many_tags_is_listed_in_few_requests(registry: Registry, proxy: Proxy) -> None:
    destination = Repository(proxy.host, registry.repository("copy").path)
    stores = Stores()
    store = stores.repository(destination, writes=True)
    image = put_image(store, file_layer("a", "a"))
    for number in range(120):
        store.put_manifest(image, f"tag{number}")
    root, _ = _bundle(registry.host, registry, 3, 1)
    proxy.forget()
    copy(CopyRequest(source=root, destination=destination), Stores())
    assert proxy.count("GET", "/tags/list") == 1


def test_missing_images_are_not_asked_for_twice(registry: Registry, proxy: Proxy) -> None:
    stores = Stores()
    missing = Repository(proxy.host, registry.repository("missing").path).at(Digest.of(b"missing"))
    root = Repository(proxy.host, registry.repository("bundle").path).tagged("v1")
    put_bundle(stores, root, [missing])
    proxy.forget()
    with pytest.raises(NotFound, match=str(missing)):
        copy(CopyRequest(source=root, destination=registry.repository("copy")), stores)
    asked = Counter(seen.path for seen in proxy.requests if str(missing.digest) in seen.path)
    assert set(asked.values()) == {1}
