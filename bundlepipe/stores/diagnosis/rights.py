"""Second half of a diagnosis: the registry's responses, authentication and authorisation."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from bundlepipe.errors import StoreError, one_line
from bundlepipe.oci.manifest import ACCEPTED_TYPES
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.diagnosis.finding import Finding, State
from bundlepipe.stores.http.answers import LARGEST_ERROR_BODY, Answer, describe_status, origin, public_url, refusal
from bundlepipe.stores.http.challenges import Challenge, parse_challenges
from bundlepipe.stores.http.messages import Request, Response
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.http.retries import Transient
from bundlepipe.stores.http.transport import Transport, resolve_location
from bundlepipe.stores.keychains.credentials import Credentials, Keychain
from bundlepipe.stores.registry.auth.authenticator import Authenticator
from bundlepipe.stores.registry.auth.token_cache import Access, Grant
from bundlepipe.stores.registry.auth.token_protocol import Scope, Scopes, read_token

CHECKS = ("registry", "credentials", "login", "read", "write")

_LARGEST_ANSWER = 1 << 20
_NAME_IT = "name a repository to learn this: HOST/REPOSITORY"


class Subject(Struct, frozen=True):
    """What rights to check: those on a repository, or on the manifest `identifier` (tag or digest) in it.

    Without `path` there is no repository, and only the login is tried. `writes` means that lack of write
    access is a fault.
    """

    host: str
    path: str = ""
    identifier: str = ""
    writes: bool = False

    def __str__(self) -> str:
        separator = "@" if ":" in self.identifier else ":"
        place = f"{self.host}/{self.path}" if self.path else self.host
        return f"{place}{separator}{self.identifier}" if self.identifier else place

    @property
    def repository(self) -> Repository:
        """The repository; with an empty path if there is none."""
        return Repository(self.host, self.path)

    def scopes(self, *actions: str) -> Scopes:
        """Return the scopes for some actions."""
        return frozenset({Scope.of(self.repository, *actions)}) if self.path else frozenset()


class _Failed(Exception):
    """A check failed; the message says why."""


class RegistryRights:
    """Checks what a registry allows on a `subject`, without retries."""

    def __init__(self, subject: Subject, transport: Transport, keychain: Keychain, reporting: Reporting) -> None:
        self._subject = subject
        self._transport = transport
        self._keychain = keychain
        self._redactor = reporting.redactor
        self._authenticator = Authenticator(subject.host, keychain, self._fetch_token, reporting)
        self._challenge: Challenge | None = None
        self._credentials: Credentials | None = None
        self._grant: Grant | None = None
        self._lifetime = 0.0

    def findings(self, *, is_open: bool) -> Iterator[Finding]:
        """Yield a finding for each of CHECKS; `is_open` says that the registry can be reached."""
        failed = not is_open
        for check, look in zip(
            CHECKS, (self._registry, self._find_credentials, self._login, self._read, self._write), strict=True
        ):
            # The source of credentials is known without the registry.
            if failed and check != "credentials":
                yield Finding(str(self._subject), check, "untried", "not tried")
                continue
            state, message = self._outcome(look)
            failed = failed or state == "failed"
            yield Finding(str(self._subject), check, state, self._redactor.redact(message))

    def _outcome(self, look: Callable[[], tuple[State, str]]) -> tuple[State, str]:
        try:
            state, message = look()
        except Transient as fault:
            return "failed", str(fault.error)
        except (StoreError, _Failed) as error:
            return "failed", self._shown(str(error))
        return state, self._shown(message)

    def _shown(self, message: str) -> str:
        """Return a message that uses just the host's name if there is no repository."""
        return message if self._subject.path else message.replace(f"{self._subject.host}/ ", f"{self._subject.host} ")

    # The checks

    def _registry(self) -> tuple[State, str]:
        answer = self._ask("GET", "/v2/")
        url = public_url(answer.url)
        if answer.status == 200:
            return "ok", f"{url} answers, and wants no credentials"
        if answer.status != 401:
            raise _Failed(f"{refusal(answer, self._redactor)}: this does not look like a registry: check host and port")
        headers = _all(answer, "WWW-Authenticate")
        self._authenticator.learn(headers, answer.url)
        by_scheme = {challenge.scheme: challenge for challenge in reversed(parse_challenges(headers, answer.url))}
        self._challenge = by_scheme.get("bearer") or by_scheme.get("basic")
        if self._challenge is None:
            raise _Failed(f"GET {url}: {self._authenticator.explain(self._access('pull'), 401)}")
        if self._challenge.scheme == "basic":
            return "ok", f"{url} answers, and wants user name and password"
        return "ok", f"{url} answers, and wants a token of {_public(self._challenge.parameters.get('realm', ''))}"

    def _find_credentials(self) -> tuple[State, str]:
        found = self._credentials = self._keychain.find(self._subject.repository)
        if found is None:
            return "none", f"none were found in {self._keychain.searched(self._subject.repository)}"
        self._redactor.keep(*found.secrets)
        kind = f"user '{one_line(found.username)}'" if found.username else "a token"
        if found.registry_token or found.identity_token:
            kind = "a token for the registry" if found.registry_token else "an identity token"
        entry = f", entry '{one_line(found.entry)}'" if found.entry else ""
        return "ok", f"{kind}, found in {found.source}{entry}"

    def _login(self) -> tuple[State, str]:
        if self._challenge is None:
            return "none", "not needed"
        self._grant = self._authenticator.grant(
            Access(self._subject.repository, self._subject.scopes("pull"), self._subject.scopes("pull", "push"))
        )
        if self._challenge.scheme == "basic" or self._grant is None or not self._lifetime:
            return self._login_by_header()
        whose = self._credentials.source if self._credentials else "an anonymous user"
        service = one_line(self._challenge.parameters.get("service", ""))
        return "ok", (
            f"a token for {whose}, {f'service {service!r}, ' if service else ''}{self._granted_text()}, "
            f"valid for {self._lifetime:.0f} s"
        )

    def _login_by_header(self) -> tuple[State, str]:
        """Describe the credentials that are sent to the registry itself with each request."""
        answer = self._ask("GET", "/v2/")
        if answer.status in (401, 403):
            raise _Failed(str(self._refused(answer, "pull")))
        if answer.status != 200:
            raise _Failed(str(refusal(answer, self._redactor)))
        source = self._credentials.source if self._credentials else ""
        return "ok", f"the registry takes the credentials of {source}"

    def _read(self) -> tuple[State, str]:
        if not self._subject.path:
            return "none", _NAME_IT
        root, identifier = f"/v2/{self._subject.path}", self._subject.identifier
        if identifier:
            answer = self._ask("HEAD", f"{root}/manifests/{identifier}", {"Accept": ", ".join(ACCEPTED_TYPES)})
        else:
            answer = self._ask("GET", f"{root}/tags/list?n=1")
        if answer.status == 404 and not identifier:
            return "none", "there is no such repository; a push makes it, where registries let it"
        if answer.status == 404:
            raise _Failed(f"{self._subject} was not found: check its name, and that it was pushed")
        if answer.status != 200:
            raise _Failed(str(self._refused(answer, "pull")))
        return "ok", f"{identifier} is there" if identifier else "the tags can be listed"

    def _write(self) -> tuple[State, str]:
        if not self._subject.path:
            return "none", _NAME_IT
        granted = self._granted()
        if granted is not None:
            if "push" in granted:
                return "ok", "the token allows to push"
            return self._denied("the token does not allow to push")
        if self._grant and self._lifetime and not self._grant.serves(self._subject.scopes("pull", "push")):
            return self._denied("the token service gives no token to push")
        return self._try_upload()

    # How checks are made

    def _try_upload(self) -> tuple[State, str]:
        """Start an upload and cancel it at once: nothing is stored, and no repository is created."""
        began = self._ask("POST", f"/v2/{self._subject.path}/blobs/uploads/", {"Content-Length": "0"})
        if began.status in (401, 403):
            return self._denied(str(self._refused(began, "push")))
        location = began.headers.get("Location")
        if began.status != 202 or not location:
            return "none", f"cannot be told: {refusal(began, self._redactor)}"
        try:
            ended = self._ask("DELETE", resolve_location(began.url, location))
            status = "" if ended.status in (200, 202, 204) else describe_status(ended.status)
        except (StoreError, Transient) as error:
            status = str(error)
        if not status:
            return "ok", "an upload could be begun; it was cancelled again"
        return "ok", f"an upload could be begun; it cannot be cancelled here ({status}), and expires by itself"

    def _denied(self, message: str) -> tuple[State, str]:
        if not self._subject.writes:
            return "none", f"not allowed, which only pushes need: {message}"
        return "failed", f"not allowed, and the pipeline pushes there: {message}"

    def _ask(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the response to one request, to the registry or a URL it gives; only the registry gets credentials."""
        base = self._transport.base
        url = base + target if target.startswith("/") else target
        own = origin(url) == origin(base)
        header = self._grant.header if self._grant and own else None
        return self._read_answer(self._transport.send(Request(method, url, headers or {}), header))

    def _read_answer(self, response: Response) -> Answer:
        return response.read(_LARGEST_ANSWER if response.status == 200 else LARGEST_ERROR_BODY)

    def _fetch_token(self, request: Request, authorization: str | None) -> Answer:
        answer = self._read_answer(self._transport.send(request, authorization))
        if answer.status == 200:
            self._lifetime = read_token(answer)[1]
        return answer

    def _access(self, *actions: str) -> Access:
        return Access(self._subject.repository, self._subject.scopes(*actions), self._subject.scopes(*actions))

    def _refused(self, answer: Answer, *actions: str) -> StoreError:
        hint = self._authenticator.explain(self._access(*actions), answer.status) if answer.status in (401, 403) else ""
        return refusal(answer, self._redactor, hint)

    def _granted(self) -> frozenset[str] | None:
        """Return the actions that the token allows; None if that is unknown (it need not be readable)."""
        if self._grant is None or not self._lifetime:
            return None
        try:
            payload = self._grant.header.removeprefix("Bearer ").split(".")[1]
            claims: Any = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            entries = [entry for entry in claims["access"] if entry["type"] == "repository"]
            own = (entry["actions"] for entry in entries if entry["name"] == self._subject.path)
            return frozenset(str(action) for actions in own for action in actions)
        except (ValueError, LookupError, TypeError, RecursionError):
            return None

    def _granted_text(self) -> str:
        if not self._subject.path:
            return "for no repository"
        granted = self._granted()
        if granted is None:
            scopes = self._grant.scopes if self._grant else frozenset()
            return f"asked for {', '.join(sorted(map(str, scopes)))}"
        allowed = " and ".join(sorted(granted & {"pull", "push"})) or "nothing"
        return f"which allows {allowed} of {self._subject.path}"


def _all(answer: Answer, name: str) -> list[str]:
    """Return all values of a header that may occur several times."""
    get_all = getattr(answer.headers, "getlist", None)
    return list(get_all(name)) if get_all else [value for key, value in answer.headers.items() if key == name]


def _public(url: str) -> str:
    try:
        return one_line(public_url(url)) or "an unnamed service"
    except ValueError:
        return "an invalid URL"
