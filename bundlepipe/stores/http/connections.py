"""Connection pools for one registry host: TLS, proxies and timeouts."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from contextlib import suppress
from http.client import RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError
from urllib3.response import HTTPResponse

from bundlepipe.concurrency.cancellation import cut_off_if_cancelled, left_if_cancelled, raise_if_cancelled
from bundlepipe.errors import StoreError
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http.answers import is_http_url, origin
from bundlepipe.stores.http.proxies import proxy_for
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings
from bundlepipe.stores.tls.peers import Peer, ProxyAddress
from bundlepipe.stores.tls.probe import certificate_names
from bundlepipe.stores.tls.trust import Trust, certificate_directories

# Connections kept for reuse; more may be open at a time.
_KEPT_CONNECTIONS = 32


class Connections:
    """The pools of one registry host; may be used by several threads at once."""

    def __init__(self, host: str, settings: RegistrySettings, network: NetworkSettings, redactor: Redactor) -> None:
        self._host = host
        self._redactor = redactor
        self._network = network
        self._trust = Trust(host, settings, network)
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, str | None, bool], urllib3.PoolManager] = {}

    def manager(self, url: str) -> urllib3.PoolManager:
        """Return the pool manager for an absolute URL, using the proxy that the environment names.

        Raises StoreError for an unusable proxy, authority or client certificate.
        """
        scheme, proxy = urlsplit(url).scheme, proxy_for(url, os.environ)
        key = (scheme, proxy, self._is_own(url))
        manager = self._managers.get(key)
        if manager is None:
            with self._lock:
                manager = self._managers.get(key)
                if manager is None:
                    manager = self._managers[key] = self._new_manager(*key)
        return manager

    def close(self) -> None:
        """Close the connections that are kept for reuse."""
        with self._lock:
            managers = list(self._managers.values())
            self._managers.clear()
        for manager in managers:
            manager.clear()

    def peer(self, url: str) -> Peer:
        """Describe the other end of a connection for an absolute URL."""
        host, proxy = urlsplit(url).netloc, self._proxy(url)
        # Reading the names of a server behind a proxy would need a tunnel.
        find_names = tuple if proxy else lambda: self._names(url)
        if not self._is_own(url):
            return Peer(host, proxy, find_names=find_names)
        directories = certificate_directories(self._host, os.environ)
        return Peer(host, proxy, self._trust.client_certificate, directories, find_names)

    def _is_own(self, url: str) -> bool:
        return origin(url) == origin(f"https://{self._host}")

    def _proxy(self, url: str) -> ProxyAddress | None:
        proxy = proxy_for(url, os.environ)
        return self._address(urlsplit(url).scheme, proxy) if proxy else None

    def _address(self, scheme: str, proxy: str) -> ProxyAddress:
        variable = f"{scheme.upper()}_PROXY"
        if not is_http_url(proxy):
            raise StoreError(f"the proxy for {self._host} in {variable} cannot be used: expected http(s)://HOST:PORT")
        address = ProxyAddress.parse(proxy, variable)
        self._redactor.keep(*address.secrets)
        return address

    def _names(self, url: str) -> tuple[str, ...]:
        _, host, port = origin(url)
        context, timeout = self._trust.nameless_context(), self._network.connect_timeout
        return left_if_cancelled(lambda: certificate_names(host, port or 443, context, timeout))

    def _new_manager(self, scheme: str, proxy: str | None, own: bool) -> urllib3.PoolManager:
        context = self._trust.context(own=own) if scheme == "https" else None
        manager = self._new_proxy_manager(self._address(scheme, proxy), context) if proxy else self._direct(context)
        manager.pool_classes_by_scheme = _pool_classes(self._network.stall_timeout)
        return manager

    def _direct(self, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        return urllib3.PoolManager(maxsize=_KEPT_CONNECTIONS, timeout=self._timeout(), ssl_context=context)

    def _new_proxy_manager(self, proxy: ProxyAddress, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        account = proxy.account
        return urllib3.ProxyManager(
            proxy.url,
            maxsize=_KEPT_CONNECTIONS,
            timeout=self._timeout(),
            ssl_context=context,
            proxy_headers=None if account is None else urllib3.make_headers(proxy_basic_auth=account),
            proxy_ssl_context=self._trust.context(own=False) if proxy.url.startswith("https:") else None,
        )

    def _timeout(self) -> urllib3.Timeout:
        # urllib3's value for no limit is None; 0 would expire at once.
        awaited = self._network.response_header_timeout or None
        return urllib3.Timeout(connect=self._network.connect_timeout, read=awaited)


class Stale(RemoteDisconnected):
    """A connection kept for reuse was closed by the other end."""


class Connection(HTTPConnection):
    """A connection that can be cancelled, with timeouts for connecting and for a response, but not for bodies."""

    stall_timeout: float
    _connected: socket.socket | None = None
    _is_kept = False

    def connect(self) -> None:
        """Connect; Cancelled if this thread's work is cancelled meanwhile."""
        try:
            left_if_cancelled(super().connect, self.close)
        except TimeoutError as error:
            # For TLS or a proxy's response; urllib3 would report it as one for the response to the
            # request.
            raise ConnectTimeoutError(self, "timeout connecting") from error
        # TLS inside that of a proxy is not itself a socket.
        self._connected, self._is_kept = getattr(self.sock, "socket", self.sock), False
        # Until now there was nothing to cut off.
        raise_if_cancelled()
        self.sock.settimeout(self.stall_timeout)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request; Cancelled if this thread's work is already cancelled."""
        try:
            with cut_off_if_cancelled(self.cut_off):
                super().request(*args, **kwargs)
        except ConnectionResetError:
            # urllib3 still reads a response, and would see an orderly end.
            self._is_kept = False
            raise

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
        """Return the head of the response and a reader for the rest; Stale if the request needs another connection."""
        connected = self.sock
        try:
            with cut_off_if_cancelled(self.cut_off):
                response = super().getresponse()
        except RemoteDisconnected as error:
            if self._is_kept:
                raise Stale(*error.args) from error
            raise
        self._is_kept = True
        # It is already closed if no more data follows.
        if connected.fileno() != -1:
            connected.settimeout(self.stall_timeout)
        return response

    def cut_off(self) -> None:
        """Cut off the connection, to unblock another thread that waits for it; it is unusable afterwards."""
        if self._connected is not None:
            # It may already be closed. The TLS object would read the rest as if it were not
            # encrypted.
            with suppress(OSError):
                socket.socket.shutdown(self._connected, socket.SHUT_RDWR)


class _SecureConnection(Connection, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        if self.cert_reqs == ssl.CERT_NONE:
            # A user who disabled checks must not get a warning for each connection: urllib3 checks
            # this attribute.
            self.is_verified = True


def _pool_classes(stall: float) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    class PlainConnection(Connection):
        stall_timeout = stall

    class SecureConnection(_SecureConnection):
        stall_timeout = stall

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}
