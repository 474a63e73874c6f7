"""A token service for a real registry: signs what it grants, as the distribution project specifies.

A registry with `auth: token` trusts its certificate. Users, grants and manners can be
changed by a test; `requests` tells what was asked for.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.support.certificates import pem, self_signed
from tests.support.loopback import LoopbackServer
from tests.support.secrets import register
from tests.support.services import DIRECTORY

ISSUER = "token service of the tests"
SERVICE = "registry of the tests"


@dataclass(frozen=True)
class TokenRequest:
    """What a client asked for: by GET with a password or nothing, or by POST with an identity token."""

    method: str
    scopes: tuple[str, ...]
    user: str | None
    authorization: str | None


@dataclass
class Manners:
    """How the service behaves; a test may change it.

    users: passwords. identity_tokens: the users they stand for.
    grants: (user or None, expression for repositories) and the actions that are granted.
    strict: whether a request for more than is granted is refused with 403 altogether.
    lifetime: seconds, as told to the client; None leaves it out.
    expired: whether tokens are issued that the registry takes for expired.
    """

    users: dict[str, str] = field(default_factory=dict)
    identity_tokens: dict[str, str] = field(default_factory=dict)
    grants: list[tuple[str | None, str, frozenset[str]]] = field(default_factory=list)
    strict: bool = False
    lifetime: int | None = 300
    expired: bool = False

    def granted(self, user: str | None, repository: str) -> frozenset[str]:
        """Return the actions that a user may take on a repository."""
        actions: frozenset[str] = frozenset()
        for grantee, expression, granted in self.grants:
            if grantee == user and re.fullmatch(expression, repository):
                actions |= granted
        return actions


class TokenService:
    """A running token service at `realm`; `registry_auth` is the registry's part of the agreement."""

    def __init__(self, directory: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = self_signed(self._key, ISSUER)
        (directory / "token-service.pem").write_bytes(pem(certificate))
        der = certificate.public_bytes(serialization.Encoding.DER)
        self._header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        self.manners = Manners()
        self._lock = threading.Lock()
        self._requests: list[TokenRequest] = []
        self._server = LoopbackServer(_handler_of(self))
        self.host = self._server.host
        self.realm = f"http://{self.host}/token"

    @property
    def registry_auth(self) -> dict[str, Any]:
        """The `auth` of a registry's configuration."""
        return {
            "token": {
                "realm": self.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": f"{DIRECTORY}/token-service.pem",
            }
        }

    @property
    def requests(self) -> list[TokenRequest]:
        """What was asked for so far."""
        with self._lock:
            return list(self._requests)

    def reset(self) -> None:
        """Forget all requests, users and grants."""
        with self._lock:
            self._requests.clear()
        self.manners = Manners()

    def close(self) -> None:
        """Stop the service."""
        self._server.close()

    def answer(self, request: TokenRequest) -> tuple[int, dict[str, Any]]:
        """Return status and document for a request, and remember it."""
        with self._lock:
            self._requests.append(request)
        access = []
        for scope in request.scopes:
            kind, name, actions = scope.split(":")
            wanted = frozenset(actions.split(","))
            granted = wanted & self.manners.granted(request.user, name)
            if granted != wanted and self.manners.strict:
                return 403, {"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}
            access.append({"type": kind, "name": name, "actions": sorted(granted)})
        document: dict[str, Any] = {
            "access_token" if request.method == "POST" else "token": self._sign(request.user, access)
        }
        if self.manners.lifetime is not None:
            document["expires_in"] = self.manners.lifetime
        return 200, document

    def _sign(self, user: str | None, access: list[dict[str, Any]]) -> str:
        now = int(time.time()) - (3600 if self.manners.expired else 0)
        claims = {
            "iss": ISSUER,
            "sub": user or "",
            "aud": SERVICE,
            "iat": now,
            "nbf": now - 10,
            "exp": now + 600,
            "jti": str(time.monotonic_ns()),
            "access": access,
        }
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (self._header, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return register(f"{signed}.{_base64url(signature)}")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _handler_of(service: TokenService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            header = self.headers["Authorization"]
            user = self._user(header) if header else None
            if header and user is None:
                self._send(401, {"details": "incorrect username or password"})
                return
            self._send(*service.answer(TokenRequest("GET", tuple(query.get("scope", [])), user, header)))

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            user = service.manners.identity_tokens.get(form.get("refresh_token", [""])[0])
            if form.get("grant_type") != ["refresh_token"] or form.get("service") != [SERVICE] or user is None:
                self._send(400, {"error": "invalid_grant", "error_description": "the refresh token is not valid"})
                return
            scopes = tuple(form.get("scope", [""])[0].split())
            self._send(*service.answer(TokenRequest("POST", scopes, user, self.headers["Authorization"])))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
            pass

        def _user(self, header: str) -> str | None:
            user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
            return user if service.manners.users.get(user) == password else None

        def _send(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

    return Handler
