"""Whose certificates are trusted, which one is shown, and what is said of those that do not do."""

from __future__ import annotations

import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.errors import StoreError
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.http.fetch import fetch
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings
from bundlepipe.stores.tls import trust
from bundlepipe.stores.tls.trust import DockerCertificates, Trust, read_docker_certificates
from tests.support.certificates import (
    ClientAuthority,
    ServerCertificate,
    make_self_signed_server,
    make_server_certificate,
)
from tests.support.clients import Client, layer_of, push_image
from tests.support.proxy import Proxy, Respond
from tests.support.services import Registry, require

MakeProxy = Callable[..., Proxy]

LAYER = layer_of(1000)
TRUST_IT = "'ca' of the registry, with --registry-ca-cert-path, or in SSL_CERT_FILE"


def _trusting(*files: Path, **other: Any) -> Client:
    return Client(network=NetworkSettings(authorities=[str(path) for path in files], **other))


def _fault(client: Client, repository: Repository) -> str:
    """Return the error of a request, less what names the request."""
    with pytest.raises(StoreError) as error:
        client.store(repository).resolve("v1")
    assert client.retries == []
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"HEAD https://{repository.registry}/v2/{repository.path}/manifests/v1: ")


# Authorities


def test_several_files_of_authorities_are_trusted(tls_registry: Registry, tmp_path: Path) -> None:
    other = make_server_certificate(tmp_path, ("elsewhere.test",))
    client = _trusting(other.authority, tls_registry.tls.authority)

    push_image(client.store(tls_registry.repository()), LAYER)


def test_the_certificate_of_a_server_may_be_trusted_itself(
    registry: Registry, make_proxy: MakeProxy, tmp_path: Path
) -> None:
    self_signed = make_self_signed_server(tmp_path, ("127.0.0.1",))
    proxy = make_proxy(registry.host, tls=self_signed.context())

    push_image(_trusting(self_signed.certificate).store(registry.repository(), through=proxy.host), LAYER)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), ("x", "it holds no PEM certificate")]
)
def test_a_file_of_authorities_that_cannot_be_read_is_an_error(
    tls_registry: Registry, tmp_path: Path, content: str | None, reason: str
) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)

    fault = _fault(_trusting(tls_registry.tls.authority, path), tls_registry.repository())
    assert fault == f"'{path}', a file of certificate authorities, cannot be used: {reason}"


def test_dockers_directories_have_authorities(
    tls_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "own"))
    monkeypatch.setattr(trust, "_SYSTEM_DIRECTORY", str(tmp_path / "system"))
    repository = tls_registry.repository()
    assert f"name the file of that authority as {TRUST_IT}" in _fault(Client(), repository)
    for directory in (tmp_path / "own" / "certs.d", tmp_path / "system"):
        (directory / tls_registry.host).mkdir(parents=True)
        authority = directory / tls_registry.host / "authority.crt"
        authority.write_bytes(tls_registry.tls.authority.read_bytes())
        push_image(Client().store(repository), LAYER)
        authority.unlink()


def test_without_dockers_directories_hardly_anything_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def listdir(path: str) -> list[str]:
        asked.append(path)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", listdir)
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert read_docker_certificates("r.example:5000", environ) == DockerCertificates()
    assert asked == [f"{tmp_path}/certs.d/r.example:5000", "/etc/docker/certs.d/r.example:5000"]


def test_an_authority_of_dockers_directories_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    path = tmp_path / "certs.d" / "r.example" / "broken.crt"
    path.parent.mkdir(parents=True)
    path.write_text("broken")

    with pytest.raises(StoreError) as error:
        Trust("r.example", RegistrySettings(), NetworkSettings()).context(own=True)
    assert (
        str(error.value) == f"'{path}', a file of certificate authorities, cannot be used: it holds no PEM certificate"
    )


# Certificates that do not do


@pytest.fixture
def serve(registry: Registry, make_proxy: MakeProxy) -> Callable[[ServerCertificate], Repository]:
    def with_certificate(files: ServerCertificate) -> Repository:
        proxy = make_proxy(registry.host, tls=files.context())
        return Repository(proxy.host, registry.repository().path)

    return with_certificate


Serve = Callable[[ServerCertificate], Repository]


def test_an_unknown_authority_is_said_to_be_one(serve: Serve, tmp_path: Path) -> None:
    repository = serve(make_server_certificate(tmp_path, ("127.0.0.1",)))

    assert _fault(Client(), repository) == (
        "the certificate is not trusted: it is signed by an unknown authority; "
        f"name the file of that authority as {TRUST_IT}"
    )


def test_a_self_signed_certificate_is_said_to_be_one(serve: Serve, tmp_path: Path) -> None:
    repository = serve(make_self_signed_server(tmp_path, ("127.0.0.1",)))

    assert _fault(Client(), repository) == (
        f"the certificate is not trusted: it is self-signed; name its file as {TRUST_IT}"
    )


@pytest.mark.parametrize(("days", "cause"), [((-3, -1), "it has expired"), ((1, 3), "it is not valid yet")])
def test_a_certificate_out_of_its_time_is_said_to_be_so(
    serve: Serve, tmp_path: Path, days: tuple[int, int], cause: str
) -> None:
    files = make_server_certificate(tmp_path, ("127.0.0.1",), days=days)

    fault = _fault(_trusting(files.authority), serve(files))
    assert fault == f"the certificate is not trusted: {cause}, unless the clock of this machine is wrong"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("registry.example", "*.registry.example", "10.9.8.7"), "registry.example, *.registry.example, 10.9.8.7"),
        (
            tuple(f"r{number}.example" for number in range(9)),
            ", ".join(f"r{number}.example" for number in range(8)) + ", …",
        ),
    ],
)
def test_a_certificate_for_another_name_is_said_to_be_one(
    serve: Serve, tmp_path: Path, names: tuple[str, ...], shown: str
) -> None:
    files = make_server_certificate(tmp_path, names)
    repository = serve(files)

    fault = _fault(_trusting(files.authority), repository)
    assert fault == f"the certificate is not trusted: it is not for {repository.registry} but for {shown}"


@pytest.mark.parametrize("kind", ["self-signed", "expired", "other name"])
def test_certificates_need_not_be_checked(serve: Serve, tmp_path: Path, kind: str) -> None:
    if kind == "self-signed":
        files = make_self_signed_server(tmp_path, ("127.0.0.1",))
    else:
        expired = kind == "expired"
        names = ("127.0.0.1" if expired else "elsewhere.test",)
        files = make_server_certificate(tmp_path, names, days=(-3, -1) if expired else (-1, 1))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        push_image(Client(network=NetworkSettings(verify_certificates=False)).store(serve(files)), LAYER)


def test_plain_http_to_a_port_for_https_is_said_to_be_so(tls_registry: Registry) -> None:
    with pytest.raises(StoreError) as error:
        fetch(f"http://{tls_registry.host}/config.yml")
    assert str(error.value) == (
        f"GET http://{tls_registry.host}/config.yml: 400 Bad Request: "
        "the server speaks TLS, but the request was plain HTTP: use https"
    )


def test_a_server_that_answers_plain_http_with_an_alert_of_tls_is_said_to_speak_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"

        def alert() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")

        answering = threading.Thread(target=alert)
        answering.start()
        with pytest.raises(StoreError, match=f"^GET http://{host}/x: the server speaks TLS, but the request was plain"):
            fetch(f"http://{host}/x")
        answering.join()


# Client certificates


@pytest.fixture(scope="module")
def _clients(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClientAuthority]:
    directory = tmp_path_factory.mktemp("client-registry")
    return directory, ClientAuthority(directory)


@pytest.fixture(scope="module")
def clients(_clients: tuple[Path, ClientAuthority]) -> ClientAuthority:
    return _clients[1]


@pytest.fixture(scope="module")
def client_registry(_clients: tuple[Path, ClientAuthority]) -> Iterator[Registry]:
    """A registry that lets nobody in without a certificate of `clients`."""
    require("registry")
    directory, authority = _clients
    certificate = make_server_certificate(directory, ("127.0.0.1", "registry.test"))
    running = Registry(directory, tls=certificate, clients=authority.certificate)
    yield running
    running.stop()


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's directory for certificates."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker" / "certs.d"


def test_a_client_certificate_of_dockers_directories_is_shown(
    client_registry: Registry, clients: ClientAuthority, docker: Path
) -> None:
    clients.issue(docker / client_registry.host)
    client = _trusting(client_registry.tls.authority)
    store = client.store(client_registry.repository())
    pushed = push_image(store, LAYER)

    assert store.read_manifest("v1") == pushed
    unchecking = Client(network=NetworkSettings(verify_certificates=False))
    assert unchecking.store(store.repository).read_manifest("v1") == pushed


def test_a_client_certificate_that_is_wanted_is_said_to_be_so(client_registry: Registry, docker: Path) -> None:
    fault = _fault(_trusting(client_registry.tls.authority), client_registry.repository())
    assert fault == (
        "the server wants a client certificate; put it, as NAME.cert and NAME.key, into "
        f"{docker}/{client_registry.host} or /etc/docker/certs.d/{client_registry.host}"
    )


def test_a_client_certificate_that_is_not_accepted_is_named(
    client_registry: Registry, docker: Path, tmp_path: Path
) -> None:
    ClientAuthority(tmp_path).issue(docker / client_registry.host, "mine")

    fault = _fault(_trusting(client_registry.tls.authority), client_registry.repository())
    shown = docker / client_registry.host / "mine.cert"
    assert fault.startswith(f"the server does not accept the client certificate '{shown}': ")


def test_a_client_certificate_is_shown_to_no_other_host(
    registry: Registry, clients: ClientAuthority, docker: Path, make_proxy: MakeProxy, tmp_path: Path
) -> None:
    files = make_server_certificate(tmp_path, ("127.0.0.1",))
    front, storage = (make_proxy(registry.host, tls=files.context(clients)) for _ in range(2))
    for host in (front.host, storage.host):
        clients.issue(docker / host)
    store = _trusting(files.authority).store(registry.repository(), through=front.host)
    push_image(store, LAYER)
    front.fault("GET", "/blobs/", Respond(307, {"Location": f"https://{storage.host}/x?signature=SECRET"}), times=9)

    with pytest.raises(StoreError) as error:
        b"".join(store.read_blob(LAYER.descriptor))
    assert str(error.value) == (
        f"GET https://{storage.host}/x: "
        "the server wants a client certificate, which is only sent to the registry itself"
    )
    assert storage.count() == 0


@pytest.mark.parametrize(
    ("present", "message"),
    [
        (
            ("client.cert",),
            (
                "'{directory}/client.cert': the key 'client.key' for this client certificate is missing; "
                "the files of authorities end in '.crt'"
            ),
        ),
        (("client.key",), "'{directory}/client.key': the certificate 'client.cert' for it is missing"),
    ],
)
def test_half_a_client_certificate_is_an_error(
    clients: ClientAuthority, docker: Path, present: tuple[str, ...], message: str
) -> None:
    directory = docker / "r.example"
    clients.issue(directory)
    for path in directory.iterdir():
        if path.name not in present:
            path.unlink()

    with pytest.raises(StoreError) as error:
        Trust("r.example", RegistrySettings(), NetworkSettings()).context(own=True)
    assert str(error.value) == message.format(directory=directory)


def _replace_key(directory: Path, clients: ClientAuthority, how: str) -> None:
    match how:
        case "encrypted":
            clients.issue(directory, password="of this test")
        case "another's":
            old = (directory / "client.cert").read_bytes()
            clients.issue(directory)
            (directory / "client.cert").write_bytes(old)
        case "garbage":
            (directory / "client.key").write_text("no key")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("encrypted", "'{path}.key' cannot be used: it is protected by a password; store it without"),
        (
            "another's",
            (
                "the client certificate '{path}.cert' with its key '{path}.key' cannot be used: "
                "the key is not that of the certificate"
            ),
        ),
        (
            "garbage",
            "the client certificate '{path}.cert' with its key '{path}.key' cannot be used: one of them is no PEM file",
        ),
    ],
)
def test_a_client_certificate_that_cannot_be_used_is_an_error(
    clients: ClientAuthority, docker: Path, how: str, message: str
) -> None:
    directory = docker / "r.example"
    clients.issue(directory)
    _replace_key(directory, clients, how)

    with pytest.raises(StoreError) as error:
        Trust("r.example", RegistrySettings(), NetworkSettings()).context(own=True)
    assert str(error.value) == message.format(path=directory / "client")


def test_the_first_client_certificate_counts(clients: ClientAuthority, docker: Path) -> None:
    for name in ("b", "a"):
        clients.issue(docker / "r.example", name)

    found = read_docker_certificates("r.example", {"DOCKER_CONFIG": str(docker.parent)})
    assert found.client is not None
    assert found.client.certificate == str(docker / "r.example" / "a.cert")
