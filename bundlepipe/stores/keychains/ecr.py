"""The keychain `ecr`: credentials for Amazon's registries, by the AWS SDK.

Sources: "Private registry authentication" and "Making requests to Amazon ECR over IPv6" of the user
guide, the API references of Amazon ECR and ECR Public (`GetAuthorizationToken`), and botocore,
which finds the identity, signs the request and is imported only here. If it is not installed,
Amazon's credential helper for docker is used.
"""

from __future__ import annotations

import base64
import re
import shutil
import time
from collections.abc import Hashable
from typing import Any

from msgspec import Struct

from bundlepipe.errors import StoreError
from bundlepipe.stores.keychains.cloud import CONNECT_TIMEOUT, READ_TIMEOUT, Unavailable, expiry, failed, not_installed
from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.keychains.helper_program import run_helper

_PUBLIC = "public.ecr.aws"
# The only region with an API of the public registry.
_PUBLIC_REGION = "us-east-1"
_HOST = re.compile(
    r"(?P<account>[0-9]{12})\.(?:dkr\.ecr(?P<fips>-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"|dkr-ecr(?P<dual_fips>-fips)?\.(?P<dual_region>[a-z0-9-]+)\.on\.aws)"
)
_HELPER = "ecr-login"
_ATTEMPTS = 2


class _Endpoint(Struct, frozen=True):
    """The service that issues tokens: for a registry of the `region`, or for the public one."""

    region: str
    is_public: bool = False
    has_fips: bool = False
    is_dual_stack: bool = False


class Amazon:
    """A token of the region, valid for every registry there that the identity may use."""

    name = "ecr"

    def key(self, host: str) -> Hashable:
        """Return the token service for a registry of Amazon's."""
        return _endpoint(host)

    def fetch(self, host: str, source: str) -> Credentials:
        """Return user name and password; Unavailable without botocore and helper, and without an identity."""
        try:
            import botocore.session
        except ImportError:
            return self._ask_helper(host)
        endpoint = _endpoint(host)
        assert endpoint is not None, "only asked for hosts that have a key"
        answer = _ask(botocore.session.get_session(), endpoint)
        try:
            username, colon, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
            lifetime = answer["expiresAt"].timestamp() - time.time()
        except (ValueError, KeyError, AttributeError):
            colon = ""
        if not colon:
            raise Unavailable("Amazon ECR did not answer with a token")
        return Credentials(username, password, source=source, expires=expiry(lifetime))

    def _ask_helper(self, host: str) -> Credentials:
        program = f"docker-credential-{_HELPER}"
        if shutil.which(program) is None:
            raise Unavailable(f"{not_installed('botocore', self.name)}, or put {program} on PATH")
        try:
            found = run_helper(_HELPER, host)
        except StoreError as error:
            raise failed(error) from None
        if found is None:
            raise Unavailable(f"{program} has none")
        return found


def _endpoint(host: str) -> _Endpoint | None:
    if host == _PUBLIC:
        return _Endpoint(_PUBLIC_REGION, is_public=True)
    match = _HOST.fullmatch(host)
    if match is None:
        return None
    region = match["region"] or match["dual_region"]
    has_fips = bool(match["fips"] or match["dual_fips"])
    return _Endpoint(region, has_fips=has_fips, is_dual_stack=bool(match["dual_region"]))


def _ask(session: Any, endpoint: _Endpoint) -> dict[str, Any]:
    """Return the response of Amazon ECR; Unavailable if it refuses, or there is no identity."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"total_max_attempts": _ATTEMPTS},
        use_fips_endpoint=endpoint.has_fips or None,
        use_dualstack_endpoint=endpoint.is_dual_stack or None,
    )
    service = "ecr-public" if endpoint.is_public else "ecr"
    try:
        client = session.create_client(service, region_name=endpoint.region, config=config)
        try:
            data = client.get_authorization_token()["authorizationData"]
        finally:
            client.close()
    except (BotoCoreError, ClientError) as error:
        raise failed(error) from None
    except KeyError:
        return {}
    # The public registry returns one token, the others a list of one.
    found = data if endpoint.is_public else next(iter(data), {})
    return dict(found)
