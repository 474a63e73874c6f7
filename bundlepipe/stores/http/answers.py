"""Responses of servers, and the errors for refusals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from bundlepipe.errors import AccessDenied, NotFound, StoreError, one_line
from bundlepipe.oci.bounded_json import JsonFault, loads
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http import go_words

# A registry's own message is shown, but only up to this length.
LARGEST_ERROR_BODY = 64 * 1024
_LISTING = re.compile(r"n=[0-9]+")
SPOKEN_TO_BY_HTTP = "the server speaks TLS, but the request was plain HTTP: use https"
# Texts with status 400 from servers that expect TLS: Go's, nginx, Apache.
_FAULTS_OF_TLS = {
    b"HTTP request to an HTTPS server": SPOKEN_TO_BY_HTTP,
    b"plain HTTP request was sent to HTTPS port": SPOKEN_TO_BY_HTTP,
    b"speaking plain HTTP to an SSL-enabled server port": SPOKEN_TO_BY_HTTP,
    b"No required SSL certificate was sent": "the server wants a client certificate",
    b"The SSL certificate error": "the server does not accept the client certificate",
}


class Answer(Struct, frozen=True):
    """A complete response: `url` is its origin, after redirects; `strayed` if those led to other hosts."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    strayed: bool = False

    @property
    def place(self) -> str:
        """The request in messages: method, and URL without query string."""
        return f"{self.method} {public_url(self.url)}"


def public_url(url: str) -> str:
    """Return a URL without parts that may be secret: user information, query string and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of an absolute URL, the scope of credentials."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def is_http_url(url: str) -> bool:
    """Return whether `url` is an absolute http or https URL with a host and, if any, a valid port."""
    try:
        scheme, host, _ = origin(url)
    except ValueError:
        return False
    return scheme in ("http", "https") and bool(host)


def describe_status(status: int) -> str:
    """Return a status as `404 Not Found`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def refusal(answer: Answer, redactor: Redactor, hint: str = "") -> StoreError:
    """Return the error for an unexpected response.

    The message has the server's own codes and messages if it sent them in the format of the OCI
    distribution specification ("Error Codes") or of OAuth 2 (RFC 6749, 5.2), without any secret
    that it quotes.
    """
    words = one_line(redactor.redact(server_message(answer.body))) or _plain_words(answer)
    text = f"{answer.place}: {words}{_behind(hint)}"
    if answer.status in (401, 403):
        return AccessDenied(text)
    return NotFound(text) if answer.status == 404 else StoreError(text)


def registry_refusal(answer: Answer, redactor: Redactor, hint: str = "") -> StoreError:
    """Return the error for a registry's response, including the texts of imgpkg and kbld."""
    error = refusal(answer, redactor, hint)
    error.drop_in = f"{answer.place}{_listing(answer.url)}: {_go_words(answer, redactor)}{_behind(hint)}"
    return error


def _behind(hint: str) -> str:
    return f": {hint}" if hint else ""


def _listing(url: str) -> str:
    """Return the part of a query that only limits a list."""
    query = urlsplit(url).query
    return f"?{query}" if _LISTING.fullmatch(query) else ""


def _go_words(answer: Answer, redactor: Redactor) -> str:
    errors = [error for error in _errors(_document(answer.body)) if isinstance(error, dict)]
    if errors:
        texts = "; ".join(map(go_words.diagnostic, errors))
        return one_line(redactor.redact(f"multiple errors returned: {texts}" if len(errors) > 1 else texts))
    body = one_line(redactor.redact(answer.body.decode("utf-8", "replace")))
    return go_words.unexpected(describe_status(answer.status), answer.method, body)


def _plain_words(answer: Answer) -> str:
    fault = next((words for text, words in _FAULTS_OF_TLS.items() if text in answer.body), None)
    status = describe_status(answer.status)
    return f"{status}: {fault}" if fault and answer.status == 400 else status


def error_codes(answer: Answer) -> frozenset[str]:
    """Return the codes in an error body of the OCI distribution specification ("Error Codes")."""
    codes = [error.get("code") for error in _errors(_document(answer.body)) if isinstance(error, dict)]
    return frozenset(code for code in codes if isinstance(code, str))


def _errors(document: dict[str, Any]) -> list[Any]:
    errors = document.get("errors")
    return errors if isinstance(errors, list) else []


def server_message(body: bytes) -> str:
    """Return the codes and messages of a JSON error body; empty for any other body."""
    document = _document(body)
    errors = document.get("errors")
    if isinstance(errors, list):
        messages = [_registry_error(error) for error in errors if isinstance(error, dict)]
    else:
        messages = [_join(document, "error", "error_description"), _join(document, "code", "message", "details")]
    return "; ".join(message for message in messages if message)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = loads(body)
    except JsonFault:
        return {}
    return document if isinstance(document, dict) else {}


def _registry_error(error: dict[str, Any]) -> str:
    text = _join(error, "code", "message")
    detail = error.get("detail")
    if isinstance(detail, dict):
        detail = ", ".join(f"{key}={value}" for key, value in detail.items() if isinstance(value, str))
    return f"{text}; {detail}" if text and isinstance(detail, str) and detail else text


def _join(document: dict[str, Any], *keys: str) -> str:
    return ": ".join(value for key in keys if isinstance(value := document.get(key), str) and value)
