"""Shared code of the keychains that get credentials from a cloud's own service.

Each cloud's specifics are in `aks`, `ecr`, `gke` and `github`. If a keychain has no credentials, the
next source is searched, and the reason is kept.
"""

from __future__ import annotations

import re
import threading
import time
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Protocol

from bundlepipe.errors import one_line
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.keychains.memory import Memory

# Seconds to connect to a cloud's service, and to wait for its response: outside of a cloud nothing responds.
CONNECT_TIMEOUT = 5
READ_TIMEOUT = 15

# Libraries quote responses of services, which quote requests.
_TOKEN = re.compile(r"[A-Za-z0-9+_=~-]{40,}")

# Credentials are renewed this many seconds before they expire, or earlier if they are short-lived.
_MARGIN = 60.0

# Warning filters belong to the process, not to the thread.
_quieting = threading.Lock()


class Unavailable(Exception):
    """The cloud gives no credentials; the message, one line without secrets, says why."""


class Service(Protocol):
    """What a cloud's keychain has to provide."""

    @property
    def name(self) -> str:
        """The keychain's name, by which it is activated."""
        ...

    def key(self, host: str) -> Hashable:
        """Return the cache key of a host's credentials in this cloud; None if it is not a host of this cloud."""
        ...

    def fetch(self, host: str, source: str) -> Credentials:
        """Return credentials for a host of this cloud; Unavailable if there are none."""
        ...


class CloudKeychain:
    """The keychain of one cloud; calls its service when a registry of that cloud needs credentials."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._found = Memory()
        self._reasons: dict[Hashable, str] = {}

    def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        """Return credentials for a repository of this cloud; None for others, and if the cloud gives none."""
        host = repository.registry.lower()
        key = self._service.key(host)
        if key is None:
            return None

        def search() -> Credentials | None:
            try:
                with _quiet():
                    return self._service.fetch(host, self._name)
            except Unavailable as error:
                self._reasons[key] = str(error)
                return None

        return self._found.get(key, refused, search)

    def searched(self, repository: Repository) -> str:
        """Return the keychain's name and why it had no credentials; empty for registries of others."""
        reason = self._reasons.get(self._service.key(repository.registry.lower()))
        return f"{self._name} ({reason})" if reason else ""

    @property
    def _name(self) -> str:
        return f"keychain {self._service.name}"


def expiry(seconds: float) -> float:
    """Return when to renew credentials that are valid for `seconds`, on the monotonic clock."""
    return time.monotonic() + seconds - min(_MARGIN, seconds / 4)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide warnings of libraries, such as about the end of support for a Python, from users."""
    with _quieting, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def not_installed(library: str, name: str) -> Unavailable:
    """Return the error for a missing library, with how to install it."""
    return Unavailable(f"{library} is not installed: pip install 'bundlepipe[{name}]'")


def failed(error: Exception) -> Unavailable:
    """Return the error for a failure in a cloud's library, with its text, without possible secrets."""
    return Unavailable(one_line(_TOKEN.sub("***", _words(error))) or type(error).__name__)


def _words(error: BaseException) -> str:
    """Return the first words of an error: libraries wrap others' errors, and append objects to their own."""
    first = error.args[0] if error.args else ""
    if isinstance(first, BaseException):
        return _words(first)
    return first if isinstance(first, str) else str(error)
