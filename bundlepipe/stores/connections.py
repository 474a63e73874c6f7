"""Pools of connections on behalf of one registry host: TLS, proxies and time limits."""

from __future__ import annotations

import os
import ssl
import threading
from urllib.parse import unquote, urlsplit, urlunsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse

from bundlepipe.errors import StoreError
from bundlepipe.stores.answers import is_http_url
from bundlepipe.stores.proxies import proxy_for
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings
from bundlepipe.stores.trust import tls_context

# Connections that are kept for reuse; more may be open at a time.
_KEPT_CONNECTIONS = 32


class Connections:
    """The pools of one registry host; may be used by several threads at once."""

    def __init__(self, host: str, settings: RegistrySettings, network: NetworkSettings) -> None:
        self._host = host
        self._settings = settings
        self._network = network
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, str | None], urllib3.PoolManager] = {}
        self._context: ssl.SSLContext | None = None

    def manager(self, url: str) -> urllib3.PoolManager:
        """Return what opens connections for an absolute URL, through the proxy that the environment names.

        Raises StoreError for a proxy or an authority that cannot be used.
        """
        scheme, proxy = urlsplit(url).scheme, proxy_for(url, os.environ)
        manager = self._managers.get((scheme, proxy))
        if manager is None:
            with self._lock:
                manager = self._managers.get((scheme, proxy))
                if manager is None:
                    manager = self._managers[scheme, proxy] = self._new_manager(scheme, proxy)
        return manager

    def _new_manager(self, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        manager = self._new_proxy_manager(scheme, proxy) if proxy else self._new_direct_manager(scheme)
        manager.pool_classes_by_scheme = _pool_classes(self._network.stall_timeout)
        return manager

    def _new_direct_manager(self, scheme: str) -> urllib3.PoolManager:
        context = self._tls_context() if scheme == "https" else None
        return urllib3.PoolManager(maxsize=_KEPT_CONNECTIONS, timeout=self._timeout(), ssl_context=context)

    def _new_proxy_manager(self, scheme: str, proxy: str) -> urllib3.PoolManager:
        if not is_http_url(proxy):
            variable = f"{scheme.upper()}_PROXY"
            raise StoreError(f"the proxy for {self._host} in {variable} cannot be used: expected http(s)://HOST:PORT")
        parts = urlsplit(proxy)
        headers = None
        if parts.username is not None:
            account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=account)
        return urllib3.ProxyManager(
            urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", "")),
            maxsize=_KEPT_CONNECTIONS,
            timeout=self._timeout(),
            ssl_context=self._tls_context() if scheme == "https" else None,
            proxy_headers=headers,
            proxy_ssl_context=self._tls_context() if parts.scheme == "https" else None,
        )

    def _timeout(self) -> urllib3.Timeout:
        # No limit is None to urllib3; 0 is over at once.
        awaited = self._network.response_header_timeout or None
        return urllib3.Timeout(connect=self._network.connect_timeout, read=awaited)

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = tls_context(self._host, self._settings, self._network)
        return self._context


class _Connection(HTTPConnection):
    """A connection whose limits on connecting and on waiting for an answer do not hold for the bodies."""

    stall_timeout: float

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self.stall_timeout)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
        connected = self.sock
        response = super().getresponse()
        # It is closed already where nothing more is to come.
        if connected.fileno() != -1:
            connected.settimeout(self.stall_timeout)
        return response


class _SecureConnection(_Connection, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        if self.cert_reqs == ssl.CERT_NONE:
            # Whoever said not to check is not to be warned with each connection: urllib3 goes by this.
            self.is_verified = True


def _pool_classes(stall: float) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    class Connection(_Connection):
        stall_timeout = stall

    class SecureConnection(_SecureConnection):
        stall_timeout = stall

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}
