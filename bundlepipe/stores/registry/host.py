"""One registry host, shared by all of its repositories in a process.

It combines connections (`transport`), authentication and retries, and owns the shared state: the
pool, the challenge and its tokens, the choice between https and http, the limit on concurrent
transfers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from msgspec import Struct, field

from bundlepipe.concurrency.cancellation import pause
from bundlepipe.concurrency.single_flight import SingleFlight
from bundlepipe.errors import StoreError
from bundlepipe.stores.http.answers import (
    LARGEST_ERROR_BODY,
    Answer,
    error_codes,
    origin,
    public_url,
    registry_refusal,
)
from bundlepipe.stores.http.messages import Body, Request, Response
from bundlepipe.stores.http.reachability import Reachability
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.http.retries import RETRIED_STATUSES, Retries, Transient, raise_if_transient
from bundlepipe.stores.http.transport import Transport
from bundlepipe.stores.keychains.credentials import Keychain
from bundlepipe.stores.keychains.docker_config import DockerConfig
from bundlepipe.stores.registry.auth.authenticator import Authenticator
from bundlepipe.stores.registry.auth.token_cache import Access, Grant
from bundlepipe.stores.registry.auth.token_protocol import Scopes
from bundlepipe.stores.registry.slots import Limit, TransferSlots
from bundlepipe.stores.settings import DEFAULT_NETWORK, NetworkSettings, RegistrySettings, patience

_LARGEST_TOKEN_ANSWER = 1024 * 1024


class Call(Struct, frozen=True):
    """A request to the registry: `target` is a path, or an absolute URL that the registry gave.

    An `anonymous` one never has credentials.
    """

    method: str
    target: str
    access: Access
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    anonymous: bool = False


class RegistryHost:
    """A registry host; may be used by several threads at once, but not by a forked child.

    `host` is the registry of a Repository. `transfers` limits concurrent transfers of blobs over
    all hosts. `keychain` supplies credentials, by default from Docker's configuration. `sleep` and
    `clock` rarely need to be given.
    """

    def __init__(
        self,
        host: str,
        settings: RegistrySettings,
        *,
        network: NetworkSettings = DEFAULT_NETWORK,
        transfers: Limit,
        keychain: Keychain | None = None,
        reporting: Reporting | None = None,
        sleep: Callable[[float], None] = pause,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        reporting = reporting or Reporting()
        self.host = host
        self.retries = Retries(reporting.emit, network.tries, sleep, patience(network, os.environ))
        self._reachability = Reachability(host, self.retries, clock)
        self._token_reachability = Reachability(host, self.retries, clock)
        self._slots = TransferSlots(transfers, settings.concurrency)
        self._redactor = reporting.redactor
        self._transport = Transport(host, settings, network, reporting)
        self._authenticator = Authenticator(host, keychain or DockerConfig(), self._fetch_token, reporting)
        # Unknown until the first response about referrers.
        self.has_referrers_api: bool | None = None
        self._acquainted = False
        self._first_contact: SingleFlight[Response | StoreError | None] = SingleFlight()
        self._looked_for_challenge = False
        self._root_contact: SingleFlight[Answer] = SingleFlight()

    def __repr__(self) -> str:
        return f"RegistryHost({self.host!r})"

    def close(self) -> None:
        """Close the connections that are kept for reuse."""
        self._transport.close()

    def slot(self) -> AbstractContextManager[None]:
        """Hold a slot for the transfer of a blob."""
        return self._slots.slot()

    def ask(self, call: Call, *expected: int, limit: int = LARGEST_ERROR_BODY) -> Answer:
        """Return the response to a call, with retries, with at most `limit` bytes of its body.

        Raises the error for the response unless its status is one of `expected`.
        """
        answer = self.retries.run(lambda: self.exchange(call).read(limit))
        if answer.status not in expected:
            raise self.refused(answer, call.access)
        return answer

    def attempt(self, call: Call, *expected: int, transient: frozenset[str] = frozenset()) -> Answer:
        """Return the response to a single attempt at a call, for a caller that retries itself.

        Also raises Transient for an error code (of the distribution specification) in `transient`,
        otherwise the error for the response unless its status is one of `expected`.
        """
        answer = self.exchange(call).read(LARGEST_ERROR_BODY)
        if answer.status in expected:
            return answer
        error, codes = self.refused(answer, call.access), transient & error_codes(answer)
        if codes:
            raise Transient(error, public_url(answer.url), ", ".join(sorted(codes)))
        raise error

    def exchange(self, call: Call) -> Response:
        """Make one attempt at a call, authenticating if required; the response must be read or closed.

        If no connection to a host can be made, one thread retries for all. Raises Unreachable if that fails,
        Transient for other faults and statuses that are worth a retry, StoreError if the response cannot be trusted.
        The caller handles all other statuses.
        """
        return self._reachability.run(self.host, lambda: self._exchange(call))

    def _exchange(self, call: Call) -> Response:
        response, grant = self._contact(call)
        if response.status == 401 and self._is_own(response):
            answer = response.read(LARGEST_ERROR_BODY)
            demanded = self._learn(response)
            self._look_for_challenge(call.access)
            other = self._authenticator.grant(call.access, grant, demanded)
            if other is None:
                raise self.refused(answer, call.access)
            response = self._send(call, other)
        self._raise_if_transient(response)
        return response

    def _look_for_challenge(self, access: Access) -> None:
        """Request a challenge if 401 responses have none: some registries send it only at the root of the API.

        Source: OCI distribution specification 1.1, "Determining Support".
        """
        if not self._authenticator.is_challenged and not self._looked_for_challenge:
            self._root_contact.do(None, lambda: self._send(Call("GET", "/v2/", access), None).read(LARGEST_ERROR_BODY))
            self._looked_for_challenge = True

    def refused(self, answer: Answer, access: Access) -> StoreError:
        """Return the error for an unexpected response."""
        hint = ""
        if answer.status in (401, 403) and self._is_own(answer):
            hint = self._authenticator.explain(access, answer.status)
        return registry_refusal(answer, self._redactor, hint)

    def _contact(self, call: Call) -> tuple[Response, Grant | None]:
        """Send a call; the first one to a host is sent alone, so that its challenge is learnt once."""
        while not self._acquainted:
            result, leads = self._first_contact.do(None, lambda: self._introduce(call))
            if leads and isinstance(result, StoreError):
                raise result
            if leads and isinstance(result, Response):
                return result, None
        grant = self._authenticator.grant(call.access)
        return self._send(call, grant), grant

    def _introduce(self, call: Call) -> Response | StoreError | None:
        """Return the first response of the host, the fault of this call, or None if another call was first.

        Transient is raised, and so becomes the fault of all waiting threads: a host that does not respond to
        one does not respond to the others, and they would wait in turn.
        """
        if self._acquainted:
            return None
        try:
            response = self._send(call, None)
        except StoreError as error:
            return error
        self._acquainted = True
        return response

    def _send(self, call: Call, grant: Grant | None) -> Response:
        base = self._transport.base
        url = base + call.target if call.target.startswith("/") else call.target
        request = Request(call.method, url, call.headers, self._noting_connection(call.body))
        own = origin(request.url) == origin(base)
        response = self._transport.send(request, grant.header if grant and own and not call.anonymous else None)
        if response.status == 401 and self._is_own(response):
            # Immediately: other threads wait for this first contact, and use its challenge.
            self._learn(response)
        return response

    def _noting_connection(self, body: Body | None) -> Body | None:
        """Make a streamed body report the connection: its bytes are requested once there is one."""
        if not callable(body):
            return body
        open_body = body

        def noted(chunks: Iterator[bytes]) -> Iterator[bytes]:
            self._reachability.note_connection()
            yield from chunks

        return lambda: noted(open_body())

    def _learn(self, response: Response) -> Scopes:
        return self._authenticator.learn(response.headers.getlist("WWW-Authenticate"), response.request.url)

    def _is_own(self, answer: Response | Answer) -> bool:
        """Return whether a response is the registry's own, to a request that could carry credentials."""
        url = answer.request.url if isinstance(answer, Response) else answer.url
        return not answer.strayed and origin(url) == origin(self._transport.base)

    def _raise_if_transient(self, response: Response) -> None:
        if response.status in RETRIED_STATUSES:
            raise_if_transient(response.read(LARGEST_ERROR_BODY), self._redactor)
        self.retries.note_answer(urlsplit(response.request.url).netloc)

    def _fetch_token(self, request: Request, authorization: str | None) -> Answer:
        def attempt() -> Answer:
            response = self._transport.send(request, authorization)
            self._raise_if_transient(response)
            return response.read(_LARGEST_TOKEN_ANSWER)

        host = urlsplit(request.url).netloc
        return self.retries.run(lambda: self._token_reachability.run(host, attempt))
