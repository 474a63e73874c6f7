"""Translate OpenSSL's exceptions into errors with readable messages."""

from __future__ import annotations

import ssl

from bundlepipe.errors import StoreError, one_line
from bundlepipe.stores.tls.peers import Peer

# OpenSSL's reasons if the other side's bytes are not TLS records.
NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})

# X509_V_ERR_... of OpenSSL (x509_vfy.h), with their meaning for users.
_TRUST_IT = "'ca' of the registry, with --registry-ca-cert-path, or in SSL_CERT_FILE"
_UNKNOWN_AUTHORITY = f"it is signed by an unknown authority; name the file of that authority as {_TRUST_IT}"
_CLOCK = "unless the clock of this machine is wrong"
_CAUSES = {
    2: _UNKNOWN_AUTHORITY,
    9: f"it is not valid yet, {_CLOCK}",
    10: f"it has expired, {_CLOCK}",
    18: f"it is self-signed; name its file as {_TRUST_IT}",
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
}
_NAME_MISMATCHES = (62, 64)
_MOST_NAMES = 8

# Alerts (RFC 8446, 6.2) of servers that require another client certificate, or one at all. OpenSSL puts the version
# that introduced an alert before it.
_CLIENT_ALERTS = {
    "CERTIFICATE_REQUIRED": "none was shown",
    "BAD_CERTIFICATE": "bad certificate",
    "UNSUPPORTED_CERTIFICATE": "unsupported certificate",
    "CERTIFICATE_REVOKED": "it is revoked",
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_UNKNOWN": "certificate unknown",
    "UNKNOWN_CA": "it is signed by an authority that the server does not know",
    "ACCESS_DENIED": "access denied",
}


def tls_refusal(cause: ssl.SSLError, place: str, peer: Peer) -> StoreError | None:
    """Return the error for a fault that a retry cannot fix; None if it may.

    `place` is the request's name in messages.
    """
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StoreError(f"{place}: the certificate is not trusted: {_distrust(cause, peer)}")
    if cause.reason in NOT_TLS:
        return StoreError(
            f"{place}: the server does not speak TLS; if it is meant to be reached by plain HTTP, "
            "declare the registry 'insecure', or use --registry-insecure"
        )
    alert = (cause.reason or "").partition("_ALERT_")[2]
    return StoreError(f"{place}: {_client_fault(alert, peer)}") if alert in _CLIENT_ALERTS else None


def speaks_tls_all_the_same(cause: BaseException) -> bool:
    """Return whether a failed connection was one to a server that speaks TLS."""
    return (
        isinstance(cause, ssl.SSLError)
        and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        and cause.reason not in NOT_TLS
    )


def _distrust(cause: ssl.SSLCertVerificationError, peer: Peer) -> str:
    if cause.verify_code in _NAME_MISMATCHES:
        names = [one_line(name) for name in peer.find_names()]
        shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
        return f"it is not for {peer.host}" + (f" but for {shown}" if shown else "")
    return _CAUSES.get(cause.verify_code) or one_line(str(cause.verify_message))


def _client_fault(alert: str, peer: Peer) -> str:
    if peer.client_certificate:
        return f"the server does not accept the client certificate '{peer.client_certificate}': {_CLIENT_ALERTS[alert]}"
    if not peer.client_directories:
        return "the server wants a client certificate, which is only sent to the registry itself"
    places = " or ".join(peer.client_directories)
    return f"the server wants a client certificate; put it, as NAME.cert and NAME.key, into {places}"
