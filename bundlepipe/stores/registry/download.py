"""Download one blob, resuming after a broken connection."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import closing

from bundlepipe.errors import StoreError, Unreachable
from bundlepipe.stores.http.answers import LARGEST_ERROR_BODY, public_url
from bundlepipe.stores.http.messages import Response
from bundlepipe.stores.http.retries import Transient
from bundlepipe.stores.registry.host import Call, RegistryHost

CHUNK = 256 * 1024

_CONTENT_RANGE = re.compile(r"bytes (\d+)-")


class Download:
    """Reads the response to a GET call, `size` bytes long, in as many requests as necessary."""

    def __init__(self, host: RegistryHost, call: Call, size: int) -> None:
        self._host = host
        self._call = call
        self._size = size
        self._offset = 0

    def chunks(self) -> Generator[bytes, None, None]:
        """Yield the bytes as they arrive, unverified.

        After a fault the next request asks only for the rest; every request that brought data
        resets the number of tries. Raises StoreError.
        """
        failures, waited = 0, 0.0
        while True:
            start = self._offset
            try:
                yield from self._attempt()
            except Transient as fault:
                if self._offset >= self._size:
                    return
                if self._offset > start:
                    failures, waited = 0, 0.0
                failures += 1
                waited += self._host.retries.pause(fault, failures, waited)
            else:
                return

    def _attempt(self) -> Iterator[bytes]:
        response = self._request()
        with closing(response):
            for chunk in self._unseen(response):
                self._offset += len(chunk)
                yield chunk
            if self._offset < self._size and not _states_its_length(response):
                raise Transient(
                    Unreachable(f"{response.request.place}: the body ended after {self._offset} of {self._size} bytes"),
                    public_url(response.request.url),
                    "the body ended early",
                )

    def _request(self) -> Response:
        call = self._call
        if self._offset:
            call = Call(call.method, call.target, call.access, {**call.headers, "Range": f"bytes={self._offset}-"})
        response = self._host.exchange(call)
        if response.status not in (200, 206):
            raise self._host.refused(response.read(LARGEST_ERROR_BODY), call.access)
        return response

    def _unseen(self, response: Response) -> Iterator[bytes]:
        """Yield the body from the offset on: a server may ignore the range, or start before it."""
        known = self._offset - _first_byte(response)
        if known < 0:
            raise StoreError(f"{response.request.place}: the server left out bytes when the download was resumed")
        for chunk in response.chunks(CHUNK):
            if known < len(chunk):
                yield chunk[known:] if known else chunk
            known = max(0, known - len(chunk))


def _first_byte(response: Response) -> int:
    if response.status != 206:
        return 0
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if match is None:
        raise StoreError(f"{response.request.place}: the server sent a part without saying which")
    return int(match[1])


def _states_its_length(response: Response) -> bool:
    """Return whether a cut off body can be distinguished from a complete one (RFC 9112, 8)."""
    return "Content-Length" in response.headers or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
