"""Redact known secrets in messages, whatever a server quotes."""

from __future__ import annotations

import json
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

# A shorter text would blot out ordinary words, and protects nothing.
_SHORTEST_SECRET = 4


class Redactor:
    """Knows every secret that was used, in all its encodings; may be used by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: set[str] = set()

    def keep(self, *secrets: str) -> None:
        """Add texts that must not be shown."""
        with self._lock:
            for secret in secrets:
                if len(secret) >= _SHORTEST_SECRET:
                    self._secrets.update(_forms(secret))

    def redact(self, text: str) -> str:
        """Return `text` with `***` in place of every secret."""
        with self._lock:
            secrets = sorted(self._secrets, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, "***")
        return text


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as encoded in URLs and forms, in JSON, and in base64."""
    yield secret
    yield quote(secret, safe="", errors="replace")
    yield quote_plus(secret, errors="replace")
    for ensure_ascii in (True, False):
        text = json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1]
        yield text
        # Go's encoder escapes more than necessary.
        yield text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    data = secret.encode(errors="replace")
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(data).decode().rstrip("=")
