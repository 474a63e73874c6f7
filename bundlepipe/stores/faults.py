"""What went wrong with a connection, in the words of a user: from urllib3's exceptions to ours."""

from __future__ import annotations

import http.client
import socket
import ssl

from urllib3 import exceptions as urllib3_errors

from bundlepipe.errors import StoreError, Unreachable
from bundlepipe.stores.answers import one_line, public_url
from bundlepipe.stores.retries import Transient

_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
# What OpenSSL says when the other side's bytes are no TLS records.
NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})


def as_fault(error: urllib3_errors.HTTPError, method: str, url: str, *, reading: bool) -> Transient | StoreError:
    """Return what to raise for an exception of urllib3 that `method url` met.

    `reading` says that the head of the answer had arrived. The result is Transient where
    another attempt may succeed.
    """
    place = f"{method} {public_url(url)}"
    if isinstance(error, urllib3_errors.ProxyError):
        place, error = f"{place}: proxy", _original(error)
    cause = original_cause(error)
    if isinstance(cause, ssl.SSLError):
        return _tls_fault(cause, place, url)
    if isinstance(error, urllib3_errors.ReadTimeoutError):
        return _transient(place, url, "timeout awaiting data" if reading else "timeout awaiting response headers")
    if isinstance(error, urllib3_errors.NewConnectionError) and isinstance(cause, OSError):
        return cannot_connect(cause, place, url)
    if isinstance(error, urllib3_errors.ConnectTimeoutError):
        return _transient(place, url, "timeout connecting")
    if isinstance(error, urllib3_errors.LocationValueError):
        return StoreError(f"{place}: not a usable URL")
    text = _describe(cause)
    if text.startswith("Tunnel connection failed: 4"):
        return StoreError(f"{place}: {text}")
    return _transient(place, url, f"the connection broke: {text}")


def cannot_connect(cause: OSError, place: str, url: str) -> Transient | StoreError:
    """Return what to raise when no connection to the host of `url` came about."""
    if isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME:
        return Unreachable(f"{place}: there is no such host: {_describe(cause)}")
    return _transient(place, url, f"cannot connect: {_describe(cause)}")


def _transient(place: str, url: str, reason: str) -> Transient:
    return Transient(Unreachable(f"{place}: {reason}"), public_url(url), reason)


def _tls_fault(cause: ssl.SSLError, place: str, url: str) -> Transient | StoreError:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StoreError(
            f"{place}: the certificate is not trusted: {cause.verify_message}; "
            "name the file of its authority as 'ca' of the registry, or in SSL_CERT_FILE"
        )
    if cause.reason in NOT_TLS:
        return StoreError(
            f"{place}: the server does not speak TLS; if it is meant to be reached by plain HTTP, "
            "declare the registry 'insecure'"
        )
    return _transient(place, url, f"TLS failed: {_describe(cause)}")


def _original(error: urllib3_errors.ProxyError) -> urllib3_errors.HTTPError:
    original = error.original_error
    if isinstance(original, urllib3_errors.HTTPError):
        return original
    return urllib3_errors.ProtocolError(str(original), original)


def original_cause(error: BaseException) -> BaseException:
    """Return the exception of the standard library that urllib3 wrapped, or its own if it wrapped none."""
    while isinstance(error, urllib3_errors.HTTPError):
        inner = next((argument for argument in reversed(error.args) if isinstance(argument, BaseException)), None)
        inner = inner or error.__cause__
        if inner is None:
            break
        error = inner
    return error


def _describe(cause: BaseException) -> str:
    if isinstance(cause, http.client.IncompleteRead):
        return "the body ended early"
    if isinstance(cause, OSError) and cause.strerror:
        return one_line(cause.strerror)
    return one_line(str(cause)) or type(cause).__name__
