"""The keychain `aks`: azure-identity against stand-ins of Microsoft Entra, and the exchange at the registry."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains import aks
from bundlepipe.stores.keychains.cloud import CloudKeychain
from bundlepipe.stores.keychains.credentials import Credentials
from tests.stores.keychains.conftest import Hide
from tests.support.certificates import make_server_certificate
from tests.support.clouds import CLIENT_SECRET, ENTRA_TOKEN, IDENTITY_HEADER, TENANT, AppServiceIdentity, Azure
from tests.support.proxy import Proxy
from tests.support.registries import IDENTITY_TOKEN

HOST = "tests.azurecr.io"
REPOSITORY = Repository(HOST, "app")
FOUND = Credentials(identity_token=IDENTITY_TOKEN, source="keychain aks")
VARIABLE = "IMGPKG_REGISTRY_AZURE_CR_CONFIG"

SECRETS_CONFIG = {"tenantId": TENANT, "aadClientId": "client", "aadClientSecret": CLIENT_SECRET}


@pytest.fixture
def azure(tmp_path: Path, make_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """Microsoft Entra and registries of Azure, by TLS, at the end of a proxy that leads every host there."""
    names = (HOST, "tests.azurecr.cn", "login.microsoftonline.com", "login.chinacloudapi.cn")
    certificate = make_server_certificate(tmp_path, names)
    with closing(Azure()) as service:
        tunnel = make_proxy(make_proxy(service.host, tls=certificate.context()).host)
        monkeypatch.setenv("HTTPS_PROXY", f"http://{tunnel.host}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.authority))
        yield service


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[AppServiceIdentity]:
    """The managed identity that this process has."""
    with closing(AppServiceIdentity()) as service:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{service.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", IDENTITY_HEADER)
        yield service


def _keychain(**environ: str) -> CloudKeychain:
    return CloudKeychain(aks.Azure(environ, [f"BUNDLEPIPE{VARIABLE.removeprefix('IMGPKG')}", VARIABLE]))


def _configured(tmp_path: Path, document: Any) -> CloudKeychain:
    path = tmp_path / "azure.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return _keychain(**{VARIABLE: str(path)})


def test_a_managed_identitys_token_is_exchanged(azure: Azure, identity: AppServiceIdentity) -> None:
    assert _keychain().find(REPOSITORY) == FOUND

    assert [question.query["resource"] for question in identity.questions] == ["https://containerregistry.azure.net"]
    (question,) = azure.questions
    assert (question.host, question.method, question.path) == (HOST, "POST", "/oauth2/exchange")
    assert question.form == {"grant_type": "access_token", "service": HOST, "access_token": ENTRA_TOKEN}


def test_the_tenant_is_told_where_it_is_known(azure: Azure, identity: AppServiceIdentity) -> None:
    _keychain(AZURE_TENANT_ID=TENANT).find(REPOSITORY)

    assert azure.questions[-1].form["tenant"] == TENANT


def test_other_clouds_of_azure_have_other_names(azure: Azure, identity: AppServiceIdentity) -> None:
    assert _keychain().find(Repository("tests.azurecr.cn", "app")) == FOUND
    assert identity.questions[-1].query["resource"] == "https://management.chinacloudapi.cn"


@pytest.mark.parametrize("host", ["r.example", "azurecr.io", "tests.azurecr.io.evil.example", "tests.azurecr.io:443"])
def test_other_hosts_are_not_azures(azure: Azure, identity: AppServiceIdentity, host: str) -> None:
    assert _keychain().find(Repository(host, "app")) is None
    assert not identity.questions


def test_each_registry_has_a_token_as_long_as_it_is_good(
    azure: Azure, identity: AppServiceIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    keychain = _keychain()
    for name in ("app", "other"):
        assert keychain.find(Repository(HOST, name)) == FOUND
    keychain.find(Repository("tests.azurecr.cn", "app"))
    assert [question.host for question in azure.questions] == [HOST, "tests.azurecr.cn"]
    now += 3 * 3600
    keychain.find(REPOSITORY)
    assert len(azure.questions) == 3


def test_a_client_secret_of_the_environment_is_enough(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TENANT_ID": TENANT, "CLIENT_ID": "client", "CLIENT_SECRET": CLIENT_SECRET}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)

    assert _keychain().find(REPOSITORY) == FOUND


def test_the_file_names_a_client_and_its_secret(azure: Azure, tmp_path: Path) -> None:
    assert _configured(tmp_path, SECRETS_CONFIG).find(REPOSITORY) == FOUND
    assert azure.questions[-1].form["tenant"] == TENANT
    assert {question.host for question in azure.questions} == {"login.microsoftonline.com", HOST}


def test_the_file_names_a_managed_identity(azure: Azure, identity: AppServiceIdentity, tmp_path: Path) -> None:
    # As clusters of Azure's have it.
    nobody = {"tenantId": TENANT, "aadClientId": "msi", "aadClientSecret": "msi"}
    managed = {**nobody, "useManagedIdentityExtension": True, "userAssignedIdentityID": "5e29463d"}

    assert _configured(tmp_path, managed).find(REPOSITORY) == FOUND
    assert identity.questions[-1].query["client_id"] == "5e29463d"


def test_our_own_variable_for_the_file_goes_first(azure: Azure, tmp_path: Path) -> None:
    (tmp_path / "azure.json").write_text(json.dumps(SECRETS_CONFIG))
    own = f"BUNDLEPIPE{VARIABLE.removeprefix('IMGPKG')}"

    assert _keychain(**{own: str(tmp_path / "azure.json"), VARIABLE: "/absent.json"}).find(REPOSITORY) == FOUND


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "azure.json is not JSON"),
        ("[]", "azure.json is not a JSON object"),
        ({"tenantId": TENANT, "aadClientId": 7, "aadClientSecret": "SECRET-1"}, "has neither tenantId, aadClientId"),
        ({**SECRETS_CONFIG, "aadClientSecret": "SECRET-1"}, "AADSTS7000215: Invalid client secret provided."),
        ({"useManagedIdentityExtension": True}, "ManagedIdentityCredential: no response from the IMDS endpoint"),
    ],
)
def test_a_file_that_leads_nowhere_is_told(azure: Azure, tmp_path: Path, document: Any, reason: str) -> None:
    keychain = _configured(tmp_path, document)

    assert keychain.find(REPOSITORY) is None
    told = keychain.searched(REPOSITORY)
    assert told.startswith("keychain aks (")
    assert reason in told
    assert "SECRET" not in told


def test_a_file_that_is_absent_is_told(azure: Azure) -> None:
    keychain = _keychain(**{VARIABLE: "/absent.json"})

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == "keychain aks (/absent.json cannot be read: No such file or directory)"


def test_a_refusal_is_told_in_the_registrys_words(azure: Azure, identity: AppServiceIdentity) -> None:
    azure.refuses = True
    keychain = _keychain()

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == (
        f"keychain aks (POST https://{HOST}/oauth2/exchange: UNAUTHORIZED: authentication required, "
        "see https://aka.ms/acr/authorization, not ***)"
    )


def test_a_registry_that_is_busy_is_asked_twice(azure: Azure, identity: AppServiceIdentity) -> None:
    azure.is_busy = True
    keychain = _keychain()

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == (
        f"keychain aks (POST https://{HOST}/oauth2/exchange: 503 Service Unavailable; gave up after 2 attempts)"
    )
    assert len(azure.questions) == 2


def test_without_an_identity_there_is_nothing(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    keychain = _keychain()

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == (
        "keychain aks (EnvironmentCredential: Environment variables are not fully configured; "
        "WorkloadIdentityCredential: The workload options are not fully configured; "
        "ManagedIdentityCredential: no response from the IMDS endpoint; "
        "AzureCliCredential: Azure CLI not found on path)"
    )
    assert not azure.questions


def test_without_the_library_there_is_nothing(uninstall: Hide) -> None:
    uninstall("azure.identity")
    keychain = _keychain()

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == (
        "keychain aks (azure-identity is not installed: pip install 'bundlepipe[aks]')"
    )
