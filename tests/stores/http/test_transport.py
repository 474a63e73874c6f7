"""How a host is reached: https or http, whose certificates are trusted, through which proxy."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.errors import StoreError, Unreachable
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.http import transport
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.http.retries import Transient
from bundlepipe.stores.http.transport import Transport
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings
from tests.support.certificates import make_server_certificate
from tests.support.clients import Client, layer_of, push_image
from tests.support.keychains import alice, nobody
from tests.support.proxy import Delay, Proxy, RequestHeader, Respond
from tests.support.registries import TokenRegistry
from tests.support.services import Registry

MakeProxy = Callable[..., Proxy]

LAYER = layer_of(300_000)


@pytest.fixture
def test_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name below `test` be this machine."""
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host.endswith(".test") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def _trusting(registry: Registry) -> RegistrySettings:
    return RegistrySettings(ca=str(registry.tls.authority))


# https or http


def test_a_plain_registry_costs_one_failed_tls_attempt(registry: Registry, proxy: Proxy) -> None:
    client, start = Client(), threading.Barrier(8)

    def work(number: int) -> bool:
        store = client.store(registry.repository(f"r{number}"), through=proxy.host)
        start.wait()
        return store.has_blob(LAYER.descriptor)

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(work, range(8)))
    assert proxy.tls_attempts == 1
    assert proxy.count() == 8


def test_the_fault_of_the_first_request_is_not_that_of_the_host(registry: Registry, proxy: Proxy) -> None:
    client, failed = Client(), []
    nowhere = Respond(307, {"Location": "ftp://elsewhere/"})
    proxy.fault("HEAD", "/first/", Delay(0.3), nowhere)

    def fail() -> None:
        with pytest.raises(StoreError, match="not an HTTP URL"):
            client.store(Repository(proxy.host, "first")).resolve("v1")
        failed.append(True)

    first = threading.Thread(target=fail)
    first.start()
    while not proxy.count():
        threading.Event().wait(0.005)
    assert not client.store(Repository(proxy.host, registry.repository().path)).has_blob(LAYER.descriptor)
    first.join()
    assert failed == [True]


def test_a_plain_registry_does_without_the_systems_certificates(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(*_: object, **__: object) -> None:
        raise AssertionError("the certificates were loaded")

    monkeypatch.setattr(ssl, "create_default_context", unwanted)
    push_image(Client().store(registry.repository()))


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST:5000", True),
        ("registry.localhost:5000", True),
        ("registry.local", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("10.1.2.3:5000", True),
        ("172.16.0.1", True),
        ("172.31.255.255", True),
        ("192.168.1.1:80", True),
        ("172.32.0.1", False),
        ("172.15.0.1", False),
        ("192.169.1.1", False),
        ("11.0.0.1", False),
        ("[fd00::1]:5000", False),
        ("registry.example:5000", False),
        ("localhost.example", False),
        ("notlocal", False),
        ("127.0.0.1.example", False),
    ],
)
def test_only_local_hosts_may_be_plain_without_being_declared_so(
    monkeypatch: pytest.MonkeyPatch, host: str, local: bool
) -> None:
    monkeypatch.setattr(transport, "speaks_tls", lambda *_: False)

    base = Transport(host, RegistrySettings(), NetworkSettings(), Reporting()).base
    assert base == f"{'http' if local else 'https'}://{host}"
    assert Transport(host, RegistrySettings(insecure=True), NetworkSettings(), Reporting()).base == f"http://{host}"
    assert Transport(host, RegistrySettings(), NetworkSettings(insecure=True), Reporting()).base == f"http://{host}"


def test_a_host_without_port_is_tried_on_both_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> bool:
        raise ConnectionRefusedError(111, "Connection refused")

    tried: list[int] = []

    def accepts(host: str, port: int, _: float) -> bool:
        tried.append(port)
        return host == "localhost"

    monkeypatch.setattr(transport, "speaks_tls", refused)
    monkeypatch.setattr(transport, "accepts_connections", accepts)

    assert Transport("localhost", RegistrySettings(), NetworkSettings(), Reporting()).base == "http://localhost"
    with pytest.raises(Transient, match="cannot connect: Connection refused"):
        _ = Transport("registry.local", RegistrySettings(), NetworkSettings(), Reporting()).base
    with pytest.raises(Transient, match="cannot connect: Connection refused"):
        _ = Transport("localhost:5000", RegistrySettings(), NetworkSettings(), Reporting()).base
    assert tried == [80, 80]


def test_a_server_that_does_not_answer_the_tls_greeting_is_taken_for_plain(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundlepipe.stores.tls.probe._LONGEST_HANDSHAKE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        client = Client(timeout=0.1, tries=2)
        with pytest.raises(Unreachable, match="timeout awaiting response headers; gave up after 2 attempts"):
            client.store(Repository(host, registry.repository().path)).resolve("v1")
    assert client.retries == ["timeout awaiting response headers"]


@pytest.mark.usefixtures("test_domain")
def test_a_plain_registry_elsewhere_must_be_declared(registry: Registry, proxy: Proxy) -> None:
    repository = Repository(proxy.host.replace("127.0.0.1", "registry.test"), registry.repository().path)

    client = Client()
    with pytest.raises(StoreError) as error:
        client.store(repository).resolve("v1")
    assert str(error.value) == (
        f"HEAD https://{repository.registry}/v2/{repository.path}/manifests/v1: the server does not speak TLS; "
        "if it is meant to be reached by plain HTTP, declare the registry 'insecure', or use --registry-insecure"
    )
    assert client.retries == []
    assert proxy.count() == 0
    push_image(Client(RegistrySettings(insecure=True)).store(repository))


# TLS


def test_a_private_authority_can_be_trusted(tls_registry: Registry) -> None:
    store = Client(_trusting(tls_registry)).store(tls_registry.repository())
    pushed = push_image(store, LAYER)

    assert store.read_manifest("v1") == pushed
    assert b"".join(store.read_blob(LAYER.descriptor)) == LAYER.data


def test_a_private_authority_may_be_as_careless_as_docker_lets_it(
    registry: Registry, make_proxy: MakeProxy, tmp_path: Path
) -> None:
    certificate = make_server_certificate(tmp_path, ("127.0.0.1",), strict=False)
    proxy = make_proxy(registry.host, tls=certificate.context())

    push_image(Client(RegistrySettings(ca=str(certificate.authority))).store(registry.repository(), through=proxy.host))


def test_the_environment_may_name_the_authority(tls_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_registry.tls.authority))

    push_image(Client().store(tls_registry.repository()))


def test_a_certificate_that_is_not_trusted_is_never_a_reason_for_http(
    tls_registry: Registry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(tls_registry.host, tls=tls_registry.tls.context())
    client = Client(RegistrySettings(insecure=True))
    store = client.store(tls_registry.repository(), through=proxy.host)

    with pytest.raises(StoreError) as error:
        store.resolve("v1")
    assert str(error.value).startswith(
        f"HEAD https://{proxy.host}/v2/{store.repository.path}/manifests/v1: the certificate is not trusted: "
    )
    assert (proxy.count(), client.retries) == (0, [])


@pytest.mark.usefixtures("test_domain")
def test_a_certificate_is_for_the_host_that_was_named(tls_registry: Registry) -> None:
    client, port = Client(_trusting(tls_registry)), tls_registry.host.rpartition(":")[2]
    push_image(client.store(Repository(f"registry.test:{port}", "app")))

    with pytest.raises(StoreError, match=f": it is not for other.test:{port} but for 127.0.0.1, registry.test, "):
        client.store(Repository(f"other.test:{port}", "app")).resolve("v1")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_an_error(
    tls_registry: Registry, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)

    with pytest.raises(StoreError) as error:
        Client(RegistrySettings(ca=str(path))).store(tls_registry.repository()).resolve("v1")
    reason = "it holds no PEM certificate" if content else "No such file or directory"
    assert str(error.value) == f"'{path}', the 'ca' of registry {tls_registry.host}, cannot be used: {reason}"


def test_the_way_from_https_to_http_is_not_taken(
    registry: Registry, tls_registry: Registry, proxy: Proxy, make_proxy: MakeProxy
) -> None:
    front = make_proxy(registry.host, tls=tls_registry.tls.context())
    store = Client(_trusting(tls_registry)).store(registry.repository(), through=front.host)
    assert not store.has_blob(LAYER.descriptor)
    front.fault("GET", "/manifests/", Respond(307, {"Location": f"http://{proxy.host}/x?signature=SECRET"}))
    with pytest.raises(StoreError) as redirect:
        store.read_manifest("v1")
    assert f"the server refers from https to 'http://{proxy.host}/x', which is not followed" in str(redirect.value)

    # What registries do that are not told that they are behind a proxy which speaks TLS.
    front.fault("POST", "/uploads/", RequestHeader("X-Forwarded-Proto", None))
    with pytest.raises(StoreError, match="a registry behind a proxy must be told its external URL"):
        store.put_blob(LAYER.descriptor, LAYER.open)
    assert proxy.count() == 0
    store.put_blob(LAYER.descriptor, LAYER.open)


def test_a_password_is_not_sent_from_https_to_a_token_service_without(
    token_registry: TokenRegistry, tls_registry: Registry, make_proxy: MakeProxy
) -> None:
    front = make_proxy(token_registry.host, tls=tls_registry.tls.context())
    repository, settings = token_registry.repository("public"), _trusting(tls_registry)
    pushed = push_image(Client(keychain=alice()).store(repository))
    before = len(token_registry.tokens.requests)

    with pytest.raises(StoreError) as error:
        Client(settings, keychain=alice()).store(repository, through=front.host).resolve("v1")
    assert str(error.value) == (
        f"registry {front.host}: its token service {token_registry.tokens.realm} is not https, as the registry is: "
        "credentials are not sent there"
    )
    assert len(token_registry.tokens.requests) == before
    anonymous = Client(settings, keychain=nobody()).store(repository, through=front.host, writes=False)
    assert anonymous.read_manifest("v1") == pushed


# Proxies


@pytest.mark.usefixtures("test_domain")
def test_http_goes_through_the_proxy_that_the_environment_names(
    registry: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:p%40ss@{proxy.host}")
    monkeypatch.setenv("HTTPS_PROXY", proxy.host)
    store = Client(RegistrySettings(insecure=True)).store(Repository("registry.test:5000", registry.repository().path))
    pushed = push_image(store, LAYER)

    assert store.read_manifest("v1") == pushed
    assert proxy.requests[0].method == "CONNECT", "whether it speaks TLS after all"
    assert proxy.requests[1].path.startswith("http://registry.test:5000/v2/")
    assert proxy.requests[1].headers["Proxy-Authorization"] == "Basic dXNlcjpwQHNz"


@pytest.mark.usefixtures("test_domain")
def test_https_goes_through_a_tunnel(
    tls_registry: Registry, make_proxy: MakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = make_proxy(tls_registry.host)
    monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
    store = Client(_trusting(tls_registry)).store(Repository("registry.test:5000", tls_registry.repository().path))
    pushed = push_image(store, LAYER)

    assert store.read_manifest("v1") == pushed
    assert {seen.method for seen in proxy.requests} == {"CONNECT"}
    assert proxy.requests[0].path == "registry.test:5000"


@pytest.mark.usefixtures("test_domain")
def test_a_tls_registry_behind_a_proxy_is_found_to_be_one(
    tls_registry: Registry, make_proxy: MakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = make_proxy(tls_registry.host)
    monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
    repository = Repository("registry.test:5000", tls_registry.repository().path)

    trusting = RegistrySettings(ca=str(tls_registry.tls.authority), insecure=True)
    push_image(Client(trusting).store(repository))
    with pytest.raises(StoreError, match="the certificate is not trusted"):
        Client(RegistrySettings(insecure=True)).store(repository).resolve("v1")


@pytest.mark.usefixtures("test_domain")
def test_no_proxy_is_honoured(registry: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.host}")
    monkeypatch.setenv("NO_PROXY", "*.example,.test")
    port = registry.host.rpartition(":")[2]
    push_image(Client(RegistrySettings(insecure=True)).store(Repository(f"registry.test:{port}", "proxied")))

    assert proxy.count() == 0


def test_loopback_is_never_proxied(registry: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.host}")
    push_image(Client().store(registry.repository()))

    assert proxy.count() == 0


@pytest.mark.usefixtures("test_domain")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("socks5://user:SECRET@127.0.0.1:1", "in HTTPS_PROXY cannot be used: expected http(s)://HOST:PORT"),
        ("http://user:SECRET@host:port", "the proxy for registry.test in HTTPS_PROXY cannot be used"),
        ("http://[::1", "the proxy for registry.test in HTTPS_PROXY cannot be used"),
        ("http://", "the proxy for registry.test in HTTPS_PROXY cannot be used"),
        (
            "http://user:SECRET@127.0.0.1:1",
            ": proxy http://127.0.0.1:1: cannot connect: Connection refused; gave up",
        ),
    ],
)
def test_a_proxy_that_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)

    with pytest.raises(StoreError) as error:
        Client(tries=2).store(Repository("registry.test", "app")).resolve("v1")
    assert message in str(error.value)
    assert "SECRET" not in f"{error.value!r} {error.value.__cause__!r}"


@pytest.mark.usefixtures("test_domain")
def test_a_proxy_that_refuses_is_not_asked_again(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.fault("CONNECT", "", Respond(407), times=9)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
    client = Client()

    with pytest.raises(StoreError, match="407 Proxy Authentication Required: it wants user and password"):
        client.store(Repository("registry.test", "app")).resolve("v1")
    assert client.retries == []


@pytest.mark.usefixtures("test_domain")
def test_a_silent_proxy_is_given_up(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.fault("CONNECT", "", Delay(60), times=9)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")

    with pytest.raises(Unreachable) as error:
        Client(tries=2, timeout=0.2).store(Repository("registry.test", "app")).resolve("v1")
    place = f"registry registry.test: timeout connecting through proxy http://{proxy.host}"
    assert str(error.value) == f"{place}; gave up after 2 attempts"
