"""Secrets that tests use: none of them may show in anything that is printed or logged."""

from __future__ import annotations

from collections.abc import Iterable

SECRETS: set[str] = set()


def register(secret: str) -> str:
    """Return the secret, and have all output looked through for it from now on."""
    SECRETS.add(secret)
    return secret


def leaks(sections: Iterable[tuple[str, str]]) -> list[str]:
    """Return the titles of the texts that have a secret in them."""
    return [title for title, text in sections if any(secret in text for secret in SECRETS)]
