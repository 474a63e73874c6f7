"""Inspect a server's TLS handshake: version and certificate, trusted or not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from msgspec import Struct

from bundlepipe.errors import one_line
from bundlepipe.stores.tls.probe import lenient_context

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL (x509_vfy.h): expired certificates are read too.
_NO_CHECK_TIME = 0x200000
_NAMES = ("commonName", "organizationName")

Connect = Callable[[], socket.socket]


class Certificate(Struct, frozen=True):
    """The issuer of a server's certificate, its names, and its validity period (texts, in UTC)."""

    issuer: str
    names: tuple[str, ...]
    begins: str
    ends: str

    def __str__(self) -> str:
        return f"certificate signed by '{self.issuer}', valid from {self.begins} until {self.ends}"


class Greeting(Struct, frozen=True):
    """The TLS version that was agreed on, such as `TLSv1.3`; the certificate is None if it cannot be read."""

    version: str
    certificate: Certificate | None


def greet(connect: Connect, host: str, context: ssl.SSLContext) -> Greeting:
    """Return the result of a server's handshake; `context` must accept any certificate. OSError if it is not TLS."""
    with connect() as connection, context.wrap_socket(connection, server_hostname=host) as tls:
        version, encoded = tls.version() or "TLS", tls.getpeercert(binary_form=True)
    return Greeting(version, _read(connect, host, encoded) if encoded else None)


def check(connect: Connect, host: str, context: ssl.SSLContext) -> None:
    """Do a handshake as for requests, with a context that checks certificates; OSError if it is not trusted."""
    with connect() as connection, context.wrap_socket(connection, server_hostname=host):
        pass


def _read(connect: Connect, host: str, encoded: bytes) -> Certificate | None:
    """Return the data of a certificate: Python reads only trusted ones, so this one is trusted temporarily."""
    context = lenient_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    try:
        context.load_verify_locations(cadata=encoded)
        with connect() as connection, context.wrap_socket(connection, server_hostname=host) as tls:
            read: Any = tls.getpeercert() or {}
    except OSError:
        return None
    alternatives = read.get("subjectAltName", ())
    names = tuple(one_line(name) for kind, name in alternatives if kind in ("DNS", "IP Address"))
    return Certificate(_name(read.get("issuer", ())), names, _day(read.get("notBefore")), _day(read.get("notAfter")))


def _name(parts: Any) -> str:
    """Return the common name for the owner of a distinguished name."""
    texts = {key: value for part in parts for key, value in part}
    named = next((texts[key] for key in _NAMES if key in texts), None)
    return one_line(named or ", ".join(texts.values())) or "unnamed"


def _day(text: Any) -> str:
    if not isinstance(text, str):
        return "an unknown time"
    moment = datetime.fromtimestamp(ssl.cert_time_to_seconds(text), timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M")
