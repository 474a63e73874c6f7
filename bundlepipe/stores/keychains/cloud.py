"""Keychains of clouds: credentials that a cloud's own service gives to whoever is known to the cloud.

What is particular to a cloud is in `aks`, `ecr`, `gke` and `github`; here is what they share. A
keychain that has nothing lets the next place be searched, and remembers why.
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

# Seconds to connect to a cloud's service, and to wait for its answer: where there is no cloud, nobody answers.
CONNECT_TIMEOUT = 5
READ_TIMEOUT = 15

# Libraries quote what services have answered, and those what they were sent.
_TOKEN = re.compile(r"[A-Za-z0-9+_=~-]{40,}")

# Credentials are found anew so many seconds before they expire, or earlier if they are short-lived.
_MARGIN = 60.0

# The filters of warnings are the process's, not the thread's.
_quieting = threading.Lock()


class Unavailable(Exception):
    """The cloud gives no credentials; the message, one line without secrets, says why."""


class Service(Protocol):
    """What a cloud's keychain knows how to do."""

    @property
    def name(self) -> str:
        """What the keychain is called where it is activated."""
        ...

    def key(self, host: str) -> Hashable:
        """Return what tells the credentials for a host from others of this cloud; None if it is no host of it."""
        ...

    def fetch(self, host: str, source: str) -> Credentials:
        """Return credentials for a host of this cloud; Unavailable if there are none to be had."""
        ...


class CloudKeychain:
    """The keychain of one cloud; asks its service when a registry of that cloud wants credentials."""

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
        """Return the keychain's name and why it had nothing; empty for registries of others."""
        reason = self._reasons.get(self._service.key(repository.registry.lower()))
        return f"{self._name} ({reason})" if reason else ""

    @property
    def _name(self) -> str:
        return f"keychain {self._service.name}"


def expiry(seconds: float) -> float:
    """Return when to find credentials anew that are good for so many seconds, on the monotonic clock."""
    return time.monotonic() + seconds - min(_MARGIN, seconds / 4)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings of libraries, such as of a Python that they will not support for long, from users' terminals."""
    with _quieting, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def not_installed(library: str, name: str) -> Unavailable:
    """Return that a library is missing, and how to have it."""
    return Unavailable(f"{library} is not installed: pip install 'bundlepipe[{name}]'")


def failed(error: Exception) -> Unavailable:
    """Return that a cloud's library failed, in its own words, less anything that may be a secret."""
    return Unavailable(one_line(_TOKEN.sub("***", _words(error))) or type(error).__name__)


def _words(error: BaseException) -> str:
    """Return the first words of an error: libraries wrap others' errors, and add objects to their own."""
    first = error.args[0] if error.args else ""
    if isinstance(first, BaseException):
        return _words(first)
    return first if isinstance(first, str) else str(error)
