"""HTTP to one registry host and its redirect targets: pools, TLS, proxies, scheme, redirects.

One call is one attempt: faults that may pass are raised as Transient, and `retries` decides. The
caller is `registry.host`, which also handles authentication.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from ipaddress import IPv4Address, ip_network
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from bundlepipe.concurrency.cancellation import (
    is_cancelled,
    left_if_cancelled,
    raise_if_cancelled,
)
from bundlepipe.errors import StoreError
from bundlepipe.stores.http.answers import describe_status, is_http_url, origin, public_url
from bundlepipe.stores.http.connections import Connections, Stale
from bundlepipe.stores.http.faults import (
    as_fault,
    cannot_connect,
    original_cause,
    proxy_is_at_fault,
    proxy_wants_account,
)
from bundlepipe.stores.http.messages import Body, Request, Response, translated
from bundlepipe.stores.http.proxies import is_loopback, parse_address, proxy_for
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.http.trace import Exchange
from bundlepipe.stores.http.traffic import Traffic, traffic
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings
from bundlepipe.stores.tls.faults import speaks_tls_all_the_same
from bundlepipe.stores.tls.peers import Peer
from bundlepipe.stores.tls.probe import accepts_connections, speaks_tls

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_USER_AGENT = "bundlepipe"
# The body of a redirect is read if it is short, so that the connection can be reused.
_LARGEST_REDIRECT_BODY = 16 * 1024
_PRIVATE_NETWORKS = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


class Transport:
    """Connections for one registry host; `send` may be called by several threads at once.

    `plain_allowed` says whether plain HTTP may be used if the host does not speak TLS.
    """

    def __init__(
        self,
        host: str,
        settings: RegistrySettings,
        network: NetworkSettings,
        reporting: Reporting,
    ) -> None:
        self._host = host
        self._trace = reporting.trace
        self._timeout = network.connect_timeout
        insecure = settings.insecure or network.insecure
        self.plain_allowed = insecure or _is_local(urlsplit(f"//{host}").hostname or "")
        self._base: str | None = None
        self._connections = Connections(host, settings, network, reporting.redactor)

    @property
    def base(self) -> str:
        """The URL of the registry, `https://HOST` or `http://HOST`.

        The first use detects whether the host speaks TLS, if that is open; Transient or StoreError
        if the host cannot be reached.
        """
        if self._base is None:
            self._base = f"{self._choose_scheme()}://{self._host}"
            if self._trace:
                self._trace.note(f"{self._host} is reached at {self._base}")
        return self._base

    def close(self) -> None:
        """Close the connections that are kept for reuse."""
        self._connections.close()

    def send(self, request: Request, authorization: str | None) -> Response:
        """Send a request and follow redirects; `authorization` is sent only to the request's own origin.

        Raises Transient for faults of the connection, StoreError for an untrusted certificate and for a
        redirect that must not be followed.
        """
        strayed = False
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._send_once(request, None if strayed else authorization)
            response.strayed = strayed
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.read(_LARGEST_REDIRECT_BODY)
            redirected = _redirected(request, response.status, location)
            # Not reset if redirects lead back: another host must not control what is done with
            # credentials.
            strayed = strayed or origin(redirected.url) != origin(request.url)
            request = redirected
        raise StoreError(f"{request.place}: more than {_MOST_REDIRECTS} redirects")

    def _send_once(self, request: Request, authorization: str | None) -> Response:
        headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **request.headers}
        if authorization is not None:
            headers["Authorization"] = authorization
        manager = self._connections.manager(request.url)
        exchange = self._begin_trace(request, headers)

        def peer() -> Peer:
            return self._connections.peer(request.url)

        with translated(request, reading=False, peer=peer, exchange=exchange):
            raw = self._ask(manager, request, headers)
        if exchange:
            exchange.answered(raw.status, raw.headers)
        response = Response(request, raw, exchange)
        if raw.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and (proxy := peer().proxy):
            response.close()
            raise proxy_wants_account(f"{request.place}: proxy {proxy.url}", proxy)
        return response

    def _ask(self, manager: urllib3.PoolManager, request: Request, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """Return the head of a response, on a new connection if a kept one turns out to be closed.

        That is no fault but the usual end of a connection, which may coincide with a request (RFC 9112,
        9.3.1).
        """
        while True:
            try:
                return manager.urlopen(
                    request.method,
                    request.url,
                    body=_counted_body(request.body, request.url),
                    headers=headers,
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                )
            except HTTPError as error:
                if is_cancelled() or not isinstance(original_cause(error), Stale):
                    raise
            if self._trace:
                self._trace.note(f"{request.place}: the connection had been closed; asking on another")

    def _begin_trace(self, request: Request, headers: Mapping[str, str]) -> Exchange | None:
        if self._trace is None:
            return None
        proxy = self._connections.peer(request.url).proxy
        return self._trace.request(
            request.method,
            request.url,
            headers,
            request.body,
            private=request.private,
            proxy=proxy.url if proxy else "",
        )

    def _choose_scheme(self) -> str:
        if not self.plain_allowed:
            return "https"
        url = f"https://{self._host}/v2/"
        if proxy_for(url, os.environ):
            return "https" if self._speaks_tls_behind_proxy(url) else "http"
        return left_if_cancelled(lambda: self._probed_scheme(url))

    def _probed_scheme(self, url: str) -> str:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        try:
            return "https" if speaks_tls(host, port or 443, self._timeout) else "http"
        except OSError as error:
            if port is None and accepts_connections(host, 80, self._timeout):
                return "http"
            raise cannot_connect(error, f"registry {self._host}", f"https://{self._host}") from error

    def _speaks_tls_behind_proxy(self, url: str) -> bool:
        """Send any request, without credentials: a tunnel is only set up for a request."""
        manager = self._connections.manager(url)
        if self._trace:
            self._trace.note(f"asking {url} whether it speaks TLS")
        try:
            traffic.add(Traffic(requests=1), url)
            manager.urlopen("HEAD", url, redirect=False, retries=False)
        except HTTPError as error:
            raise_if_cancelled()
            if proxy_is_at_fault(error):
                raise as_fault(error, "HEAD", url, reading=False, peer=self._connections.peer(url)) from error
            return speaks_tls_all_the_same(original_cause(error))
        return True


def _counted_body(body: Body | None, url: str) -> bytes | Iterator[bytes] | None:
    """Count a request, and return its body, opened for this attempt; a streamed body is counted as it is sent."""
    if callable(body):
        traffic.add(Traffic(requests=1), url)
        return traffic.sending(body(), url)
    traffic.add(Traffic(requests=1, sent=len(body or b"")), url)
    return body


def resolve_location(url: str, location: str) -> str:
    """Return the absolute URL of a `Location` or `Link` found at `url`.

    StoreError unless it is an http or https URL, and for a step from https to http.
    """
    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    if not is_http_url(target):
        raise StoreError(f"{public_url(url)}: the server refers to something that is not an HTTP URL")
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http":
        raise StoreError(
            f"{public_url(url)}: the server refers from https to '{public_url(target)}', which is not followed; "
            "a registry behind a proxy must be told its external URL"
        )
    return target


def _redirected(request: Request, status: int, location: str) -> Request:
    url = resolve_location(request.url, location)
    if request.stays and origin(url) != origin(request.url):
        raise StoreError(f"{request.place}: {describe_status(status)} to another host, which is not followed")
    if status == 303 and request.method != "HEAD":
        headers = {name: value for name, value in request.headers.items() if not name.startswith("Content-")}
        return replace(request, method="GET", url=url, headers=headers, body=None)
    return replace(request, url=url)


def _is_local(host: str) -> bool:
    """Return whether a host may use plain HTTP without a declaration."""
    address = parse_address(host)
    if isinstance(address, IPv4Address) and any(address in network for network in _PRIVATE_NETWORKS):
        return True
    return is_loopback(host) or host.lower().rstrip(".").endswith(".local")
