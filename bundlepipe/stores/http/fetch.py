"""Fetch a document from a URL."""

from __future__ import annotations

import os
from base64 import b64encode
from urllib.parse import unquote, urlsplit, urlunsplit

from bundlepipe.errors import StoreError, quoted
from bundlepipe.events import Emit, ignore
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http.answers import Answer, is_http_url, refusal
from bundlepipe.stores.http.messages import Request
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.http.retries import Retries, raise_if_transient
from bundlepipe.stores.http.trace import Write
from bundlepipe.stores.http.transport import Transport
from bundlepipe.stores.settings import DEFAULT_NETWORK, NetworkSettings, RegistrySettings, patience

# Configuration is written by hand; real files are far smaller.
_LARGEST_DOCUMENT = 64 * 1024 * 1024


def fetch(
    url: str, emit: Emit = ignore, *, network: NetworkSettings = DEFAULT_NETWORK, trace: Write | None = None
) -> bytes:
    """Return the document at an http or https URL, following redirects and retrying transient faults.

    User and password in the URL are sent only to its host; `network` has the settings for the connection, and `trace`
    is called with the traffic. Raises StoreError, without the query string, which may hold a secret.
    """
    if not is_http_url(url):
        raise StoreError(f"{quoted(url.partition('?')[0].rpartition('@')[2])} is no URL: expected https://HOST/PATH")
    parts = urlsplit(url)
    account, _, host = parts.netloc.rpartition("@")
    # The user chose plain HTTP explicitly in the URL.
    reporting = Reporting(emit, trace)
    transport, redactor = Transport(host, RegistrySettings(insecure=True), network, reporting), reporting.redactor
    request = Request("GET", urlunsplit((parts.scheme, host, parts.path or "/", parts.query, "")))
    user, _, password = account.partition(":")
    credentials = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    authorization = f"Basic {credentials}" if account else None
    if account:
        redactor.keep(credentials, unquote(password) or unquote(user))
    retries = Retries(emit, network.tries, patience=patience(network, os.environ))
    answer = retries.run(lambda: _attempt(transport, request, authorization, redactor))
    if answer.status != 200:
        raise refusal(answer, redactor)
    if len(answer.body) >= _LARGEST_DOCUMENT:
        raise StoreError(f"{answer.place}: more than {_LARGEST_DOCUMENT} bytes, too many for configuration")
    return answer.body


def _attempt(transport: Transport, request: Request, authorization: str | None, redactor: Redactor) -> Answer:
    answer = transport.send(request, authorization).read(_LARGEST_DOCUMENT)
    raise_if_transient(answer, redactor)
    return answer
