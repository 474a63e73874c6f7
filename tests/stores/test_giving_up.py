"""Work that is given up waits for no server: neither for a connection nor for what is to come over it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from bundlepipe.concurrency.cancellation import Cancellation, Cancelled, cancellable
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.settings import RegistrySettings
from tests.support.clients import Client, layer_of, push_image
from tests.support.command import LINUX
from tests.support.forward_proxy import behind
from tests.support.proxy import Delay, Fault, Proxy, Stall, Unframed
from tests.support.services import Registry

MakeProxy = Callable[..., Proxy]

# Seconds: no limit of ours ends a wait that long.
NEVER = 3600
# Seconds: who has not ended by then waits on.
LONG = 60

LAYER = layer_of(300_000)
# More than what is on its way between two programs.
LARGE = layer_of(32 << 20)


def _give_up(work: Callable[[], object], is_waiting: Callable[[], object]) -> None:
    cancellation = Cancellation()
    ended, outcomes = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            cancellable(cancellation, work)
        except BaseException as error:  # noqa: BLE001  (the test looks at it)
            outcomes.append(error)
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    while not is_waiting():
        assert not ended.wait(0.01), outcomes
    # From what can be seen of it to the wait itself.
    time.sleep(0.1)
    cancellation.set()
    assert ended.wait(LONG)
    assert [type(outcome) for outcome in outcomes] == [Cancelled]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "faults"),
    [
        ("GET", "/manifests/", [Delay(NEVER)]),
        ("GET", "/manifests/", [Stall(NEVER), Unframed()]),
        ("GET", "/blobs/", [Stall(NEVER)]),
        ("PUT", "/blobs/uploads/", [Delay(NEVER)]),
    ],
)
def test_no_answer_is_waited_for(
    registry: Registry,
    tls_registry: Registry,
    make_proxy: MakeProxy,
    method: str,
    path: str,
    faults: list[Fault],
    tls: bool,
) -> None:
    proxy = make_proxy(registry.host, tls=tls_registry.tls.context() if tls else None)
    client = Client(RegistrySettings(ca=str(tls_registry.tls.authority)), timeout=NEVER)
    store = client.store(registry.repository(), through=proxy.host)
    push_image(store, LAYER)
    proxy.fault(method, path, *faults)
    actions: dict[str, Callable[[], object]] = {
        "/manifests/": lambda: store.read_manifest("v1"),
        "/blobs/": lambda: b"".join(store.read_blob(LAYER.descriptor)),
        "/blobs/uploads/": lambda: store.put_blob(LARGE.descriptor, LARGE.open),
    }
    proxy.forget()

    _give_up(actions[path], lambda: proxy.count(method, path))
    assert client.retries == []
    assert proxy.count(method, path) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_answer_through_a_proxy_is_waited_for(
    registry: Registry, tls_registry: Registry, make_proxy: MakeProxy, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    authority = str(tls_registry.tls.authority)
    front = make_proxy(registry.host, tls=tls_registry.tls.context())
    tunnel = make_proxy(front.host, tls=tls_registry.tls.context())
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{tunnel.host}")
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    client = Client(RegistrySettings(ca=authority), timeout=NEVER)
    store = client.store(registry.repository(), through=behind(front.host))
    push_image(store, LAYER)
    assert tunnel.count("CONNECT")
    front.fault("GET", "/blobs/", Stall(NEVER))

    _give_up(lambda: b"".join(store.read_blob(LAYER.descriptor)), lambda: front.count("GET", "/blobs/"))


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def host(request: pytest.FixtureRequest) -> str:
    """One that is asked first whether it speaks TLS, and one that has to."""
    name: str = request.param
    return name


def _resolve(host: str, server: socket.socket) -> Callable[[], object]:
    repository = Repository(f"{host}:{server.getsockname()[1]}", "app")
    return lambda: Client(timeout=NEVER).store(repository).resolve("v1")


def _is_connecting_to(server: socket.socket) -> bool:
    """Tell whether a connection is asked for that nobody has answered yet (proc(5), /proc/net/tcp)."""
    end, state = f":{server.getsockname()[1]:04X}", "02"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(row[2].endswith(end) and row[3] == state for row in rows)


@LINUX
def test_no_connection_is_waited_for(host: str) -> None:
    # Who comes to a full queue hears nothing.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.create_connection(server.getsockname()):
        _give_up(_resolve(host, server), lambda: _is_connecting_to(server))


def test_no_greeting_is_waited_for(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as open_connections:
        _give_up(_resolve(host, server), lambda: open_connections.enter_context(server.accept()[0]))
