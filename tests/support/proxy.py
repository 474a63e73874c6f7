"""A proxy in front of a real registry that counts requests and injects faults.

    def test_a_busy_registry_is_asked_again(proxy):
        proxy.fault("GET", "/manifests/", Respond(429, {"Retry-After": "1"}))
        ...                                     # talk to the registry at `proxy.host`
        assert proxy.count("GET", "/manifests/") == 2

It speaks plain HTTP and, given a TLS context, HTTPS on the same port. The registry behind
it sees the proxy's own host name, so the URLs that it hands out lead back to the proxy.
As an HTTP_PROXY it is willing too: whatever host is asked for, the registry is reached.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from urllib3 import HTTPHeaderDict

from tests.support.loopback import LoopbackServer

_CHUNK = 64 * 1024
_TLS_HANDSHAKE = 0x16
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True)
class Respond:
    """Answer in the registry's place; the request does not reach it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Reset:
    """Reset the connection after `after` bytes of the request's body, without an answer."""

    after: int = 0


@dataclass(frozen=True)
class HangUp:
    """Close the connection without an answer, as a server does with one that was idle for too long."""


@dataclass(frozen=True)
class Cut:
    """Close the connection after `after` bytes of the answer's body, whatever length was promised."""

    after: int


@dataclass(frozen=True)
class Truncate:
    """Let the answer's body end after `to` bytes, with a length that says so."""

    to: int


@dataclass(frozen=True)
class Unframed:
    """Send the answer without its length, ended by closing the connection (after `after` bytes, if given)."""

    after: int | None = None


@dataclass(frozen=True)
class Alter:
    """Change the byte at offset `at` of the answer's body."""

    at: int = 0


@dataclass(frozen=True)
class Delay:
    """Wait before the answer is sent; closing the proxy ends the wait."""

    seconds: float


@dataclass(frozen=True)
class Stall:
    """Wait between the head of the answer and its body; closing the proxy ends the wait."""

    seconds: float


@dataclass(frozen=True)
class Header:
    """Set a header of the answer, or drop it."""

    name: str
    value: str | None


@dataclass(frozen=True)
class RequestHeader:
    """Set a header of the request before the registry sees it, or drop it: without Authorization a token is expired."""

    name: str
    value: str | None


Fault = Respond | Reset | HangUp | Cut | Truncate | Unframed | Alter | Delay | Stall | Header | RequestHeader


@dataclass
class Exchange:
    """A request that came in, and what became of it."""

    method: str
    path: str
    headers: HTTPHeaderDict
    status: int | None = None
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass
class _Rule:
    method: str
    path: re.Pattern[str]
    faults: tuple[Fault, ...]
    times: float
    skip: int
    when: Callable[[Exchange], bool]

    def take(self, seen: Exchange) -> bool:
        """Tell whether the rule applies to a request, and count it if so."""
        if self.times <= 0 or self.method not in (seen.method, "*"):
            return False
        if not self.path.search(seen.path) or not self.when(seen):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Proxy:
    """Forwards everything to `upstream` (HOST:PORT, plain HTTP), and remembers it."""

    def __init__(self, upstream: str, *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        self.upstream = upstream
        self.tls = tls
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []
        self._rules: list[_Rule] = []
        self._tls_attempts = 0
        self._server = LoopbackServer(type("Handler", (_Handler,), {"proxy": self}), address)
        self.host = self._server.host

    def fault(
        self,
        method: str,
        path: str,
        *faults: Fault,
        times: float = 1,
        skip: int = 0,
        when: Callable[[Exchange], bool] = lambda _: True,
    ) -> None:
        """Apply faults to the next `times` requests of a method (`*`: any) whose path matches the expression `path`.

        The path includes the query string. The first `skip` such requests are left alone,
        and so are those for which `when` is false. The first rule that applies to a
        request is the only one.
        """
        with self._lock:
            self._rules.append(_Rule(method, re.compile(path), faults, times, skip, when))

    @property
    def requests(self) -> list[Exchange]:
        """What came in so far, in order of arrival."""
        with self._lock:
            return list(self._exchanges)

    @property
    def tls_attempts(self) -> int:
        """The number of connections on which a client tried to speak TLS."""
        with self._lock:
            return self._tls_attempts

    def count(self, method: str = "*", path: str = "") -> int:
        """Return how many requests of a method had a path that matches the expression `path`."""
        return sum(method in (seen.method, "*") and bool(re.search(path, seen.path)) for seen in self.requests)

    def summary(self) -> list[str]:
        """Return method, path without query, and status of every request: what a failed assertion should show."""
        return [f"{seen.method} {seen.path.partition('?')[0]} {seen.status}" for seen in self.requests]

    def forget(self) -> None:
        """Forget the requests that came in so far; rules stay."""
        with self._lock:
            self._exchanges.clear()
            self._tls_attempts = 0

    def heal(self) -> None:
        """Forget all rules: there are no more faults."""
        with self._lock:
            self._rules.clear()

    def close(self) -> None:
        """Close the port and every connection."""
        self.closing.set()
        self._server.close()

    def record(self, exchange: Exchange) -> tuple[Fault, ...]:
        """Remember a request and return the faults that apply to it."""
        with self._lock:
            self._exchanges.append(exchange)
            for rule in self._rules:
                if rule.take(exchange):
                    return rule.faults
            return ()

    def record_tls_attempt(self) -> None:
        """Count a client's TLS greeting."""
        with self._lock:
            self._tls_attempts += 1


class _HungUp(Exception):
    """The connection to the client is to be dropped."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: LoopbackServer
    proxy: Proxy

    def setup(self) -> None:
        self._upstream: http.client.HTTPConnection | None = None
        first = self.request.recv(1, socket.MSG_PEEK)
        self._speaks_http = bool(first)
        if first and first[0] == _TLS_HANDSHAKE:
            self.proxy.record_tls_attempt()
            self._speaks_http = self._start_tls()
        super().setup()

    def handle(self) -> None:
        if self._speaks_http:
            with contextlib.suppress(_HungUp, OSError):
                super().handle()

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with contextlib.suppress(OSError):
            super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            self.server.closed(self.request)
            self.request.close()

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self._forward()
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
        """Print nothing."""

    def _start_tls(self) -> bool:
        context, plain = self.proxy.tls, self.request
        if context is None:
            plain.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return False
        self.request = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.server.opened(self.request)
        try:
            self.request.do_handshake()
        except OSError:
            # What the client has sent meanwhile would turn the end of the connection into a reset, which may overtake
            # the alert that says why.
            with contextlib.suppress(OSError):
                self.request.shutdown(socket.SHUT_WR)
                while socket.socket.recv(self.request, _CHUNK):
                    pass
            return False
        return True

    def _forward(self) -> None:
        exchange = Exchange(self.command, self.path, HTTPHeaderDict(self.headers.items()))
        faults = self.proxy.record(exchange)
        if self.command == "CONNECT" and not faults:
            exchange.status = 200
            self._tunnel()
            return
        for fault in faults:
            if isinstance(fault, Reset):
                self._receive_and_reset(exchange, fault.after)
            if isinstance(fault, HangUp):
                # What is left unread would make a reset of it.
                for _ in self._request_body(exchange):
                    pass
                raise _HungUp
            if isinstance(fault, Delay):
                self.proxy.closing.wait(fault.seconds)
        respond = next((fault for fault in faults if isinstance(fault, Respond)), None)
        if respond is not None:
            for _ in self._request_body(exchange):
                pass
            body = respond.body
            self._answer(exchange, respond.status, dict(respond.headers), iter([body]), len(body), faults)
            return
        response = self._ask_upstream(exchange, faults)
        if self.command == "HEAD":
            response.read()  # or http.client takes no further request
        headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP}
        self._answer(exchange, response.status, headers, _pieces(response), response.length, faults)

    def _tunnel(self) -> None:
        self.close_connection = True
        self._send_head(200, {})
        self.wfile.flush()
        host, _, port = self.proxy.upstream.rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            back = threading.Thread(target=_relay, args=(upstream, self.request))
            back.start()
            _relay(self.request, upstream)
            back.join()

    def _request_body(self, exchange: Exchange) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length", "0"))
        while left:
            chunk = self.rfile.read1(min(left, _CHUNK))
            if not chunk:
                raise _HungUp
            left -= len(chunk)
            exchange.bytes_up += len(chunk)
            yield chunk

    def _receive_and_reset(self, exchange: Exchange, after: int) -> None:
        body = self._request_body(exchange)
        while exchange.bytes_up < after and next(body, b""):
            pass
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()
        raise _HungUp

    def _ask_upstream(self, exchange: Exchange, faults: tuple[Fault, ...]) -> http.client.HTTPResponse:
        headers = {
            **exchange.headers,
            "X-Forwarded-Proto": "https" if isinstance(self.request, ssl.SSLSocket) else "http",
        }
        for fault in faults:
            if isinstance(fault, RequestHeader):
                _set(headers, fault.name, fault.value)
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=60)
        # http.client would frame an iterator in chunks, had the headers no length.
        self._upstream.request(self.command, self.path, self._request_body(exchange), headers)
        return self._upstream.getresponse()

    def _answer(
        self,
        exchange: Exchange,
        status: int,
        headers: dict[str, str],
        body: Iterator[bytes],
        length: int | None,
        faults: tuple[Fault, ...],
    ) -> None:
        exchange.status = status
        _set(headers, "Content-Length", headers.get("Content-Length") or (None if length is None else str(length)))
        stop: int | None = None
        for fault in faults:
            match fault:
                case Header(name, value):
                    _set(headers, name, value)
                case Cut(after):
                    stop = after
                case Unframed(after):
                    _set(headers, "Content-Length", None)
                    stop = after
                case Truncate(to):
                    _set(headers, "Content-Length", str(to))
                    stop = to
                case Alter(at):
                    body = _altered(body, at)
                case _:
                    continue
        framed = any(name.lower() == "content-length" for name in headers)
        self._send_head(status, headers if framed else {**headers, "Connection": "close"})
        for stall in (fault for fault in faults if isinstance(fault, Stall)):
            self.wfile.flush()
            self.proxy.closing.wait(stall.seconds)
        if self.command != "HEAD":
            self._send_body(exchange, body, stop)
        # What was cut leaves the two ends with different ideas of where the answer ends.
        self.close_connection = self.close_connection or not framed or stop is not None

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_body(self, exchange: Exchange, body: Iterator[bytes], stop: int | None) -> None:
        for piece in body:
            sent = piece if stop is None else piece[: stop - exchange.bytes_down]
            self.wfile.write(sent)
            exchange.bytes_down += len(sent)
            if len(sent) < len(piece):
                return


def _relay(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := response.read(_CHUNK):
        yield piece


def _altered(body: Iterator[bytes], at: int) -> Iterator[bytes]:
    offset = 0
    for piece in body:
        here = at - offset
        offset += len(piece)
        if 0 <= here < len(piece):
            yield piece[:here] + bytes([piece[here] ^ 0xFF]) + piece[here + 1 :]
        else:
            yield piece


def _set(headers: dict[str, str], name: str, value: str | None) -> None:
    for present in [present for present in headers if present.lower() == name.lower()]:
        del headers[present]
    if value is not None:
        headers[name] = value
