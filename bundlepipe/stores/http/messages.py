"""HTTP request and streamed response; faults while reading become errors that name the request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from bundlepipe.concurrency.cancellation import (
    Cancelled,
    cut_off_if_cancelled,
    raise_if_cancelled,
)
from bundlepipe.stores.http.answers import Answer, public_url
from bundlepipe.stores.http.connections import Connection
from bundlepipe.stores.http.faults import (
    as_fault,
)
from bundlepipe.stores.http.retries import Transient
from bundlepipe.stores.http.trace import Exchange
from bundlepipe.stores.http.traffic import Traffic, traffic
from bundlepipe.stores.tls.peers import Peer

Body = bytes | Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Request:
    """One HTTP request to an absolute URL.

    A body that is not in memory is a function that reopens it for each attempt; its length is then
    in the headers. A request that `stays` is not redirected to another origin, since its body is a
    secret. If request or response body are `private`, no trace shows them.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = field(default=None, repr=False)
    stays: bool = False
    private: bool = False

    @property
    def place(self) -> str:
        """The request in messages: method, and URL without query string."""
        return f"{self.method} {public_url(self.url)}"


class Response:
    """The head of a response, and access to its body, which must be read or closed.

    `request` is the last one: after redirects, its URL is the origin of the response. `strayed`
    says that redirects left the first origin, and that credentials were not sent on.
    """

    def __init__(self, request: Request, raw: BaseHTTPResponse, exchange: Exchange | None = None) -> None:
        self.request = request
        self._exchange = exchange
        self.strayed = False
        self.status = raw.status
        self.headers = raw.headers
        self._raw = raw

    def read(self, limit: int) -> Answer:
        """Return the response with its body, cut off after `limit` bytes; Transient if the connection breaks."""
        body = b""
        with self._reading(self._exchange):
            while len(body) < limit and (chunk := self._raw.read(limit - len(body), decode_content=False)):
                body += chunk
                traffic.add(Traffic(received=len(chunk)), self.request.url)
        if len(body) == limit:
            self._raw.close()
        if self._exchange:
            self._exchange.read(body)
        return Answer(self.request.method, self.request.url, self.status, self.headers, body, self.strayed)

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the body, as it was sent, in chunks of `size` bytes; Transient if the connection breaks."""
        if self._exchange:
            self._exchange.streamed()
        while True:
            with self._reading():
                chunk = self._raw.read(size, decode_content=False)
            if not chunk:
                return
            traffic.add(Traffic(received=len(chunk)), self.request.url)
            yield chunk

    def close(self) -> None:
        """Drop unread data and close the connection."""
        if self._exchange:
            self._exchange.streamed()
        self._raw.close()

    @contextmanager
    def _reading(self, exchange: Exchange | None = None) -> Iterator[None]:
        try:
            with translated(self.request, reading=True, exchange=exchange), cut_off_if_cancelled(self._cut_off):
                yield
                # A body without a stated length appears complete when it is cut off.
                raise_if_cancelled()
        except Cancelled:
            self._raw.close()
            raise

    def _cut_off(self) -> None:
        connection = self._raw.connection
        if isinstance(connection, Connection):
            connection.cut_off()


@contextmanager
def translated(
    request: Request, *, reading: bool, peer: Callable[[], Peer] = Peer, exchange: Exchange | None = None
) -> Iterator[None]:
    """Convert urllib3's exceptions in this block to errors that name the request; Transient if a retry may succeed."""
    try:
        yield
    except HTTPError as error:
        raise_if_cancelled()
        fault = as_fault(error, request.method, request.url, reading=reading, peer=peer())
        if exchange:
            exchange.broke(fault.reason if isinstance(fault, Transient) else str(fault))
        raise fault from error
