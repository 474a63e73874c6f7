"""Who is at the other end of a connection, as far as messages about its faults go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit


@dataclass(frozen=True)
class ProxyAddress:
    """A proxy, with what it wants to know and nobody else.

    url: without user and password. account: `USER:PASSWORD`, or None. variable: the
    variable of the environment that names it.
    """

    url: str
    account: str | None
    variable: str

    @classmethod
    def parse(cls, url: str, variable: str) -> ProxyAddress:
        """Return the proxy at an http or https URL, which may have an account in it."""
        parts = urlsplit(url)
        account = None
        if parts.username is not None:
            account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
        return cls(bare, account, variable)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown: the password, and the account, which is sent in base64."""
        return (self.account, self.account.partition(":")[2]) if self.account else ()

    def __repr__(self) -> str:
        return f"ProxyAddress({self.url!r})"


@dataclass(frozen=True)
class Peer:
    """A server, and how it is reached.

    host: HOST[:PORT].
    proxy: the one in between, if any.
    client_certificate: the file of the certificate that is shown to it, if any.
    client_directories: where such files are looked for; nowhere, if none is shown to it.
    find_names: asks for the names in its certificate; there are none where they cannot be told.
    """

    host: str = ""
    proxy: ProxyAddress | None = None
    client_certificate: str = ""
    client_directories: Sequence[str] = ()
    find_names: Callable[[], Sequence[str]] = tuple
