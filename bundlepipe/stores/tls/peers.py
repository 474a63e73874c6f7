"""The other end of a connection (server, proxy, certificates), for error messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec import Struct


class ProxyAddress(Struct, frozen=True):
    """A proxy and its credentials.

    url: without user and password. account: `USER:PASSWORD`, or None. variable: the environment
    variable that names it.
    """

    url: str
    account: str | None
    variable: str

    @classmethod
    def parse(cls, url: str, variable: str) -> ProxyAddress:
        """Parse the http or https URL of a proxy, which may contain credentials."""
        parts = urlsplit(url)
        account = None
        if parts.username is not None:
            account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
        return cls(bare, account, variable)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown: the password, and the account, which is sent in base64."""
        return (self.account, self.account.partition(":")[2]) if self.account else ()

    def __repr__(self) -> str:
        return f"ProxyAddress({self.url!r})"


class Peer(Struct, frozen=True):
    """A server, and how it is reached.

    host: HOST[:PORT].
    proxy: the one in between, if any.
    client_certificate: the file of the certificate that is sent to it, if any.
    client_directories: where such files are looked for; empty if none is sent to it.
    find_names: returns the names in its certificate; empty if they are unknown.
    """

    host: str = ""
    proxy: ProxyAddress | None = None
    client_certificate: str = ""
    client_directories: Sequence[str] = ()
    find_names: Callable[[], Sequence[str]] = tuple
