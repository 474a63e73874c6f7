"""Authenticate with a registry, remembering its challenge so that only the first request gets a 401."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from bundlepipe.errors import StoreError, one_line
from bundlepipe.events import emitting
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.http.challenges import Challenge, parse_challenges
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.keychains.credentials import Credentials, Keychain, none_found
from bundlepipe.stores.keychains.memory import Memory
from bundlepipe.stores.registry.auth.token_cache import Access, Fetch, Grant, TokenGrants
from bundlepipe.stores.registry.auth.token_protocol import (
    CredentialsRefused,
    Scopes,
    is_token,
    parse_scopes,
    wrong_password,
)


class Authenticator:
    """Answers the challenges of one registry; may be used by several threads at once.

    `fetch` sends a request, with an `Authorization` if any, to a token service and returns the
    response, whatever its status; StoreError if there is none.
    """

    def __init__(self, host: str, keychain: Keychain, fetch: Fetch, reporting: Reporting) -> None:
        self._keychain = keychain
        self._emit = reporting.emit
        self._redactor = reporting.redactor
        self._tokens = TokenGrants(host, keychain, fetch, reporting.redactor)
        self._challenge: Challenge | None = None
        self._offered = "none"
        self._lock = threading.Lock()
        self._credentials = Memory()
        self._useless: set[tuple[Repository, Credentials]] = set()

    @property
    def is_challenged(self) -> bool:
        """Whether the registry has sent a challenge that is understood."""
        return self._challenge is not None

    def learn(self, challenge_headers: Iterable[str], url: str) -> Scopes:
        """Remember the challenge of a 401 from `url`, if it is understood, and return the scopes it demands."""
        by_scheme = {challenge.scheme: challenge for challenge in reversed(parse_challenges(challenge_headers, url))}
        challenge = by_scheme.get("bearer") or by_scheme.get("basic")
        self._offered = one_line(self._redactor.redact(", ".join(sorted(by_scheme)))) or "none"
        if challenge is None:
            return frozenset()
        self._challenge = challenge
        return parse_scopes(challenge.parameters.get("scope", ""))

    def grant(self, access: Access, rejected: Grant | None = None, demanded: Scopes = frozenset()) -> Grant | None:
        """Return the grant to send with a request; None while no challenge is known.

        `rejected` got a 401, which `demanded` some scopes: the result is another grant, or None if
        there is no other. If the credentials themselves are refused, the keychain is asked once for
        newer ones. Raises AccessDenied if the token service refuses, StoreError if it or the
        keychain fails.
        """
        challenge = self._challenge
        if challenge is None:
            return None
        credentials = self._find_credentials(access.repository)
        try:
            grant = self._grant_of(credentials, challenge, access, rejected, demanded)
            if grant is not None or rejected is None:
                return grant
        except CredentialsRefused:
            newer = self._find_newer(access.repository, credentials)
            if newer is None:
                raise
        else:
            newer = self._find_newer(access.repository, credentials)
        return self._grant_of(newer, challenge, access, rejected, demanded) if newer else None

    def explain(self, access: Access, status: int) -> str:
        """Return why the registry may have refused a request with 401 or 403, and what to do."""
        challenge = self._challenge
        if challenge is None and status == 401:
            return f"the registry offers these ways to authenticate: {self._offered}; Basic and Bearer are supported"
        credentials = self._find_credentials(access.repository)
        if credentials is None:
            return none_found(self._keychain, access.repository)
        if challenge is None:
            return f"the registry did not ask for the credentials of {credentials.source}"
        if challenge.scheme == "basic" and not credentials.username:
            return f"{credentials.source} holds a token, but the registry wants user name and password"
        if challenge.scheme == "basic" and status == 401:
            return wrong_password(credentials)
        actions = " and ".join(sorted({action for scope in access.needed for action in scope.actions}))
        return f"the credentials of {credentials.source} do not allow to {actions} {access.repository}"

    def _grant_of(
        self,
        credentials: Credentials | None,
        challenge: Challenge,
        access: Access,
        rejected: Grant | None,
        demanded: Scopes,
    ) -> Grant | None:
        if challenge.scheme == "bearer" and not (credentials and credentials.registry_token):
            return self._tokens.get(challenge, access, credentials, rejected, demanded)
        header = _fixed_header(challenge, credentials)
        if header is None or (rejected is not None and rejected.header == header):
            return None
        return Grant(header, credentials)

    def _find_credentials(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        def search() -> Credentials | None:
            with emitting(self._emit):
                found = self._keychain.find(repository, refused)
            if found:
                self._redactor.keep(*found.secrets)
            return found

        return self._credentials.get(repository, refused, search)

    def _find_newer(self, repository: Repository, refused: Credentials | None) -> Credentials | None:
        """Return credentials other than the refused ones; None if there are none, which is determined once."""
        if refused is None:
            return None
        with self._lock:
            if (repository, refused) in self._useless:
                return None
        found = self._find_credentials(repository, refused)
        if found != refused:
            return found
        with self._lock:
            self._useless.add((repository, refused))
        return None


def _fixed_header(challenge: Challenge, credentials: Credentials | None) -> str | None:
    if credentials is None:
        return None
    if challenge.scheme == "bearer":
        if not is_token(credentials.registry_token):
            raise StoreError(f"the registry token of {credentials.source} has characters that no token has")
        return f"Bearer {credentials.registry_token}"
    return credentials.basic if credentials.username else None
