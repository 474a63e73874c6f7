"""Secrets that tests use: none of them may show in anything that is printed or logged."""

from __future__ import annotations

SECRETS: set[str] = set()


def register(secret: str) -> str:
    """Return the secret, and have all output looked through for it from now on."""
    SECRETS.add(secret)
    return secret
