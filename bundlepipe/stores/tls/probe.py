"""Whether a host that may be plain HTTP speaks TLS.

Only asked of hosts for which plain HTTP is allowed, so that a wrong answer costs a failed
request and no security. Nothing is sent beyond the TLS greeting and no certificate is
looked at, which spares hosts without TLS the loading of the system's certificates (tens
of milliseconds).
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from bundlepipe.stores.tls.faults import NOT_TLS

# A server that waits for the end of a request line may not answer the greeting at all.
_LONGEST_HANDSHAKE = 10.0


def lenient_context() -> ssl.SSLContext:
    """Return a context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def speaks_tls(host: str, port: int, timeout: float) -> bool:
    """Tell whether the server greets back in TLS; OSError if there is no connection to it at all."""
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
    """Tell whether anything listens there."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def certificate_names(host: str, port: int, context: ssl.SSLContext, timeout: float) -> tuple[str, ...]:
    """Return the names and addresses in a server's certificate; none if they cannot be told.

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
