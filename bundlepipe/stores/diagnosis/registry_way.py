"""First half of a diagnosis: name resolution, proxy, connection and TLS of a registry."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from msgspec.structs import replace

from bundlepipe.errors import StoreError
from bundlepipe.stores.diagnosis.finding import Finding, State
from bundlepipe.stores.diagnosis.way import Way, is_address, reason, way_to, why_direct
from bundlepipe.stores.http.faults import NO_TUNNEL, WHO_ARE_YOU, proxy_wants_account
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings
from bundlepipe.stores.tls.faults import NOT_TLS, tls_refusal
from bundlepipe.stores.tls.inspection import Greeting, check, greet
from bundlepipe.stores.tls.peers import Peer
from bundlepipe.stores.tls.trust import Trust, certificate_directories

CHECKS = ("name", "connection", "TLS")

_TLS_PORT, _PLAIN_PORT = 443, 80
_UNKNOWN_AUTHORITY = "signed by an unknown authority"


class RegistryWay:
    """Checks the connection to the registry `host` (HOST[:PORT]); `plain_allowed`: it may be plain HTTP.

    After all `findings`, `is_open` says whether requests can be sent to the registry.
    """

    def __init__(self, host: str, settings: RegistrySettings, network: NetworkSettings, *, plain_allowed: bool) -> None:
        self._host = host
        self._settings = settings
        self._network = network
        self._plain_allowed = plain_allowed
        self.is_open = True

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each of CHECKS; checks after a failed one are untried."""
        parts = urlsplit(f"//{self._host}")
        try:
            port = parts.port or _TLS_PORT
            way = way_to(parts.hostname or "", port, os.environ, self._network.connect_timeout)
        except StoreError as error:
            yield from self._failed("name", str(error))
            return
        state, message = self._name(way)
        if state == "failed":
            yield from self._failed("name", message)
            return
        yield self._finding("name", state, message)
        try:
            way = self._connected(way, parts.port is not None)
        except OSError as error:
            yield from self._failed("connection", _no_connection(way, error))
            return
        yield self._finding("connection", "ok", _connection(way))
        state, message = self._tls(way)
        self.is_open = state != "failed"
        yield self._finding("TLS", state, message)

    def _finding(self, check: str, state: State, message: str) -> Finding:
        return Finding(self._host, check, state, message)

    def _failed(self, check: str, message: str) -> Iterator[Finding]:
        self.is_open = False
        yield self._finding(check, "failed", message)
        for other in CHECKS[CHECKS.index(check) + 1 :]:
            yield self._finding(other, "untried", "not tried")

    def _name(self, way: Way) -> tuple[State, str]:
        if way.proxy:
            return "none", f"the proxy of {way.proxy.variable} looks {way.host} up"
        if is_address(way.host):
            return "ok", f"{way.host} is an address"
        try:
            return "ok", f"{way.host} has the addresses {', '.join(way.addresses())}"
        except OSError as error:
            return "failed", f"there is no such host: {reason(error)}: check its spelling and this machine's DNS server"

    def _connected(self, way: Way, is_port_given: bool) -> Way:
        """Return the way that connects: to the port of plain HTTP, if necessary and no port is given."""
        try:
            way.connect().close()
        except OSError:
            if is_port_given or way.proxy or not self._plain_allowed:
                raise
            plain = replace(way, port=_PLAIN_PORT)
            plain.connect().close()
            return plain
        return way

    def _tls(self, way: Way) -> tuple[State, str]:
        if not way.can_tunnel:
            return (
                "none",
                "not checked, since the connection to the proxy uses TLS; requests do check certificates",
            )
        unchecked = replace(self._network, verify_certificates=False)
        try:
            trust = Trust(self._host, self._settings, unchecked)
            greeting = greet(way.tunnel, way.host, trust.context(own=True))
        except StoreError as error:
            return "failed", str(error)
        except OSError as error:
            return self._no_tls(way, error)
        return self._certificate(way, greeting)

    def _no_tls(self, way: Way, error: OSError) -> tuple[State, str]:
        if str(error).startswith(NO_TUNNEL):
            assert way.proxy
            if str(error).startswith(WHO_ARE_YOU):
                return "failed", str(proxy_wants_account(f"proxy {way.proxy.url}", way.proxy))
            return "failed", f"the proxy {way.proxy.url} of {way.proxy.variable} does not connect to it: {error}"
        if self._plain_allowed and not _speaks_tls(error):
            return "none", f"plain HTTP, which is allowed since {self._why_plain()}"
        refusal = tls_refusal(error, "", self._peer(None)) if isinstance(error, ssl.SSLError) else None
        text = str(refusal).removeprefix(": ") if refusal else f"the greeting failed: {reason(error)}"
        return "failed", text

    def _why_plain(self) -> str:
        if self._settings.insecure:
            return "the registry is declared 'insecure'"
        if self._network.insecure:
            return "--registry-insecure says so"
        return "the host is this machine, or in a private network"

    def _certificate(self, way: Way, greeting: Greeting) -> tuple[State, str]:
        shown = f"{greeting.version}, {greeting.certificate or 'a certificate that cannot be read'}"
        if not self._network.verify_certificates:
            return "none", f"{shown}; not checked, because of --registry-verify-certs=false"
        try:
            trust = Trust(self._host, self._settings, self._network)
            check(way.tunnel, way.host, trust.context(own=True))
        except StoreError as error:
            return "failed", str(error)
        except ssl.SSLError as error:
            refusal = tls_refusal(error, "", self._peer(greeting, trust.client_certificate))
            text = str(refusal).removeprefix(": ") if refusal else reason(error)
            if _UNKNOWN_AUTHORITY in text:
                text += f", or put it at {os.path.join(certificate_directories(self._host, os.environ)[0], 'ca.crt')}"
            return "failed", f"{text} ({shown})"
        except OSError as error:
            return "failed", f"{shown}; another greeting failed: {reason(error)}"
        return "ok", shown

    def _peer(self, greeting: Greeting | None, client_certificate: str = "") -> Peer:
        names = greeting.certificate.names if greeting and greeting.certificate else ()
        directories = certificate_directories(self._host, os.environ)
        return Peer(self._host, None, client_certificate, directories, lambda: names)


def _speaks_tls(error: OSError) -> bool:
    if not isinstance(error, ssl.SSLError) or isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return False
    return error.reason not in NOT_TLS


def _connection(way: Way) -> str:
    if way.proxy:
        return f"to the proxy {way.proxy.url}, which {way.proxy.variable} names"
    return f"to port {way.port}, {why_direct(way.host, os.environ)}"


def _no_connection(way: Way, error: OSError) -> str:
    if way.proxy:
        words = "there is no such host" if isinstance(error, socket.gaierror) else "cannot connect"
        variable = way.proxy.variable
        return f"proxy {way.proxy.url} of {variable}: {words}: {reason(error)}: start it, or mend {variable}"
    return (
        f"cannot connect to port {way.port}: {reason(error)}: check the port, and that the registry runs and no "
        "firewall is in between"
    )
