"""Addresses, proxy and raw connections of a server, for a diagnosis."""

from __future__ import annotations

import http.client
import os
import socket
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from bundlepipe.concurrency.cancellation import left_if_cancelled
from bundlepipe.errors import StoreError, one_line
from bundlepipe.stores.http.answers import is_http_url
from bundlepipe.stores.http.proxies import is_loopback, parse_address, proxy_for
from bundlepipe.stores.tls.peers import ProxyAddress


class Way(Struct, frozen=True):
    """How to reach HOST[:PORT]: directly, or through a proxy, which `proxy` describes."""

    host: str
    port: int
    proxy: ProxyAddress | None
    timeout: float

    @property
    def next_host(self) -> tuple[str, int]:
        """The host and port that this machine connects to."""
        if self.proxy is None:
            return self.host, self.port
        parts = urlsplit(self.proxy.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def can_tunnel(self) -> bool:
        """Whether `tunnel` can connect to the server: TLS to a proxy is left to real requests."""
        return self.proxy is None or self.proxy.url.startswith("http:")

    def addresses(self) -> list[str]:
        """Return the addresses of the next host; OSError (socket.gaierror) if it has none."""
        host, port = self.next_host
        found = left_if_cancelled(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def connect(self) -> socket.socket:
        """Return a connection to the next host; OSError if it fails."""
        return left_if_cancelled(lambda: socket.create_connection(self.next_host, self.timeout))

    def tunnel(self) -> socket.socket:
        """Return a connection to the server, through the proxy if there is one; OSError if it fails."""
        if self.proxy is None:
            return self.connect()
        connection = http.client.HTTPConnection(*self.next_host, timeout=self.timeout)
        headers = {}
        if self.proxy.account is not None:
            headers["Proxy-Authorization"] = f"Basic {b64encode(self.proxy.account.encode()).decode()}"
        connection.set_tunnel(self.host, self.port, headers)
        left_if_cancelled(connection.connect, connection.close)
        assert connection.sock is not None
        return connection.sock


def way_to(host: str, port: int, environ: Mapping[str, str], timeout: float) -> Way:
    """Return the way to a server that speaks TLS; StoreError for a proxy that is not a URL."""
    proxy = proxy_for(_url(host, port), environ)
    if proxy is None:
        return Way(host, port, None, timeout)
    variable = proxy_variable(environ) or ""
    if not is_http_url(proxy):
        raise StoreError(f"the proxy in {variable} cannot be used: expected http(s)://HOST:PORT")
    return Way(host, port, ProxyAddress.parse(proxy, variable), timeout)


def proxy_variable(environ: Mapping[str, str]) -> str | None:
    """Return the variable that names a proxy for https; None if no variable does."""
    return next((name for name in ("https_proxy", "HTTPS_PROXY") if environ.get(name)), None)


def why_direct(host: str, environ: Mapping[str, str]) -> str:
    """Return why no proxy is used for a host, as the end of a message."""
    variable = proxy_variable(environ)
    if variable is None:
        return "directly, since no HTTPS_PROXY is set"
    if is_loopback(host):
        return f"directly, since the proxy of {variable} is never used for this machine"
    excluding = "no_proxy" if environ.get("no_proxy") else "NO_PROXY"
    return f"directly, since {excluding} leaves it out of {variable}"


def is_address(host: str) -> bool:
    """Return whether a host is an address instead of a name to look up."""
    return parse_address(host) is not None


def reason(error: OSError) -> str:
    """Return an error of a connection in few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = error.strerror or str(error) or type(error).__name__
    return one_line(os.strerror(error.errno) if error.errno and not error.strerror else text)


def _url(host: str, port: int) -> str:
    return f"https://[{host}]:{port}/" if ":" in host else f"https://{host}:{port}/"
