"""The services by which clouds give out credentials, as far as clients see of them, on loopback.

Each speaks the protocol of the real one and refuses what the real one would. `questions` tells
what it was asked; `refuses` makes it say no.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.loopback import LoopbackServer
from tests.support.registries import GOOGLE, IDENTITY_TOKEN, ROBOT
from tests.support.secrets import register

AWS_KEY = "AKIDOFTHETESTS"
AWS_SECRET = register("aws.wJalrXUtnFEMI7MDENGbPxRfiCYzEXkey")
ENTRA_TOKEN = register("entra.5gRkV9sXbYqT2mWcLzHd")
IDENTITY_HEADER = register("identity.header.7dPqKx2vRm")
TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"
CLIENT_SECRET = register("client.secret.Qm8~Tz4LwXy")

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Question:
    """A request; `query` and `form` are its parameters, once each."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        """The parameters in the body of an HTML form."""
        assert self.headers["content-type"].startswith(FORM)
        return dict(parse_qsl(self.body.decode(), strict_parsing=True))


@dataclass(frozen=True)
class Reply:
    """An answer; a document that is no text is sent as JSON."""

    document: Any
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """What is sent."""
        return self.document.encode() if isinstance(self.document, str) else json.dumps(self.document).encode()


NOT_FOUND = Reply({"error": "not_found"}, 404)


class CloudService(ABC):
    """A service at `host`, by plain HTTP; what it is, its subclasses say."""

    def __init__(self) -> None:
        self.refuses = False
        self.lifetime = 3600
        self._lock = threading.Lock()
        self._questions: list[Question] = []
        self._server = LoopbackServer(type("Handler", (_Handler,), {"service": self}))
        self.host = self._server.host
        self.url = f"http://{self.host}"

    @property
    def questions(self) -> list[Question]:
        """What was asked so far."""
        with self._lock:
            return list(self._questions)

    def close(self) -> None:
        """Stop the service."""
        self._server.close()

    def reply(self, question: Question) -> Reply:
        """Remember a question and return the answer."""
        with self._lock:
            self._questions.append(question)
        return self.answer(question)

    @abstractmethod
    def answer(self, question: Question) -> Reply:
        """Return the answer to a question."""


class Ecr(CloudService):
    """Amazon ECR and ECR Public: JSON 1.1, requests signed by version 4. The token is that of `account`."""

    account = ROBOT

    TARGETS = {  # noqa: RUF012  (nobody changes it)
        "ecr": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
        "ecr-public": "SpencerFrontendService.GetAuthorizationToken",
    }
    _SIGNED = re.compile(
        r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/\d{8}/(?P<region>[a-z0-9-]+)/(?P<service>[a-z-]+)/aws4_request, "
        r"SignedHeaders=[a-z0-9;-]*x-amz-target[a-z0-9;-]*, Signature=[0-9a-f]{64}"
    )

    @property
    def regions(self) -> list[tuple[str, str]]:
        """The service and region of each question."""
        found = (self._SIGNED.fullmatch(question.headers["authorization"]) for question in self.questions)
        return [(match["service"], match["region"]) for match in found if match]

    def answer(self, question: Question) -> Reply:
        """Return an authorisation token, or the error of an API of Amazon."""
        signed = self._SIGNED.fullmatch(question.headers.get("authorization", ""))
        if signed is None or signed["key"] != AWS_KEY:
            return self._error("UnrecognizedClientException", "The security token included in the request is invalid.")
        target = question.headers.get("x-amz-target")
        if (
            question.headers["content-type"] != "application/x-amz-json-1.1"
            or target != self.TARGETS[signed["service"]]
        ):
            return self._error("UnknownOperationException", "")
        if self.refuses:
            message = (
                "User: arn:aws:iam::123456789012:user/tests is not authorized to perform: ecr:GetAuthorizationToken"
            )
            return self._error("AccessDeniedException", message)
        token = register(base64.b64encode(f"{self.account.username}:{self.account.password}".encode()).decode())
        data = {"authorizationToken": token, "expiresAt": time.time() + self.lifetime}
        if signed["service"] == "ecr":
            endpoint = f"https://123456789012.dkr.ecr.{signed['region']}.amazonaws.com"
            return self._json({"authorizationData": [{**data, "proxyEndpoint": endpoint}]})
        return self._json({"authorizationData": data})

    def _error(self, kind: str, message: str) -> Reply:
        return Reply({"__type": kind, "message": message}, 400, "application/x-amz-json-1.1")

    def _json(self, document: dict[str, Any]) -> Reply:
        return Reply(document, 200, "application/x-amz-json-1.1")


class GoogleMetadata(CloudService):
    """The metadata server of a virtual machine of Google's, whose service account has a token."""

    FLAVOR = {"Metadata-Flavor": "Google"}  # noqa: RUF012  (nobody changes it)

    def answer(self, question: Question) -> Reply:
        """Return what is kept below a path."""
        if question.headers.get("metadata-flavor") != "Google":
            return Reply('Missing required header "Metadata-Flavor": "Google"', 403, "text/html")
        account = "/computeMetadata/v1/instance/service-accounts/default/"
        match question.path:
            case "/":
                return Reply("computeMetadata/\n", 200, "application/text", self.FLAVOR)
            case "/computeMetadata/v1/project/project-id":
                return Reply("tests", 200, "application/text", self.FLAVOR)
            case "/computeMetadata/v1/universe/universe-domain" | "/computeMetadata/v1/universe/universe_domain":
                return Reply("googleapis.com", 200, "application/text", self.FLAVOR)
            case path if path == account:
                return Reply({"email": "tests@example.test", "scopes": [], "aliases": ["default"]}, headers=self.FLAVOR)
            case path if path.startswith(account) and path.endswith("/token") and not self.refuses:
                token = {"access_token": GOOGLE.password, "expires_in": self.lifetime, "token_type": "Bearer"}
                return Reply(token, headers=self.FLAVOR)
        return Reply("not found", 404, "text/html", self.FLAVOR)


class GoogleTokens(CloudService):
    """Google's token endpoint, and a service account that it knows."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        super().__init__()

    def write_account(self, path: Path) -> Path:
        """Write the key of the service account as the console of Google Cloud offers it."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        account = {
            "type": "service_account",
            "project_id": "tests",
            "private_key_id": "0",
            "private_key": pem,
            "client_email": "tests@tests.iam.example.test",
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }
        path.write_text(json.dumps(account))
        return path

    def answer(self, question: Question) -> Reply:
        """Return an access token for an assertion that the service account has signed."""
        form = question.form
        if form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer" or self.refuses:
            return Reply({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
        from google.auth import jwt

        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        audience = "https://oauth2.googleapis.com/token"
        claims = jwt.decode(register(form["assertion"]), certs=public, audience=audience)  # type: ignore[no-untyped-call]
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        return Reply({"access_token": GOOGLE.password, "expires_in": self.lifetime, "token_type": "Bearer"})


class AppServiceIdentity(CloudService):
    """The managed identity of an app of Azure's App Service."""

    def answer(self, question: Question) -> Reply:
        """Return an access token to who knows the header."""
        if question.headers.get("x-identity-header") != IDENTITY_HEADER or self.refuses:
            return Reply({"statusCode": 400, "message": "No managed identity was found."}, 400)
        if question.query.get("api-version") != "2019-08-01":
            return Reply({"statusCode": 400, "message": "unsupported api-version"}, 400)
        expires = int(time.time()) + self.lifetime
        return Reply(
            {
                "access_token": ENTRA_TOKEN,
                "expires_on": str(expires),
                "resource": question.query["resource"],
                "token_type": "Bearer",
                "client_id": "5e29463d-0000-4000-8000-1b3b3b3b3b3b",
            }
        )


class Azure(CloudService):
    """Microsoft Entra, and the registries of Azure: they take its tokens in exchange for their own.

    Both are reached by the names that they have, through a proxy that leads here. Registries
    that are busy exchange nothing.
    """

    is_busy = False

    def answer(self, question: Question) -> Reply:
        """Return what the service does that is called by the host name."""
        if ".azurecr." in question.host:
            return self._exchange(question)
        match question.path.removeprefix(f"/{TENANT}"):
            case "/v2.0/.well-known/openid-configuration":
                return self._configuration(question.host)
            case "/oauth2/v2.0/token":
                return self._sign_in(question)
            case "/common/discovery/instance":
                return Reply({"tenant_discovery_endpoint": question.query["authorization_endpoint"], "metadata": []})
        return NOT_FOUND

    def _configuration(self, host: str) -> Reply:
        base = f"https://{host}/{TENANT}"
        return Reply(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "issuer": f"{base}/v2.0",
                "tenant_region_scope": "EU",
            }
        )

    def _sign_in(self, question: Question) -> Reply:
        form = question.form
        if form.get("client_secret") != CLIENT_SECRET or form["grant_type"] != "client_credentials":
            return Reply(
                {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}, 401
            )
        return Reply({"token_type": "Bearer", "expires_in": self.lifetime, "access_token": ENTRA_TOKEN})

    def _exchange(self, question: Question) -> Reply:
        form = question.form
        if (question.method, question.path) != ("POST", "/oauth2/exchange") or form["service"] != question.host:
            return NOT_FOUND
        if self.is_busy:
            return Reply({}, 503)
        if self.refuses or form["grant_type"] != "access_token" or form["access_token"] != ENTRA_TOKEN:
            quoted = f"authentication required, see https://aka.ms/acr/authorization, not {form['access_token']}"
            return Reply({"errors": [{"code": "UNAUTHORIZED", "message": quoted}]}, 401)
        return Reply({"refresh_token": IDENTITY_TOKEN})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    service: CloudService

    def do_GET(self) -> None:
        """Answer."""
        length = int(self.headers.get("Content-Length", "0"))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        host = headers["host"].removesuffix(":443")
        question = Question(self.command, host, parts.path, headers, query, self.rfile.read(length))
        reply = self.service.reply(question)
        self.send_response(reply.status)
        for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()

    def do_POST(self) -> None:
        """Answer."""
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
        """Print nothing."""
