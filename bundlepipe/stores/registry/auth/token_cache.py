"""Cache tokens for the `Authorization` header: fetched once, shared by all threads, renewed in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

from bundlepipe.concurrency.single_flight import SingleFlight
from bundlepipe.errors import StoreError
from bundlepipe.oci.reference import Repository
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http.answers import Answer, public_url
from bundlepipe.stores.http.challenges import Challenge
from bundlepipe.stores.http.messages import Request
from bundlepipe.stores.keychains.credentials import Credentials, Keychain, none_found
from bundlepipe.stores.registry.auth.token_protocol import (
    Scopes,
    covers,
    is_less_secure,
    read_token,
    token_refused,
    token_request,
)

# A token is renewed this many seconds before it expires, or earlier if it is short-lived.
_MARGIN = 10.0

Fetch = Callable[[Request, str | None], Answer]


class Access(Struct, frozen=True):
    """The scopes that a request needs, and those to request with it so that later requests need no other token.

    The credentials are those of `repository`.
    """

    repository: Repository
    needed: Scopes
    hoped: Scopes


@dataclass(frozen=True)
class Grant:
    """An `Authorization` header, and its scopes; `expires` is on the monotonic clock."""

    header: str = field(repr=False)
    credentials: Credentials | None
    scopes: Scopes = frozenset()
    expires: float = float("inf")

    def serves(self, scopes: Scopes) -> bool:
        """Return whether the grant is valid and was requested for all of `scopes`."""
        return time.monotonic() < self.expires and covers(self.scopes, scopes)


class TokenGrants:
    """The tokens of one registry; may be used by several threads at once."""

    def __init__(self, host: str, keychain: Keychain, fetch: Fetch, redactor: Redactor) -> None:
        self._host = host
        self._keychain = keychain
        self._fetch = fetch
        self._redactor = redactor
        self._lock = threading.Lock()
        self._grants: dict[Scopes, Grant] = {}
        self._fetching: SingleFlight[Grant] = SingleFlight()

    def get(
        self,
        challenge: Challenge,
        access: Access,
        credentials: Credentials | None,
        rejected: Grant | None,
        demanded: Scopes,
    ) -> Grant:
        """Return a token for an access, other than the `rejected` one.

        A new one also has the scopes that the registry `demanded` in addition. Raises AccessDenied
        if the token service refuses (CredentialsRefused if it refuses the credentials themselves),
        StoreError if it fails.
        """
        known = self._known(access, credentials, rejected)
        if known:
            return known
        scopes = access.hoped | {scope for scope in demanded if not covers(access.hoped, frozenset({scope}))}

        def fetch() -> Grant:
            # Another thread may have fetched it since the check above.
            known = self._known(access, credentials, rejected)
            if known:
                return known
            grant = self._fetch_grant(challenge, access, scopes, credentials)
            with self._lock:
                self._grants[access.hoped] = grant
            return grant

        return self._fetching.do((access, scopes, credentials), fetch)[0]

    def _known(self, access: Access, credentials: Credentials | None, rejected: Grant | None) -> Grant | None:
        """Return a cached token, even if it has more scopes than needed."""
        with self._lock:
            grant = self._grants.get(access.hoped)
            if grant is not None and grant is not rejected and grant.serves(access.needed):
                return grant
            if rejected is not None:
                return None
            for grant in self._grants.values():
                if grant.credentials == credentials and grant.serves(access.hoped):
                    self._grants[access.hoped] = grant
                    return grant
        return None

    def _fetch_grant(
        self, challenge: Challenge, access: Access, scopes: Scopes, credentials: Credentials | None
    ) -> Grant:
        """Request all wanted scopes; a service that refuses those may still grant the needed ones."""
        answer = self._ask(challenge, scopes, credentials)
        if answer.status in (401, 403) and not covers(access.needed, scopes):
            narrower = self._ask(challenge, access.needed, credentials)
            if narrower.status == 200:
                answer, scopes = narrower, access.needed
        if answer.status != 200:
            hint = none_found(self._keychain, access.repository)
            raise token_refused(answer, self._redactor, credentials, hint)
        token, lifetime = read_token(answer)
        self._redactor.keep(token)
        expires = time.monotonic() + lifetime - min(_MARGIN, lifetime / 4)
        return Grant(f"Bearer {token}", credentials, scopes, expires)

    def _ask(self, challenge: Challenge, scopes: Scopes, credentials: Credentials | None) -> Answer:
        request, authorization = token_request(self._host, challenge.parameters, scopes, credentials)
        if credentials and is_less_secure(request.url, challenge.url):
            raise StoreError(
                f"registry {self._host}: its token service {public_url(request.url)} is not https, as the registry is: "
                "credentials are not sent there"
            )
        return self._fetch(request, authorization)
