"""Translate urllib3's exceptions into errors with readable messages."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit

from urllib3 import exceptions as urllib3_errors

from bundlepipe.errors import StoreError, Unreachable, one_line
from bundlepipe.stores.http.answers import SPOKEN_TO_BY_HTTP, public_url
from bundlepipe.stores.http.retries import Transient
from bundlepipe.stores.tls.faults import tls_refusal
from bundlepipe.stores.tls.peers import Peer, ProxyAddress

_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_NOBODY = Peer()
# The start of http.client's message that a proxy did not connect to the server.
NO_TUNNEL = "Tunnel connection failed: "
# Not every proxy responds with 407 to a wrong password (tinyproxy).
WHO_ARE_YOU = (f"{NO_TUNNEL}407", f"{NO_TUNNEL}401")
# The response of a TLS server to a plain request: an alert (RFC 8446, 5.1).
_TLS_ALERT = "\x15\x03"


def as_fault(
    error: urllib3_errors.HTTPError, method: str, url: str, *, reading: bool, peer: Peer = _NOBODY
) -> Transient | StoreError:
    """Return the error for an exception of urllib3 in the request `method url`.

    `reading` says that the head of the response had arrived. The result is Transient if a retry may
    succeed.
    """
    place, via = f"{method} {public_url(url)}", ""
    if isinstance(error, urllib3_errors.ProxyError):
        error = _original(error)
        if peer.proxy:
            via = f"proxy {peer.proxy.url}: "
            # Client certificates are not sent to the proxy, nor are its names read.
            peer = Peer(urlsplit(peer.proxy.url).netloc, peer.proxy)
    cause = original_cause(error)
    if isinstance(cause, ssl.SSLError):
        refusal = tls_refusal(cause, f"{place}: {via}".removesuffix(": "), peer)
        return refusal or _transient(place, url, f"{via}TLS failed: {_describe(cause)}")
    return _connection_fault(error, cause, place, url, reading, peer, via)


def _connection_fault(
    error: urllib3_errors.HTTPError,
    cause: BaseException,
    place: str,
    url: str,
    reading: bool,
    peer: Peer,
    via: str,
) -> Transient | StoreError:
    if isinstance(error, urllib3_errors.ReadTimeoutError):
        return _transient(place, url, f"{via}timeout awaiting {'data' if reading else 'response headers'}")
    if isinstance(error, urllib3_errors.NewConnectionError) and isinstance(cause, OSError):
        return cannot_connect(cause, place, url, via)
    if isinstance(error, urllib3_errors.ConnectTimeoutError):
        through = f" through proxy {peer.proxy.url}" if peer.proxy and not via else ""
        return _unreachable(place, url, f"{via}timeout connecting{through}")
    if isinstance(error, urllib3_errors.LocationValueError):
        return StoreError(f"{place}: not a usable URL")
    if isinstance(cause, http.client.BadStatusLine) and str(cause).startswith(_TLS_ALERT):
        return StoreError(f"{place}: {SPOKEN_TO_BY_HTTP}")
    text = _describe(cause)
    if text.startswith(WHO_ARE_YOU) and peer.proxy:
        return proxy_wants_account(f"{place}: {via}".removesuffix(": "), peer.proxy)
    if text.startswith(f"{NO_TUNNEL}4"):
        return StoreError(f"{place}: {via}{text}")
    if text.startswith(NO_TUNNEL):
        # A proxy that cannot reach the host responds with 5xx.
        return _unreachable(place, url, f"{via}{text}")
    return _transient(place, url, f"{via}the connection broke: {text}")


def proxy_is_at_fault(error: urllib3_errors.HTTPError) -> bool:
    """Return whether the proxy itself could not be used, which says nothing about the server behind it."""
    if not isinstance(error, urllib3_errors.ProxyError):
        return False
    text = str(original_cause(_original(error)))
    return not text.startswith(NO_TUNNEL) or text.startswith(WHO_ARE_YOU)


def proxy_wants_account(place: str, proxy: ProxyAddress) -> StoreError:
    """Return the error for a proxy that requires authentication; `place` names request and proxy."""
    if proxy.account is None:
        hint = f"it wants user and password; give them in {proxy.variable} as http://USER:PASSWORD@HOST:PORT"
    else:
        hint = f"it does not accept the user and password in {proxy.variable}"
    return StoreError(f"{place}: 407 Proxy Authentication Required: {hint}")


class NoSuchHost(Unreachable):
    """A name that no host has, `host`, so that retries are useless."""

    def __init__(self, message: str, host: str, reason: str) -> None:
        super().__init__(message)
        self.host = host
        self.reason = reason


def cannot_connect(cause: OSError, place: str, url: str, via: str = "") -> Transient | NoSuchHost:
    """Return the error for a failed connection to the host of `url`; `via` names the proxy in between."""
    if isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME:
        reason = f"{via}there is no such host: {_describe(cause)}"
        return NoSuchHost(f"{place}: {reason}", urlsplit(public_url(url)).netloc, reason)
    return _unreachable(place, url, f"{via}cannot connect: {_describe(cause)}")


def _transient(place: str, url: str, reason: str) -> Transient:
    return Transient(Unreachable(f"{place}: {reason}"), public_url(url), reason, of_host=True)


def _unreachable(place: str, url: str, reason: str) -> Transient:
    public = public_url(url)
    return Transient(Unreachable(f"{place}: {reason}"), public, reason, unreachable=urlsplit(public).netloc)


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
