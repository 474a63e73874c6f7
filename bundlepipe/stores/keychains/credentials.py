"""Credentials for a repository, and what it takes to be a place where they are found.

The places are the modules of `keychains`.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from typing import Protocol

from bundlepipe.oci.reference import DEFAULT_REGISTRY, Repository

_HUB_HOSTS = (DEFAULT_REGISTRY, "docker.io", "registry-1.docker.io")


@dataclass(frozen=True)
class Credentials:
    """What a registry or its token service is shown: one of three kinds, the first that is there.

    registry_token: sent to the registry as it is.
    identity_token: exchanged for access tokens at the token service.
    username, password: sent to the token service, or to a registry that wants Basic.
    `source` says where they were found, for messages; `entry` is their key there, if they
    have one. `expires` is when they have to be
    found anew, on the monotonic clock; it does not tell one from another.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    source: str = ""
    entry: str = field(default="", repr=False, compare=False)
    expires: float = field(default=float("inf"), repr=False, compare=False)

    @property
    def is_current(self) -> bool:
        """Whether they have not expired."""
        return time.monotonic() < self.expires

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header of the scheme Basic (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that must not appear in a message."""
        basic = self.basic.removeprefix("Basic ") if self.username else ""
        candidates = (self.password, self.identity_token, self.registry_token, basic)
        return tuple(secret for secret in candidates if secret)


class Keychain(Protocol):
    """A place where credentials are found; may be asked by several threads at once."""

    def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        """Return the credentials for a repository, or None if there are none.

        What was found before may be remembered, but not beyond its expiry, and not if it is
        `refused`: what the registry accepts no longer. Raises StoreError if it cannot be
        told, such as for a broken configuration file.
        """
        ...

    def searched(self, repository: Repository) -> str:
        """Return where credentials for it were looked for, as a message completes `no credentials were found in`.

        Empty if this is no place to look for credentials of that registry.
        """
        ...


def host_names(registry: str) -> tuple[str, ...]:
    """Return the names under which credentials for a registry may be kept, in lower case, its own first."""
    return _HUB_HOSTS if registry == DEFAULT_REGISTRY else (registry.lower(),)


def none_found(keychain: Keychain, repository: Repository) -> str:
    """Return what is said to someone who was refused and has no credentials."""
    return f"no credentials for {repository} were found in {keychain.searched(repository)}"
