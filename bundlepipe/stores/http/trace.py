"""Trace HTTP traffic for debugging: imgpkg's `--debug`.

A request and its response are a block each, as imgpkg prints them:

    --> GET https://registry.example/v2/app/manifests/1.0
    Accept: ...

    <-- 200 https://registry.example/v2/app/manifests/1.0 (12ms)
    Content-Type: ...

    {"schemaVersion":2,...}

Bodies are shown if they are JSON or plain text and not long. Nothing is read or kept for
the sake of it: blobs are streamed as ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from bundlepipe.redaction import Redactor
from bundlepipe.stores.http.concealment import conceal_body, conceal_header, conceal_url

Write = Callable[[str], None]

_LARGEST_BODY = 64 * 1024


class Trace:
    """Writes blocks of lines, each with one call of `write`; may be used by several threads at once.

    `redactor` knows the secrets that were used; they are concealed everywhere.
    """

    def __init__(self, write: Write, redactor: Redactor) -> None:
        self._write = write
        self._redactor = redactor
        self._lock = threading.Lock()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: object, *, private: bool, proxy: str = ""
    ) -> Exchange:
        """Show a request before it is sent, and return the object that shows its response.

        A body is shown if it is bytes. Bodies of `private` exchanges are hidden, unless the
        response is an error. `proxy` is the one that the request goes through.
        """
        lines = [f"--> {method} {self.url(url)}", *([f"[through the proxy {proxy}]"] if proxy else [])]
        if body is None:
            shown = ""
        elif isinstance(body, bytes) and not private:
            shown = self.body(body, headers.get("Content-Type", ""))
        else:
            size = len(body) if isinstance(body, bytes) else headers.get("Content-Length")
            shown = _omitted(size)
        self.show(lines, headers.items(), shown)
        return Exchange(self, method, url, private)

    def note(self, text: str) -> None:
        """Show a line that belongs to no exchange."""
        self.show([f"--- {text}"], (), "")

    def url(self, url: str) -> str:
        """Return a URL with secrets concealed."""
        return conceal_url(self._redactor.redact(url))

    def body(self, body: bytes, media_type: str) -> str:
        """Return a body with secrets concealed, or a placeholder."""
        if len(body) > _LARGEST_BODY:
            return _omitted(len(body))
        text = self._redactor.redact(body.decode(errors="surrogateescape"))
        shown = conceal_body(text.encode(errors="surrogateescape"), media_type)
        return _omitted(len(body)) if shown is None else shown

    def show(self, lines: Iterable[str], headers: Iterable[tuple[str, str]], body: str) -> None:
        """Write a block."""
        # Known secrets first, while they are whole: one with a question mark looks like the end of a URL.
        known = ((name, self._redactor.redact(value)) for name, value in headers)
        head = [*lines, *(f"{name}: {conceal_header(name, value)}" for name, value in known)]
        text = "\n".join([*map(_printable, head), *(["", *map(_printable, body.split("\n"))] if body else [])])
        with self._lock:
            self._write(self._redactor.redact(text) + "\n\n")


class Exchange:
    """The response to a request, shown when it is known how its body is read."""

    def __init__(self, trace: Trace, method: str, url: str, private: bool) -> None:
        self._trace = trace
        self._method = method
        self._url = url
        self._private = private
        self._began = time.monotonic()
        self._milliseconds = 0
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._is_shown = False

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Record the head of the response."""
        self._milliseconds = self._elapsed()
        self._status = status
        self._headers = headers

    def read(self, body: bytes) -> None:
        """Show the response with a body that was read."""
        if self._private and self._status < 400:
            self._show(_omitted(len(body)))
        else:
            self._show(self._trace.body(body, self._headers.get("Content-Type", "")) if body else "")

    def streamed(self) -> None:
        """Show the response without its body, which is streamed, or not read at all."""
        self._show("" if self._method == "HEAD" else _omitted(self._headers.get("Content-Length")))

    def broke(self, reason: str) -> None:
        """Show that there was no response, or that its body broke off."""
        if self._status:
            self._show(f"[body omitted: {reason}]")
        else:
            line = f"<-- {self._method} {self._trace.url(self._url)} failed ({self._elapsed()}ms): {reason}"
            self._trace.show([line], (), "")

    def _show(self, body: str) -> None:
        if not self._is_shown:
            self._is_shown = True
            line = f"<-- {self._status} {self._trace.url(self._url)} ({self._milliseconds}ms)"
            self._trace.show([line], self._headers.items(), body)

    def _elapsed(self) -> int:
        return round((time.monotonic() - self._began) * 1000)


def _omitted(size: object) -> str:
    return "[body omitted]" if size is None else f"[body of {size} bytes omitted]"


def _printable(line: str) -> str:
    """Return a line without anything that could move a terminal's cursor or start another line."""
    return "".join(char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in line)
