"""The keychain `aks`: credentials for Azure's registries, by Azure's SDK or a configuration file.

An access token of Microsoft Entra is exchanged at the registry for its own refresh token, which is
an identity token in the sense of `docker login`. Sources: "Azure Container Registry authentication"
and the registry's OAuth documentation (`POST /oauth2/exchange`), azure.json of Kubernetes' cloud
provider, and azure-identity, which finds the identity and is imported only here.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from msgspec.structs import replace

from bundlepipe.errors import StoreError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.stores.http.answers import LARGEST_ERROR_BODY, Answer, refusal
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.http.retries import Retries, raise_if_transient
from bundlepipe.stores.keychains.cloud import CONNECT_TIMEOUT, READ_TIMEOUT, Unavailable, expiry, failed, not_installed
from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.settings import DEFAULT_NETWORK, NetworkSettings, RegistrySettings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_ATTEMPTS = 2
_LIMITS: dict[str, Any] = {
    "connection_timeout": CONNECT_TIMEOUT,
    "read_timeout": READ_TIMEOUT,
    "retry_total": _ATTEMPTS - 1,
}
# Seconds that a registry's refresh token is valid, by its documentation.
_LIFETIME = 3 * 3600.0
# Python prints logs for which no handler is configured.
_SILENCE = logging.NullHandler()
# Azure's SDK describes at length each identity that it tried; the first sentence names the fault.
_ATTEMPT = re.compile(r"^\t(\w+): (?:\1 )?(?:authentication unavailable[.,] )?([^.\n]*)", re.MULTILINE)


@dataclass(frozen=True)
class _Cloud:
    """One of Azure's clouds: its sign-in host, and the resource of access tokens for its registries."""

    authority: str
    scope: str


_CLOUDS = {
    ".azurecr.io": _Cloud("login.microsoftonline.com", "https://containerregistry.azure.net/.default"),
    ".azurecr.cn": _Cloud("login.chinacloudapi.cn", "https://management.chinacloudapi.cn/.default"),
    ".azurecr.us": _Cloud("login.microsoftonline.us", "https://management.usgovcloudapi.net/.default"),
    ".azurecr.de": _Cloud("login.microsoftonline.de", "https://management.microsoftazure.de/.default"),
}


@dataclass(frozen=True)
class _Config:
    """The fields of azure.json that are used; all of them may be absent."""

    tenant: str = ""
    client: str = ""
    secret: str = field(default="", repr=False)
    is_managed: bool = False
    managed_client: str = ""


class Azure:
    """An identity token for one registry, in exchange for an access token.

    The first of `config_variables` that is set names azure.json; without one Azure's SDK searches.
    `network` has the settings for requests to the registry.
    """

    name = "aks"

    def __init__(
        self, environ: Mapping[str, str], config_variables: Iterable[str], network: NetworkSettings = DEFAULT_NETWORK
    ) -> None:
        self._environ = environ
        self._network = replace(network, insecure=False, response_header_timeout=READ_TIMEOUT)
        self._path = next(filter(None, map(environ.get, config_variables)), None)

    def key(self, host: str) -> Hashable:
        """Return the registry if it is one of Azure's."""
        return host if _cloud_of(host) else None

    def fetch(self, host: str, source: str) -> Credentials:
        """Return an identity token; Unavailable without azure-identity, and if Azure or the registry refuses."""
        cloud = _cloud_of(host)
        assert cloud is not None, "only asked for hosts that have a key"
        config = _read_config(self._path) if self._path else None
        tenant = config.tenant if config else self._environ.get("AZURE_TENANT_ID", "")
        token = _access_token(config, cloud)
        identity_token = _exchange(host, tenant, token, self._network)
        return Credentials(identity_token=identity_token, source=source, expires=expiry(_LIFETIME))


def _cloud_of(host: str) -> _Cloud | None:
    return next((cloud for ending, cloud in _CLOUDS.items() if host.endswith(ending)), None)


def _read_config(path: str) -> _Config:
    try:
        with open(anchored(path), encoding="utf-8-sig") as file:
            document = json.load(file)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Unavailable(f"{path} is not JSON") from None
    if not isinstance(document, dict):
        raise Unavailable(f"{path} is not a JSON object")

    def text(key: str) -> str:
        value = document.get(key)
        return value if isinstance(value, str) else ""

    return _Config(
        text("tenantId"),
        text("aadClientId"),
        text("aadClientSecret"),
        document.get("useManagedIdentityExtension") is True,
        text("userAssignedIdentityID"),
    )


def _access_token(config: _Config | None, cloud: _Cloud) -> str:
    """Return an access token of Microsoft Entra; Unavailable if Azure's SDK finds no identity, or is refused."""
    try:
        import azure.identity  # noqa: F401  (whether it is there)
        from azure.core.exceptions import AzureError
    except ImportError:
        raise not_installed("azure-identity", Azure.name) from None
    for library in ("azure", "msal"):
        logging.getLogger(library).addHandler(_SILENCE)
    try:
        identity = _configured(config, cloud) if config else _found(cloud)
        try:
            return str(identity.get_token(cloud.scope).token)
        finally:
            getattr(identity, "close", lambda: None)()
    except AzureError as error:
        attempts = _ATTEMPT.findall(str(error))
        raise failed(ValueError("; ".join(map(": ".join, attempts))) if attempts else error) from None
    except (OSError, ValueError) as error:
        raise failed(error) from None


def _found(cloud: _Cloud) -> TokenCredential:
    """Return the first identity of the environment, workload, machine or `az login`."""
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(
        authority=cloud.authority,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
        exclude_powershell_credential=True,
        exclude_developer_cli_credential=True,
        exclude_broker_credential=True,
        process_timeout=READ_TIMEOUT,
        **_LIMITS,
    )


def _configured(config: _Config, cloud: _Cloud) -> TokenCredential:
    """Return the identity in azure.json."""
    from azure.identity import ChainedTokenCredential, ClientSecretCredential, ManagedIdentityCredential

    if config.is_managed:
        # As part of a chain it first checks whether there is a service, instead of retrying requests.
        return ChainedTokenCredential(ManagedIdentityCredential(client_id=config.managed_client or None, **_LIMITS))
    if not (config.tenant and config.client and config.secret):
        raise ValueError(
            "the Azure configuration has neither tenantId, aadClientId and aadClientSecret, "
            "nor useManagedIdentityExtension"
        )
    return ClientSecretCredential(config.tenant, config.client, config.secret, authority=cloud.authority, **_LIMITS)


def _exchange(host: str, tenant: str, access_token: str, network: NetworkSettings) -> str:
    """Return the registry's refresh token for an access token; Unavailable if it refuses or does not respond."""
    # Importing an HTTP client takes long, and most runs do not use this keychain.
    from bundlepipe.stores.http.messages import Request
    from bundlepipe.stores.http.transport import Transport

    form = {"grant_type": "access_token", "service": host, "access_token": access_token}
    if tenant:
        form["tenant"] = tenant
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    url = f"https://{host}/oauth2/exchange"
    request = Request("POST", url, headers, urlencode(form).encode(), stays=True)
    reporting = Reporting()
    transport, redactor = Transport(host, RegistrySettings(), network, reporting), reporting.redactor
    redactor.keep(access_token)

    def attempt() -> Answer:
        answer = transport.send(request, None).read(LARGEST_ERROR_BODY)
        raise_if_transient(answer, redactor)
        return answer

    try:
        answer = Retries(reporting.emit, tries=_ATTEMPTS).run(attempt)
        if answer.status != 200:
            raise refusal(answer, redactor)
    except StoreError as error:
        raise failed(error) from None
    try:
        token = json.loads(answer.body)["refresh_token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        token = None
    if not token or not isinstance(token, str):
        raise Unavailable(f"{answer.place}: the registry did not answer with a token")
    return token
