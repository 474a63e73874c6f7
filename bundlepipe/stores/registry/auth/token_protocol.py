"""The protocol of token services: build requests, read responses.

Sources: "Token Authentication Specification", "Token Scope Documentation" and "OAuth2
Token Authentication" of the distribution project.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from bundlepipe.errors import AccessDenied, StoreError
from bundlepipe.oci.bounded_json import JsonFault, loads
from bundlepipe.oci.reference import Repository
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http.answers import Answer, is_http_url, refusal
from bundlepipe.stores.http.messages import Request
from bundlepipe.stores.keychains.credentials import Credentials

# For a token without an expiry time.
_DEFAULT_LIFETIME = 60.0
_CLIENT_ID = "bundlepipe"
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


class CredentialsRefused(AccessDenied):
    """The token service does not accept the credentials; it may accept newer ones."""


class Scope(Struct, frozen=True):
    """Actions on one resource, `repository:PATH:pull,push` in the protocol."""

    resource: str
    actions: frozenset[str]

    @classmethod
    def of(cls, repository: Repository, *actions: str) -> Scope:
        """Return the scope of some actions on a repository."""
        return cls(f"repository:{repository.path}", frozenset(actions))

    def __str__(self) -> str:
        return f"{self.resource}:{','.join(sorted(self.actions))}"


Scopes = frozenset[Scope]


def parse_scopes(text: str) -> Scopes:
    """Return the scopes in the `scope` of a challenge; invalid ones are skipped."""
    scopes = set()
    for word in text.split():
        resource, colon, actions = word.rpartition(":")
        if colon and resource and actions:
            scopes.add(Scope(resource, frozenset(actions.split(","))))
    return frozenset(scopes)


def covers(held: Scopes, wanted: Scopes) -> bool:
    """Return whether every action in `wanted` is in `held`."""
    return all(
        any(scope.resource == other.resource and scope.actions <= other.actions for other in held) for scope in wanted
    )


def token_request(
    registry: str, parameters: Mapping[str, str], scopes: Scopes, credentials: Credentials | None
) -> tuple[Request, str | None]:
    """Return the request for a token and its `Authorization`, for the parameters of a Bearer challenge.

    Identity tokens are sent by POST, everything else by GET. StoreError if the challenge names no token
    service.
    """
    realm = parameters.get("realm", "")
    if not is_http_url(realm):
        raise StoreError(f"registry {registry}: it demands a token, but does not name a token service to get it from")
    parts = urlsplit(realm)
    service = [("service", parameters["service"])] if parameters.get("service") else []
    texts = sorted(str(scope) for scope in scopes)
    if credentials and credentials.identity_token:
        form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", credentials.identity_token),
            ("client_id", _CLIENT_ID),
            *service,
            ("scope", " ".join(texts)),
        ]
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return Request("POST", realm, headers, urlencode(form).encode(), stays=True, private=True), None
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *service, *(("scope", text) for text in texts)])
    request = Request("GET", urlunsplit(parts._replace(query=query)), {"Accept": "application/json"}, private=True)
    return request, credentials.basic if credentials and credentials.username else None


def read_token(answer: Answer) -> tuple[str, float]:
    """Return the token and its lifetime in seconds; StoreError if the response has none."""
    try:
        document: Any = loads(answer.body)
    except JsonFault:
        document = None
    if not isinstance(document, dict):
        raise StoreError(f"{answer.place}: the token service did not answer with a token in JSON")
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str) or not is_token(token):
        raise StoreError(f"{answer.place}: the token service did not answer with a usable token")
    lifetime = document.get("expires_in")
    return token, lifetime if isinstance(lifetime, (int, float)) and lifetime > 0 else _DEFAULT_LIFETIME


def is_token(text: str) -> bool:
    """Return whether `text` can be sent in a header."""
    return _HEADER_SAFE.fullmatch(text) is not None


def token_refused(answer: Answer, redactor: Redactor, credentials: Credentials | None, none_found: str) -> StoreError:
    """Return the error for a response of a token service without a token; `none_found` is the hint for anonymous users.

    It is CredentialsRefused if the service rejects the credentials themselves.
    """
    if answer.status not in (400, 401, 403):
        # Not the class from `refusal`: a 404 of a token service does not mean that an image is
        # missing.
        return StoreError(str(refusal(answer, redactor)))
    if credentials is None:
        hint = none_found
    elif credentials.identity_token:
        hint = f"the identity token of {credentials.source} was not accepted"
    elif answer.status == 401:
        hint = wrong_password(credentials)
    else:
        hint = f"the credentials of {credentials.source} do not give access"
    # An expired identity token is reported by 400 (RFC 6749, 5.2) or 401, a missing permission by 403.
    useless = credentials is not None and answer.status in ((400, 401) if credentials.identity_token else (401,))
    return (CredentialsRefused if useless else AccessDenied)(str(refusal(answer, redactor, hint)))


def wrong_password(credentials: Credentials) -> str:
    """Return the hint for credentials that got a 401."""
    return f"incorrect username or password: user '{credentials.username}' of {credentials.source}"


def is_less_secure(realm: str, registry_url: str) -> bool:
    """Return whether a token service would get credentials with less protection than the registry."""
    return urlsplit(registry_url).scheme == "https" and urlsplit(realm).scheme != "https"
