"""Detect whether a host that may be plain HTTP speaks TLS.

Only used for hosts that may use plain HTTP, so that a wrong result costs a failed request and no
security. Nothing is sent beyond the TLS greeting and no certificate is checked, which saves hosts
without TLS loading the system's certificates (tens of milliseconds).
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from bundlepipe.stores.tls.faults import NOT_TLS

# A server that waits for the end of a request line may not respond to the greeting at all.
_LONGEST_HANDSHAKE = 10.0


def lenient_context() -> ssl.SSLContext:
    """Return a context that accepts any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def speaks_tls(host: str, port: int, timeout: float) -> bool:
    """Return whether the server responds in TLS; OSError if it cannot be reached."""
    with socket.create_connection((host, port), timeout) as connection:
        connection.settimeout(min(timeout, _LONGEST_HANDSHAKE))
        try:
            with lenient_context().wrap_socket(connection, server_hostname=host):
                return True
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError, TimeoutError):
            return False
        except ssl.SSLError as error:
            return error.reason not in NOT_TLS


def accepts_connections(host: str, port: int, timeout: float) -> bool:
    """Return whether the port accepts connections."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def certificate_names(host: str, port: int, context: ssl.SSLContext, timeout: float) -> tuple[str, ...]:
    """Return the names and addresses in a server's certificate; empty if they are unknown.

    `context` has to trust the certificate, and must not check its name.
    """
    try:
        with (
            socket.create_connection((host, port), timeout) as connection,
            context.wrap_socket(connection, server_hostname=host) as tls,
        ):
            certificate: Any = tls.getpeercert() or {}
    except OSError:
        return ()
    alternatives = certificate.get("subjectAltName", ())
    return tuple(name for kind, name in alternatives if kind in ("DNS", "IP Address"))
