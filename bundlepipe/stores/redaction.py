"""What keeps secrets out of messages, whatever a server quotes."""

from __future__ import annotations

import threading

# A shorter one would blot out ordinary words, and guards nothing.
_SHORTEST_SECRET = 4


class Redactor:
    """Knows every secret that was used; may be used by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: set[str] = set()

    def keep(self, *secrets: str) -> None:
        """Remember texts that must not be shown."""
        with self._lock:
            self._secrets.update(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)

    def redact(self, text: str) -> str:
        """Return `text` with `***` in place of every secret."""
        with self._lock:
            secrets = sorted(self._secrets, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, "***")
        return text
