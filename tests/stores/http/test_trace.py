"""The trace of whole conversations with real registries: all that helps is in it, and no secret."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from bundlepipe.errors import AccessDenied, StoreError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import DOCKER_CONFIG, docker_manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http import trace as trace_module
from bundlepipe.stores.http.fetch import fetch
from bundlepipe.stores.http.trace import Trace
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Store
from bundlepipe.stores.settings import NetworkSettings
from tests.conftest import WriteDockerConfig
from tests.support.clients import Content, layer_of
from tests.support.forward_proxy import ForwardProxy, behind
from tests.support.proxy import Cut, Delay, Proxy, Respond
from tests.support.registries import ALICE, IDENTITY_TOKEN, Account, PasswordRegistry, TokenRegistry
from tests.support.services import Registry, require

MakeProxy = Callable[..., Proxy]

LAYER = layer_of(300_000)
BASIC = base64.b64encode(f"{ALICE.username}:{ALICE.password}".encode()).decode()


def assert_hidden(text: str, *secrets: str) -> None:
    """Look for secrets as they are, in URLs, and in base64, wherever in what was encoded they began."""
    for secret in secrets:
        assert secret not in text
        assert quote(secret, safe="") not in text
        assert quote_plus(secret) not in text
        for offset in range(3):
            encoded = base64.b64encode(b"x" * offset + secret.encode()).decode()
            # The first and last characters depend on what stands beside it.
            assert encoded[4 if offset else 0 : -4] not in text


def push(store: Store, layer: Content = LAYER, tag: str = "v1") -> Digest:
    config = Content(b'{"rootfs":{"type":"layers","diff_ids":[]}}', DOCKER_CONFIG)
    for content in (config, layer):
        store.put_blob(content.descriptor, content.open)
    manifest = docker_manifest(config.descriptor, (layer.descriptor,))
    store.put_manifest(manifest, tag)
    return manifest.digest


def pull(store: Store, layer: Content = LAYER, tag: str = "v1") -> None:
    assert store.read_manifest(tag).layers[0] == layer.descriptor
    assert b"".join(store.read_blob(layer.descriptor)) == layer.data


class Log(list[str]):
    """The blocks of a trace."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self)

    @property
    def exchanges(self) -> list[str]:
        """What was asked and answered, without hosts, queries and times."""
        lines = [block.partition("\n")[0] for block in self if block.startswith(("-->", "<--"))]
        return [re.sub(r"( failed)? \(\d+ms\).*$", "", re.sub(r"(http://)[^/]+|\?\S*", r"\1", line)) for line in lines]


def stores(log: Log, **network: object) -> Stores:
    return Stores(network=NetworkSettings(**network), trace=log.append)  # type: ignore[arg-type]


# What is shown


def test_exchanges_are_shown_as_blocks(registry: Registry) -> None:
    log, repository = Log(), registry.repository()
    store = stores(log).repository(repository)
    with pytest.raises(StoreError):
        store.read_manifest("absent")
    digest = push(store)
    store.read_manifest("v1")

    assert log[0] == f"--- {registry.host} is reached at http://{registry.host}\n\n"
    url = f"http://{registry.host}/v2/{repository.path}/manifests/"
    assert re.match(
        rf"--> GET {url}absent\nUser-Agent: bundlepipe\nAccept-Encoding: identity\nAccept: \S.*\n\n$", log[1]
    )
    head, _, body = log[2].partition("\n\n")
    assert re.match(rf"<-- 404 {url}absent \(\d+ms\)\nContent-Type: application/json(; charset=utf-8)?\n", head)
    assert '{"errors":[{"code":"MANIFEST_UNKNOWN"' in body
    sent, answered = log[-4], log[-3]
    assert sent.startswith(f"--> PUT {url}v1\n")
    assert sent.endswith(f"\n\n{json.dumps(json.loads(sent.partition(chr(10) * 2)[2]), separators=(',', ':'))}\n\n")
    assert f"\nDocker-Content-Digest: {digest}\n" in answered
    assert log[-1].startswith(f"<-- 200 {url}v1 (")
    assert f'"digest":"{LAYER.descriptor.digest}"' in log[-1]


def test_blobs_are_not_shown_but_streamed(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    log, repository = Log(), registry.repository()
    store = stores(log).repository(repository)
    push(store)
    pull(store)

    uploads = [block for block in log if block.startswith("--> PUT") and "/blobs/" in block]
    downloads = [block for block in log if block.startswith("<-- 200") and "/blobs/" in block]
    assert uploads[-1].endswith("\n\n[body of 300000 bytes omitted]\n\n")
    assert downloads[-1].endswith("\n\n[body of 300000 bytes omitted]\n\n")
    assert len(log.text) < 30_000


def test_the_head_of_a_download_is_shown_before_its_end(registry: Registry) -> None:
    log = Log()
    store = stores(log).repository(registry.repository())
    large = layer_of(2_000_000)
    push(store, large)
    chunks = store.read_blob(large.descriptor)
    next(chunks)

    assert log[-1].startswith("<-- 200 ")
    chunks.close()


def test_upload_sessions_are_shown_without_their_state(registry: Registry) -> None:
    log = Log()
    push(stores(log).repository(registry.repository()))

    assert "/blobs/uploads/" in log.text
    assert "?_state=***" in log.text
    assert f"?_state=***&digest={quote(LAYER.descriptor.digest, safe='')}" in log.text
    assert len(re.findall(r"_state=(?!\*\*\*)", log.text)) == 0


def test_further_attempts_and_faults_are_shown(
    registry: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundlepipe.stores.http.retries.random.uniform", lambda *_: 0)
    log, path = Log(), registry.repository().path
    store = stores(log, response_header_timeout=1.0).repository(Repository(proxy.host, path))
    push(store)
    log.clear()
    manifest = f"http:///v2/{path}/manifests/v1"
    proxy.fault("GET", "/manifests/", Delay(60))
    proxy.fault("GET", "/manifests/", Respond(503, {"Content-Type": "text/plain"}, b"come back\nlater"))
    proxy.fault("GET", "/manifests/", Cut(20))
    store.read_manifest("v1")

    statuses = ["GET", "503", "200", "200"]
    assert log.exchanges == [
        line for status in statuses for line in (f"--> GET {manifest}", f"<-- {status} {manifest}")
    ]
    assert "ms): timeout awaiting response headers\n" in log[1]
    assert log[3].endswith("\n\ncome back\nlater\n\n")
    assert log[5].endswith("\n\n[body omitted: the connection broke: the body ended early]\n\n")


def test_redirects_are_shown_without_signatures(registry: Registry, proxy: Proxy, make_proxy: MakeProxy) -> None:
    log, path, storage = Log(), registry.repository().path, make_proxy(registry.host)
    store = stores(log).repository(Repository(proxy.host, path))
    push(store)
    log.clear()
    target = f"http://{storage.host}/v2/{path}/blobs/{LAYER.descriptor.digest}?X-Amz-Signature=SECRET&X=SECRET"
    proxy.fault("GET", "/blobs/", Respond(307, {"Location": target, "Set-Cookie": "s=SECRET"}))
    assert b"".join(store.read_blob(LAYER.descriptor)) == LAYER.data

    assert [line.split()[1] for line in log.exchanges] == ["GET", "307", "GET", "200"]
    assert "?X-Amz-Signature=***&X=***" in log[1]
    assert "?X-Amz-Signature=***&X=***" in log[2]
    assert "Set-Cookie: ***" in log[1]
    assert "SECRET" not in log.text


def test_blocks_of_several_threads_do_not_mix(registry: Registry) -> None:
    log, writing = Log(), threading.Lock()

    def write(block: str) -> None:
        assert writing.acquire(blocking=False), "one at a time"
        log.append(block)
        writing.release()

    store = Stores(trace=write).repository(registry.repository())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: push(store, layer_of(1000, number + 1), f"v{number}"), range(16)))
    assert all(block.startswith(("-->", "<--", "---")) and block.endswith("\n\n") for block in log)
    asked, answered = (sum(block.startswith(arrow) for block in log) for arrow in ("-->", "<--"))
    assert asked == answered


def test_nothing_of_a_server_can_move_the_cursor() -> None:
    log = Log()
    exchange = Trace(log.append, Redactor()).request("GET", "http://r.example/\x1b[2J", {}, None, private=False)
    exchange.answered(200, {"Content-Type": "text/plain", "X-\x07": "\x1b[1mbold"})
    exchange.read(b"one\r\x1b[A\ttwo\nthree")

    assert "\x1b" not in log.text
    assert "\x07" not in log.text
    assert log[1].endswith("\n\none\\r\\x1b[A\ttwo\nthree\n\n")


def test_without_a_trace_nothing_is_rendered(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(*_: object, **__: object) -> None:
        raise AssertionError("something was rendered")

    for name in ("conceal_url", "conceal_header", "conceal_body"):
        monkeypatch.setattr(trace_module, name, unwanted)
    push(Stores().repository(registry.repository()))


def test_documents_at_urls_are_traced(proxy: Proxy) -> None:
    log = Log()
    proxy.fault("GET", "/config", Respond(200, {"Content-Type": "application/json"}, b'{"kind":"Config"}'))
    fetch(f"http://me:S3CRET-word@{proxy.host}/config?token=SECRET", trace=log.append)

    assert log[0].startswith(f"--> GET http://{proxy.host}/config?token=***\n")
    assert "Authorization: Basic ***" in log[0]
    assert log[1].endswith('\n\n{"kind":"Config"}\n\n')
    assert_hidden(log.text, "SECRET", "S3CRET-word", "me:S3CRET-word")


# No secret is


def test_a_password_is_nowhere(authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig) -> None:
    docker_config({"auths": {authenticated_registry.host: {"auth": BASIC}}})
    log = Log()
    store = stores(log).repository(authenticated_registry.repository())
    push(store)
    pull(store)

    assert "\nAuthorization: Basic ***\n" in log.text
    assert 'Www-Authenticate: Basic realm="tests"' in log.text
    assert_hidden(log.text, ALICE.password, BASIC, f"{ALICE.username}:{ALICE.password}")


@pytest.mark.parametrize("entry", [{"auth": BASIC}, {"identitytoken": IDENTITY_TOKEN}])
def test_tokens_are_nowhere(
    token_registry: TokenRegistry, docker_config: WriteDockerConfig, make_proxy: MakeProxy, entry: dict[str, str]
) -> None:
    front = make_proxy(token_registry.host)
    docker_config({"auths": {front.host: entry}})
    log = Log()
    store = stores(log).repository(Repository(front.host, token_registry.repository().path), writes=True)
    push(store)
    pull(store)

    token = front.requests[-1].headers["Authorization"].removeprefix("Bearer ")
    assert_hidden(log.text, ALICE.password, BASIC, IDENTITY_TOKEN, token, *token.split("."))
    method = "GET" if "auth" in entry else "POST"
    asked = next(
        index for index, block in enumerate(log) if block.startswith(f"--> {method} {token_registry.tokens.realm}")
    )
    assert re.search(r"\n\n\[body of \d+ bytes omitted\]\n\n$", log[asked + 1])
    if method == "POST":
        assert re.search(r"\n\n\[body of \d+ bytes omitted\]\n\n$", log[asked])
    else:
        assert "scope=repository%3A" in log[asked]
        assert "\nAuthorization: Basic ***\n" in log[asked]
    assert "\nAuthorization: Bearer ***\n" in log.text


def test_a_token_service_that_quotes_a_password_does_not_show_it(
    token_registry: TokenRegistry, docker_config: WriteDockerConfig
) -> None:
    docker_config({"auths": {token_registry.host: {"username": "alice", "password": "not-the-password"}}})
    log = Log()

    with pytest.raises(AccessDenied):
        stores(log).repository(token_registry.repository()).resolve("v1")
    assert '{"details": "incorrect username or password"}' in log.text, "errors are shown"
    assert_hidden(log.text, "not-the-password", "alice:not-the-password")


def test_a_registry_that_quotes_a_password_does_not_show_it(
    authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig, make_proxy: MakeProxy
) -> None:
    front = make_proxy(authenticated_registry.host)
    docker_config({"auths": {front.host: {"auth": BASIC}}})
    log = Log()
    store = stores(log).repository(Repository(front.host, authenticated_registry.repository().path))
    push(store)
    echo = json.dumps(
        {"errors": [{"code": "X", "message": f"{ALICE.password} {BASIC}", "detail": {"token": "T0KEN-x"}}]}
    )
    answer = Respond(
        400, {"Content-Type": "application/json", "X-Echo": BASIC, "X-Auth-Token": "T0KEN-y"}, echo.encode()
    )
    front.fault("GET", "/manifests/", answer)

    with pytest.raises(StoreError):
        store.read_manifest("v1")
    assert '"code": "X", "message": "*** ***"' in log.text
    assert_hidden(log.text, ALICE.password, BASIC, "T0KEN-x", "T0KEN-y")


def test_the_password_of_a_proxy_is_nowhere(
    authenticated_registry: PasswordRegistry,
    docker_config: WriteDockerConfig,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    require("tinyproxy")
    account = Account("mary", "Pr0xy-w0rd_9.x")
    forward = ForwardProxy(tmp_path, account)
    host, log = behind(authenticated_registry.host), Log()
    docker_config({"auths": {host: {"auth": BASIC}}})
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, forward.url)
    store = stores(log, insecure=True).repository(Repository(host, authenticated_registry.repository().path))
    with closing(forward):
        push(store)
        pull(store)

    assert f"\n[through the proxy http://{forward.host}]\n" in log.text
    assert_hidden(log.text, account.password, f"{account.username}:{account.password}", ALICE.password, BASIC)


@pytest.mark.parametrize("secret", ["what?is#this", "p&ss;w=rd", "a//b:c@d", 'quo"te\\d'])
def test_a_secret_that_looks_like_something_else_is_hidden_as_a_whole(secret: str) -> None:
    log, redactor = Log(), Redactor()
    redactor.keep(secret)
    words, quoted = f"it is {secret}.", quote(secret, safe="")
    url = f"http://r.example/{quoted}?n={quoted}"
    exchange = Trace(log.append, redactor).request("GET", url, {"X": words}, words.encode(), private=False)
    exchange.answered(200, {"Content-Type": "application/json", "Location": url})
    exchange.read(json.dumps({"message": words, secret: 1}).encode())

    assert "X: it is ***." in log[0]
    assert log[1].startswith("<-- 200 http://r.example/***?n=***")
    assert log[1].endswith('\n\n{"message": "it is ***.", "***": 1}\n\n')
    assert_hidden(log.text, secret)


def test_secrets_of_one_host_are_hidden_in_what_another_says(
    authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig, proxy: Proxy
) -> None:
    docker_config({"auths": {authenticated_registry.host: {"auth": BASIC}}})
    log = Log()
    shared = stores(log)
    push(shared.repository(authenticated_registry.repository()))
    answer = Respond(400, {"Content-Type": "text/plain"}, f"you are {ALICE.password}".encode())
    proxy.fault("GET", "/manifests/", answer)

    with pytest.raises(StoreError):
        shared.repository(Repository(proxy.host, "app")).read_manifest("v1")
    assert log[-1].endswith("\n\nyou are ***\n\n")
