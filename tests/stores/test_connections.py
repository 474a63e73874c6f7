"""The time limits of connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bundlepipe.errors import StoreError, Unreachable
from bundlepipe.stores.settings import NetworkSettings
from tests.support.clients import Client, layer_of, push_image
from tests.support.proxy import Delay, Proxy, Respond, Stall, Unframed
from tests.support.services import Registry

MakeProxy = Callable[..., Proxy]

LAYER = layer_of(300_000)


def test_the_wait_for_an_answer_has_a_limit_of_its_own(registry: Registry, proxy: Proxy) -> None:
    client = Client(network=NetworkSettings(response_header_timeout=0.1, tries=2))
    store = client.store(registry.repository(), through=proxy.host)
    pushed = push_image(store, LAYER)
    proxy.fault("GET", "/manifests/", Delay(60), times=2)

    with pytest.raises(Unreachable, match="timeout awaiting response headers; gave up after 2 attempts"):
        store.read_manifest("v1")
    assert store.read_manifest("v1") == pushed


def test_a_slow_body_is_not_cut_by_the_limit_on_its_head(registry: Registry, proxy: Proxy) -> None:
    client = Client(network=NetworkSettings(response_header_timeout=0.1))
    store = client.store(registry.repository(), through=proxy.host)
    push_image(store, LAYER)
    proxy.fault("GET", "/blobs/", Stall(0.4))
    proxy.fault("GET", "/blobs/", Stall(0.4), Unframed())

    for _ in range(2):
        assert b"".join(store.read_blob(LAYER.descriptor)) == LAYER.data
    assert client.retries == []


@pytest.mark.parametrize("limit", [None, 0])
def test_the_wait_for_an_answer_may_have_no_limit(registry: Registry, proxy: Proxy, limit: float | None) -> None:
    client = Client(network=NetworkSettings(response_header_timeout=limit, stall_timeout=0.2))
    store = client.store(registry.repository(), through=proxy.host)
    pushed = push_image(store)
    proxy.fault("GET", "/manifests/", Delay(0.5))

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
