"""Credentials for a repository, and the protocol of keychains.

The keychains are the modules of this folder.
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
    """Credentials for a registry or its token service, of one of three kinds; the first that is set is used.

    registry_token: sent to the registry unchanged.
    identity_token: exchanged for access tokens at the token service.
    username, password: sent to the token service, or to a registry that uses Basic. `source` says
    where they were found, for messages; `entry` is their key there, if they have one. `expires` is
    when they have to be renewed, on the monotonic clock; comparisons ignore it.
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
    """A source of credentials; may be used by several threads at once."""

    def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        """Return the credentials for a repository, or None if there are none.

        Earlier results may be cached, but not beyond their expiry, and not if they are `refused`:
        no longer accepted by the registry. Raises StoreError if the search fails, such as for a
        broken configuration file.
        """
        ...

    def searched(self, repository: Repository) -> str:
        """Return where credentials for it were searched, to complete `no credentials were found in`.

        Empty if this keychain has no credentials for that registry.
        """
        ...


def host_names(registry: str) -> tuple[str, ...]:
    """Return the names under which credentials for a registry may be stored, in lower case, its own first."""
    return _HUB_HOSTS if registry == DEFAULT_REGISTRY else (registry.lower(),)


def none_found(keychain: Keychain, repository: Repository) -> str:
    """Return the hint for an anonymous user who was refused."""
    return f"no credentials for {repository} were found in {keychain.searched(repository)}"
