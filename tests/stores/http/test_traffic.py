"""What is counted of the traffic with registries is what a proxy sees of it."""

from __future__ import annotations

import subprocess
import sys

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.stores.http.traffic import Traffic, TrafficCounter, accounted, traffic
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
traffic.add(Traffic(1, 2, 3), "http://localhost/")
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
    chunks = counter.sending([b"12", b"345", b"6"], "http://localhost/")
    assert (next(chunks), next(chunks)) == (b"12", b"345")
    assert counter.counted() == Traffic(sent=5)


def test_an_account_has_the_traffic_of_its_work_by_host_also_that_of_other_threads() -> None:
    urls = ["https://one.localhost:5000/v2/", "https://user:secret@two.localhost/a?b"]
    with accounted() as account:
        in_parallel(lambda url: traffic.add(Traffic(1, 2, 3, 4), url), urls * 2)
    traffic.add(Traffic(1), urls[0])

    assert account.by_host() == {"one.localhost:5000": Traffic(2, 4, 6, 8), "two.localhost": Traffic(2, 4, 6, 8)}


def test_an_account_has_nothing_of_other_work() -> None:
    with accounted() as one:
        traffic.add(Traffic(1), "http://localhost/")
        with accounted() as other:
            traffic.add(Traffic(2), "http://localhost/")

    assert (one.by_host(), other.by_host()) == ({"localhost": Traffic(1)}, {"localhost": Traffic(2)})


def test_retries_are_counted(registry: Registry, proxy: Proxy) -> None:
    store = Client().store(registry.repository("retried"), through=proxy.host)
    proxy.fault("*", "/v2/", Respond(503), times=2)
    with accounted() as account:
        assert not store.has_blob(layer_of(1000, seed=3).descriptor)

    assert account.by_host()[proxy.host].retries == 2
    assert account.by_host()[proxy.host].requests == len(proxy.requests)
