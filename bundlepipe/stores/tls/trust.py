"""TLS contexts of one registry: trusted authorities and the client certificate.

Besides declared files, Docker's directories are used (docker's documentation, "Verify repository
client with certificates"): in `certs.d/HOST[:PORT]` of Docker's own configuration and of
/etc/docker, `*.crt` are authorities, and `NAME.cert` with `NAME.key` is the client certificate for
this host.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from typing import NoReturn

from msgspec import Struct

from bundlepipe.errors import StoreError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings, docker_directory
from bundlepipe.stores.tls.probe import lenient_context

_SYSTEM_DIRECTORY = "/etc/docker/certs.d"


class ClientCertificate(Struct, frozen=True):
    """PEM files of a client certificate and its key."""

    certificate: str
    key: str


class DockerCertificates(Struct, frozen=True):
    """The contents of Docker's directories for a host."""

    authorities: tuple[str, ...] = ()
    client: ClientCertificate | None = None


def certificate_directories(host: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the possible directories of Docker's certificates for a host (with port, if any), the user's own first."""
    return os.path.join(docker_directory(environ), "certs.d", host), os.path.join(_SYSTEM_DIRECTORY, host)


def read_docker_certificates(host: str, environ: Mapping[str, str]) -> DockerCertificates:
    """Return the certificates in Docker's directories for a host (with port, if any), each sorted by name.

    A client uses one certificate, the first. Raises StoreError, as docker does, for a certificate
    without key and for a key without certificate.
    """
    authorities: list[str] = []
    clients: list[ClientCertificate] = []
    for directory in certificate_directories(host, environ):
        names = _names(directory)
        authorities.extend(os.path.join(directory, name) for name in names if name.endswith(".crt"))
        clients.extend(_clients(directory, names))
    return DockerCertificates(tuple(authorities), clients[0] if clients else None)


class Trust:
    """The TLS contexts of one registry, created on first use, since authorities take long to load."""

    def __init__(self, host: str, settings: RegistrySettings, network: NetworkSettings) -> None:
        self._host = host
        self._settings = settings
        self._network = network
        self._docker: DockerCertificates | None = None
        self._contexts: dict[bool, ssl.SSLContext] = {}

    @property
    def client_certificate(self) -> str:
        """The file of the certificate that is sent to the registry, or empty."""
        client = self._docker and self._docker.client
        return client.certificate if client else ""

    def context(self, *, own: bool) -> ssl.SSLContext:
        """Return the context for the registry itself, or for other hosts it redirects to.

        Authorities are trusted everywhere, but a client certificate is sent only to the registry.
        Raises StoreError for an unusable file.
        """
        if own not in self._contexts:
            self._contexts[own] = self._new_context(own)
        return self._contexts[own]

    def nameless_context(self) -> ssl.SSLContext:
        """Return a context that does not check names: for reading those in a certificate, never for requests."""
        context = self._new_context(False)
        context.check_hostname = False
        return context

    def _new_context(self, own: bool) -> ssl.SSLContext:
        if self._docker is None:
            self._docker = read_docker_certificates(self._host, os.environ)
        context = self._checking_context(self._docker) if self._network.verify_certificates else lenient_context()
        if own and self._docker.client:
            _show(context, self._docker.client)
        return context

    def _checking_context(self, docker: DockerCertificates) -> ssl.SSLContext:
        # With the authorities of the system, and those in SSL_CERT_FILE.
        context = ssl.create_default_context()
        if self._settings.ca is not None:
            _trust(context, self._settings.ca, f"the 'ca' of registry {self._host}")
        for path in (*self._network.authorities, *docker.authorities):
            _trust(context, path, "a file of certificate authorities")
        return context


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(anchored(directory)))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # On many machines only root may read /etc/docker.
        return []
    except OSError as error:
        raise StoreError(f"'{directory}' cannot be read: {error.strerror}") from None


def _clients(directory: str, names: list[str]) -> Iterator[ClientCertificate]:
    stems = {extension: [_stem(name) for name in names if name.endswith(extension)] for extension in (".cert", ".key")}
    for stem in stems[".key"]:
        if stem not in stems[".cert"]:
            raise StoreError(f"'{os.path.join(directory, stem)}.key': the certificate '{stem}.cert' for it is missing")
    for stem in stems[".cert"]:
        if stem not in stems[".key"]:
            raise StoreError(
                f"'{os.path.join(directory, stem)}.cert': the key '{stem}.key' for this client certificate is missing; "
                "the files of authorities end in '.crt'"
            )
        path = os.path.join(directory, stem)
        yield ClientCertificate(f"{path}.cert", f"{path}.key")


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _trust(context: ssl.SSLContext, path: str, what: str) -> None:
    # Companies' authorities often predate what Python 3.13 demands; docker and imgpkg accept them, and accept any
    # certificate in the file as a root, as Python does from 3.13 on.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=anchored(path))
    except OSError as error:
        reason = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no PEM certificate"
        raise StoreError(f"'{path}', {what}, cannot be used: {reason}") from None


class _Encrypted(Exception):
    """A key is protected by a password."""


def _show(context: ssl.SSLContext, client: ClientCertificate) -> None:
    def no_password() -> NoReturn:
        # OpenSSL would prompt on the terminal.
        raise _Encrypted

    try:
        context.load_cert_chain(anchored(client.certificate), anchored(client.key), password=no_password)
    except _Encrypted:
        raise StoreError(f"'{client.key}' cannot be used: it is protected by a password; store it without") from None
    except OSError as error:
        raise StoreError(f"{_culprit(client)} cannot be used: {_reason(error)}") from None


def _culprit(client: ClientCertificate) -> str:
    paths = (client.certificate, client.key)
    unreadable = next((path for path in paths if not os.access(anchored(path), os.R_OK)), None)
    if unreadable:
        return f"'{unreadable}'"
    return f"the client certificate '{client.certificate}' with its key '{client.key}'"


def _reason(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        return "the key is not that of the certificate"
    return "one of them is no PEM file"
