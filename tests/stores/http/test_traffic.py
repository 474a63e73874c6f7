"""What is counted of the traffic with registries is what a proxy sees of it."""

from __future__ import annotations

import subprocess
import sys

from bundlepipe.stores.http.traffic import Traffic, TrafficCounter, traffic
from tests.support.clients import Client, layer_of, push_image
from tests.support.proxy import Proxy, Respond
from tests.support.services import Registry

LAYER = layer_of(300_000)


def _since(before: Traffic) -> Traffic:
    now = traffic.counted()
    return Traffic(now.requests - before.requests, now.sent - before.sent, now.received - before.received)


def test_requests_and_bodies_are_counted_whichever_way_they_go(registry: Registry, proxy: Proxy) -> None:
    store = Client().store(registry.repository("traffic"), through=proxy.host)
    before = traffic.counted()
    push_image(store, LAYER)
    pushed = _since(before)
    assert pushed.requests == len(proxy.requests)
    assert LAYER.descriptor.size < pushed.sent < LAYER.descriptor.size + 10_000
    before, asked = traffic.counted(), len(proxy.requests)
    received = sum(map(len, store.read_blob(LAYER.descriptor)))
    pulled = _since(before)
    assert (pulled.requests, pulled.sent) == (len(proxy.requests) - asked, 0)
    assert pulled.received == received == LAYER.descriptor.size


def test_a_repeated_request_is_counted_again(registry: Registry, proxy: Proxy) -> None:
    store = Client().store(registry.repository("again"), through=proxy.host)
    store.has_blob(LAYER.descriptor)
    before = traffic.counted()
    proxy.fault("HEAD", "/blobs/", Respond(503), times=1)
    store.has_blob(layer_of(1000, seed=2).descriptor)
    assert _since(before).requests == 2


FORK = """
import os
from bundlepipe.stores.http.traffic import Traffic, traffic
traffic.add(Traffic(1, 2, 3))
child = os.fork()
if not child:
    os._exit(traffic.counted() != Traffic())
print(os.waitpid(child, 0)[1], traffic.counted())
"""


def test_a_forked_process_begins_anew() -> None:
    finished = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    assert finished.stdout == f"0 {Traffic(1, 2, 3)}\n"


def test_a_body_is_counted_as_far_as_it_goes() -> None:
    counter = TrafficCounter()
    chunks = counter.sending([b"12", b"345", b"6"])
    assert (next(chunks), next(chunks)) == (b"12", b"345")
    assert counter.counted() == Traffic(sent=5)
