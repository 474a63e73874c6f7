"""A host that cannot be reached is found out once, for all threads, and told in the same words to all of them."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bundlepipe.errors import BundlepipeError, Unreachable
from bundlepipe.events import Retrying, ignore
from bundlepipe.oci.manifest import DOCKER_MANIFEST
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.http.reachability import LOOK_AGAIN, Reachability
from bundlepipe.stores.http.retries import Retries, Transient
from bundlepipe.stores.registry.auth.token_cache import Access
from bundlepipe.stores.registry.host import Call
from tests.support.clients import Client, layer_of, push_image
from tests.support.proxy import Cut, Proxy, Reset, Respond
from tests.support.services import Registry

THREADS = 8
REQUESTS = 40


def ask_many(client: Client, repositories: list[Repository]) -> list[str]:
    """Ask for a tag in each repository, by several threads at once; return the messages of what failed."""
    start = threading.Barrier(THREADS)

    def ask(repository: Repository) -> str:
        try:
            client.store(repository).resolve("v1")
        except BundlepipeError as error:
            return str(error)
        return ""

    def ask_some(number: int) -> list[str]:
        start.wait(30)
        return [ask(repository) for repository in repositories[number::THREADS]]

    with ThreadPoolExecutor(THREADS) as pool:
        return [message for messages in pool.map(ask_some, range(THREADS)) for message in messages]


def repositories(registry: Registry) -> list[Repository]:
    return [registry.repository() for _ in range(REQUESTS)]


def refused(registry: Registry) -> str:
    return f"registry {registry.host}: cannot connect: Connection refused; gave up after 5 attempts"


def test_a_registry_that_is_down_is_found_out_once(own_registry: Registry) -> None:
    own_registry.stop()
    client = Client()

    assert ask_many(client, repositories(own_registry)) == [refused(own_registry)] * REQUESTS
    assert client.events == [
        Retrying(f"https://{own_registry.host}", "cannot connect: Connection refused", pause) for pause in client.pauses
    ]
    assert len(client.pauses) == 4


def test_a_registry_that_goes_down_midway_is_found_out_once(own_registry: Registry) -> None:
    client = Client()
    asked = repositories(own_registry)
    assert all("unknown" in message or "404" in message for message in ask_many(client, asked))
    own_registry.stop()

    assert ask_many(client, asked) == [refused(own_registry)] * REQUESTS
    assert client.retries == ["cannot connect: Connection refused"] * 4


def test_a_registry_that_comes_back_in_time_is_used_by_all_who_wait(own_registry: Registry) -> None:
    client = Client()
    asked = repositories(own_registry)
    ask_many(client, asked)
    own_registry.stop()
    client.during_pauses = own_registry.start

    assert not [message for message in ask_many(client, asked) if "connect" in message]
    assert len(client.retries) == 1


def test_a_registry_that_was_down_is_looked_at_again_without_patience(own_registry: Registry) -> None:
    own_registry.stop()
    client = Client()
    ask_many(client, repositories(own_registry))
    waited = len(client.pauses)
    client.now += LOOK_AGAIN

    assert ask_many(client, repositories(own_registry)) == [refused(own_registry)] * REQUESTS
    assert len(client.pauses) == waited
    own_registry.start()
    client.now += LOOK_AGAIN
    with pytest.raises(BundlepipeError, match="404"):
        client.store(own_registry.repository()).resolve("v1")
    assert not [message for message in ask_many(client, repositories(own_registry)) if "connect" in message]


def test_a_name_that_does_not_exist_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def no_such_host(*arguments: object, **_: object) -> None:
        asked.append(arguments)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
    client = Client()
    messages = {
        _failure(lambda path=path: client.store(Repository("registry.invalid", path)).resolve("v1"))  # type: ignore[misc]
        for path in ("a", "b", "c")
    }

    assert messages == {"registry registry.invalid: there is no such host: Name or service not known"}
    assert len(asked) == 1
    assert client.retries == []


def _failure(work: Callable[[], object]) -> str:
    with pytest.raises(BundlepipeError) as error:
        work()
    return str(error.value)


def test_an_error_of_one_repository_is_that_of_no_other(registry: Registry, proxy: Proxy) -> None:
    client = Client()
    bad, good = registry.repository("bad"), registry.repository("good")
    proxy.fault("HEAD", f"/{bad.path}/", Respond(503), times=99)

    for _ in range(2):
        with pytest.raises(BundlepipeError, match="503 Service Unavailable; gave up after 5 attempts"):
            client.store(bad, through=proxy.host).resolve("v1")
    with pytest.raises(BundlepipeError, match="404"):
        client.store(good, through=proxy.host).resolve("v1")
    assert client.retries == ["503 Service Unavailable"] * 8


def test_a_gateway_that_reaches_no_registry_is_found_out_by_its_first_requests(
    registry: Registry, proxy: Proxy
) -> None:
    client = Client()
    proxy.fault("HEAD", "/manifests/", Respond(503), times=math.inf)
    through = [Repository(proxy.host, repository.path) for repository in repositories(registry)]
    messages = ask_many(client, through)

    at_once = f"http://{proxy.host}: 503 Service Unavailable; other requests were retried without success"
    gave_up = [message for message in messages if message != at_once]
    assert all(message.endswith("503 Service Unavailable; gave up after 5 attempts") for message in gave_up)
    assert 2 <= len(gave_up) <= THREADS
    # On a busy machine a thread may be in its next request when the others have given up.
    assert len(client.pauses) <= 2 * 4 * THREADS < 4 * REQUESTS
    # Each was made once, so that the first that has an answer ends this.
    assert proxy.count("HEAD", "/manifests/") == REQUESTS + len(client.pauses)
    proxy.heal()
    with pytest.raises(BundlepipeError, match="404"):
        client.store(through[0]).resolve("v1")
    proxy.fault("HEAD", "/manifests/", Respond(503))
    with pytest.raises(BundlepipeError, match="404"):
        client.store(through[0]).resolve("v1")


def test_a_gateway_that_says_when_to_come_back_is_heeded(registry: Registry, proxy: Proxy) -> None:
    client = Client()
    proxy.fault("HEAD", "/manifests/", Respond(503, {"Retry-After": "1"}), times=math.inf)
    for _ in range(4):
        message = _failure(lambda: client.store(registry.repository(), through=proxy.host).resolve("v1"))
        assert message.endswith("503 Service Unavailable; gave up after 5 attempts")


def test_a_gateway_that_breaks_connections_is_found_out_by_its_first_requests(registry: Registry, proxy: Proxy) -> None:
    client = Client()
    proxy.fault("HEAD", "/manifests/", Reset(), times=math.inf)
    messages = [
        _failure(lambda: client.store(registry.repository(), through=proxy.host).resolve("v1")) for _ in range(4)
    ]
    assert [message.endswith("; gave up after 5 attempts") for message in messages] == [True, True, False, False]
    assert all(message.endswith("other requests were retried without success") for message in messages[2:])


def test_a_download_that_goes_on_is_resumed_whatever_failed_before(registry: Registry, proxy: Proxy) -> None:
    client, layer = Client(), layer_of(300_000)
    store = client.store(registry.repository(), through=proxy.host)
    push_image(store, layer)
    proxy.fault("HEAD", "/manifests/", Respond(503), times=10)
    for _ in range(2):
        assert "gave up" in _failure(lambda: store.resolve("v1"))
    proxy.fault("GET", f"/blobs/{layer.descriptor.digest}", Cut(100_000))
    assert b"".join(store.read_blob(layer.descriptor)) == layer.data


def test_a_proxy_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{address}")
    client = Client()
    messages = ask_many(client, [Repository("registry.test", f"app{number}") for number in range(REQUESTS)])

    reason = f"proxy http://{address}: cannot connect: Connection refused"
    assert messages == [f"registry registry.test: {reason}; gave up after 5 attempts"] * REQUESTS
    assert client.retries == [reason] * 4


def test_a_proxy_that_does_not_reach_the_host_is_named(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.fault("CONNECT", "", Respond(502), times=99)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
    client = Client()
    messages = ask_many(client, [Repository("registry.test", f"app{number}") for number in range(REQUESTS)])

    reason = f"proxy http://{proxy.host}: Tunnel connection failed: 502 Bad Gateway"
    assert messages == [f"registry registry.test: {reason}; gave up after 5 attempts"] * REQUESTS
    assert proxy.count("CONNECT", "") <= 5 + THREADS


def test_a_greeting_of_tls_that_is_not_answered_is_a_host_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest, **options: real("127.0.0.1", *rest, **options))
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"registry.test:{server.getsockname()[1]}"
        client = Client(tries=2, timeout=0.2)
        messages = {_failure(lambda: client.store(Repository(host, "app")).resolve("v1")) for _ in range(3)}

    assert messages == {f"registry {host}: timeout connecting; gave up after 2 attempts"}
    assert len(client.pauses) == 1


def test_what_is_tried_again_may_ask_the_same_host() -> None:
    """As an upload does whose body is a download: it must not wait for itself."""
    host = "registry.example"
    reachability = Reachability(host, Retries(ignore, sleep=lambda seconds: None))
    attempts: list[str] = []

    def upload() -> str:
        attempts.append("upload")
        if len(attempts) == 1:
            reason = "cannot connect"
            raise Transient(Unreachable(reason), f"https://{host}/v2/", reason, unreachable=host)
        return f"sent {reachability.run(host, lambda: 'a blob')}"

    ended: list[str] = []
    thread = threading.Thread(target=lambda: ended.append(reachability.run(host, upload)), daemon=True)
    thread.start()
    thread.join(20)
    assert (ended, attempts) == (["sent a blob"], ["upload", "upload"])
    assert reachability.run(host, lambda: "another") == "another"


def test_who_waits_goes_on_when_a_long_upload_has_a_connection(own_registry: Registry) -> None:
    client, repository = Client(), own_registry.repository()
    is_answered = threading.Event()

    def ask() -> None:
        with pytest.raises(BundlepipeError, match="404"):
            client.store(repository).resolve("v1")
        is_answered.set()

    def body() -> Iterator[bytes]:
        assert is_answered.wait(60), "the other request waits for the end of the upload"
        yield b"{}"

    other = threading.Thread(target=ask, daemon=True)

    def come_back() -> None:
        other.start()
        own_registry.start()

    ask()
    is_answered.clear()
    own_registry.stop()
    client.during_pauses = come_back
    target, access = f"/v2/{repository.path}/manifests/v1", Access(repository, frozenset(), frozenset())
    call = Call("PUT", target, access, {"Content-Length": "2", "Content-Type": DOCKER_MANIFEST}, body)
    assert client.host(repository.registry).exchange(call).read(1000).status == 400
    other.join(60)
    assert client.retries == ["cannot connect: Connection refused"]
