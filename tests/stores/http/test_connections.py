"""Time limits, and the way through a proxy that is a program of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from bundlepipe.errors import StoreError, Unreachable
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.settings import NetworkSettings
from tests.support.clients import Client, layer_of, push_image
from tests.support.forward_proxy import ForwardProxy, behind
from tests.support.keychains import alice
from tests.support.proxy import Delay, Proxy, Respond, Stall, Unframed
from tests.support.registries import Account, PasswordRegistry
from tests.support.services import Registry, require

MakeProxy = Callable[..., Proxy]

LAYER = layer_of(300_000)


def test_the_wait_for_an_answer_has_a_limit_of_its_own(registry: Registry, proxy: Proxy) -> None:
    client = Client(network=NetworkSettings(response_header_timeout=0.5, tries=2))
    store = client.store(registry.repository(), through=proxy.host)
    pushed = push_image(store, LAYER)
    proxy.fault("GET", "/manifests/", Delay(60), times=2)

    with pytest.raises(Unreachable, match="timeout awaiting response headers; gave up after 2 attempts"):
        store.read_manifest("v1")
    assert store.read_manifest("v1") == pushed


def test_a_slow_body_is_not_cut_by_the_limit_on_its_head(registry: Registry, proxy: Proxy) -> None:
    client = Client(network=NetworkSettings(response_header_timeout=1.0))
    store = client.store(registry.repository(), through=proxy.host)
    push_image(store, LAYER)
    proxy.fault("GET", "/blobs/", Stall(1.5))
    proxy.fault("GET", "/blobs/", Stall(1.5), Unframed())

    for _ in range(2):
        assert b"".join(store.read_blob(LAYER.descriptor)) == LAYER.data
    assert client.retries == []


@pytest.mark.parametrize("limit", [None, 0])
def test_the_wait_for_an_answer_may_have_no_limit(registry: Registry, proxy: Proxy, limit: float | None) -> None:
    client = Client(network=NetworkSettings(response_header_timeout=limit, stall_timeout=0.5))
    store = client.store(registry.repository(), through=proxy.host)
    pushed = push_image(store)
    proxy.fault("GET", "/manifests/", Delay(0.8))

    assert store.read_manifest("v1") == pushed
    assert client.retries == []


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("tries", [1, 3])
def test_a_request_is_sent_as_often_as_was_asked_for(registry: Registry, proxy: Proxy, tries: int, status: int) -> None:
    client = Client(network=NetworkSettings(tries=tries))
    store = client.store(registry.repository(), through=proxy.host)
    proxy.fault("HEAD", "/manifests/", Respond(status), times=9)

    with pytest.raises(StoreError, match=f": {status} .*; gave up after {tries} attempts?$"):
        store.resolve("v1")
    assert proxy.count("HEAD", "/manifests/") == tries


# Proxies


ACCOUNT = Account("mary", "Pr0xy-w0rd_9.x")


@pytest.fixture(scope="module")
def forward_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForwardProxy]:
    require("tinyproxy")
    running = ForwardProxy(tmp_path_factory.mktemp("forward-proxy"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def closed_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForwardProxy]:
    """A proxy that wants to know who asks."""
    require("tinyproxy")
    running = ForwardProxy(tmp_path_factory.mktemp("closed-proxy"), ACCOUNT)
    yield running
    running.close()


def _use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, url)


def _behind(registry: Registry) -> Repository:
    repository = registry.repository()
    return Repository(behind(registry.host), repository.path)


def _plain() -> Client:
    return Client(network=NetworkSettings(insecure=True))


def test_a_plain_registry_is_reached_through_a_proxy(
    registry: Registry, forward_proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(monkeypatch, forward_proxy.url)
    repository = _behind(registry)
    pushed = push_image(_plain().store(repository), LAYER)
    store = _plain().store(repository)

    assert store.read_manifest("v1") == pushed
    assert b"".join(store.read_blob(LAYER.descriptor)) == LAYER.data
    target = f"http://{repository.registry}/v2/{repository.path}/manifests/v1"
    assert f"GET {target}" in forward_proxy.requests


def test_a_proxy_that_closes_each_connection_costs_no_attempt(
    registry: Registry, forward_proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(monkeypatch, forward_proxy.url)
    client = _plain()
    for number in range(10):
        push_image(client.store(_behind(registry)), layer_of(1000, number))

    assert client.retries == []


def test_a_tls_registry_is_reached_through_a_tunnel(
    tls_registry: Registry, closed_proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(monkeypatch, closed_proxy.url)
    repository = _behind(tls_registry)
    trusting = NetworkSettings(authorities=(str(tls_registry.tls.authority),))
    for network in (trusting, replace(trusting, insecure=True)):
        store = Client(network=network).store(repository)
        pushed = push_image(store, LAYER)
        assert store.read_manifest("v1") == pushed
    assert set(closed_proxy.requests) == {f"CONNECT {repository.registry}"}
    with pytest.raises(StoreError, match="it is signed by an unknown authority"):
        Client().store(repository).resolve("v1")


def test_credentials_for_registry_and_proxy_go_to_each(
    authenticated_registry: PasswordRegistry, closed_proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(monkeypatch, closed_proxy.url)
    store = Client(keychain=alice(), network=NetworkSettings(insecure=True)).store(_behind(authenticated_registry))
    pushed = push_image(store, LAYER)

    assert store.read_manifest("v1") == pushed


# What this proxy answers to a wrong password cannot be told from the answer of a registry, unless there is a tunnel.
@pytest.mark.parametrize(
    ("variable", "account", "hint"),
    [
        ("HTTP_PROXY", "", "it wants user and password; give them in HTTP_PROXY as http://USER:PASSWORD@HOST:PORT"),
        ("HTTPS_PROXY", "", "it wants user and password; give them in HTTPS_PROXY as http://USER:PASSWORD@HOST:PORT"),
        ("HTTPS_PROXY", "mary:SECRET@", "it does not accept the user and password in HTTPS_PROXY"),
    ],
)
def test_a_proxy_that_wants_to_know_who_asks_is_said_to(
    registry: Registry,
    closed_proxy: ForwardProxy,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    account: str,
    hint: str,
) -> None:
    monkeypatch.setenv(variable, f"http://{account}{closed_proxy.host}")
    client = _plain()

    with pytest.raises(StoreError) as error:
        client.store(_behind(registry)).resolve("v1")
    assert str(error.value).endswith(f": proxy http://{closed_proxy.host}: 407 Proxy Authentication Required: {hint}")
    assert "SECRET" not in repr(error.value)
    assert client.retries == []


def test_no_proxy_is_asked_for_what_no_proxy_lists(
    registry: Registry, forward_proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(monkeypatch, forward_proxy.url)
    monkeypatch.setenv("NO_PROXY", "r.example,0.0.0.0/8")
    before = len(forward_proxy.requests)
    push_image(_plain().store(_behind(registry)), LAYER)

    assert len(forward_proxy.requests) == before
