"""Documents at a URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from bundlepipe.errors import StoreError
from bundlepipe.events import Emit, ignore
from bundlepipe.stores.answers import Answer, public_url, refusal
from bundlepipe.stores.redaction import Redactor
from bundlepipe.stores.retries import RETRIED_STATUSES, Retries, Transient, retry_after
from bundlepipe.stores.transport import TIMEOUT, Request, Transport, is_http_url

# Configuration is written by people; nothing of theirs comes near this.
_LARGEST_DOCUMENT = 64 * 1024 * 1024


def fetch(url: str, emit: Emit = ignore) -> bytes:
    """Return what is at an http or https URL, after redirects and, for faults that may pass, further attempts.

    Raises StoreError, without the query string, which may hold a secret.
    """
    if not is_http_url(url):
        raise StoreError(f"{public_url(url)}: expected a URL, https://HOST/PATH")
    # Plain HTTP was written out by whoever gave the URL.
    transport = Transport(urlsplit(url).netloc.rpartition("@")[2], ca=None, insecure=True, timeout=TIMEOUT)
    request = Request("GET", url)
    answer = Retries(emit).run(lambda: _attempt(transport, request))
    if answer.status != 200:
        raise refusal(answer, Redactor())
    if len(answer.body) >= _LARGEST_DOCUMENT:
        raise StoreError(f"{answer.place}: more than {_LARGEST_DOCUMENT} bytes, which is no configuration")
    return answer.body


def _attempt(transport: Transport, request: Request) -> Answer:
    answer = transport.send(request, None).read(_LARGEST_DOCUMENT)
    if answer.status in RETRIED_STATUSES:
        error = refusal(answer, Redactor())
        throttled = answer.status == 429
        raise Transient(error, public_url(request.url), str(error), retry_after(answer.headers), throttled=throttled)
    return answer
