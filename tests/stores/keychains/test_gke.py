"""The keychain `gke`: google-auth against stand-ins of the metadata server and of the token endpoint."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.cloud import CloudKeychain
from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.keychains.gke import Google
from tests.stores.keychains.conftest import Hide
from tests.support.clouds import GoogleMetadata, GoogleTokens
from tests.support.registries import GOOGLE

FOUND = Credentials(GOOGLE.username, GOOGLE.password, source="keychain gke")
REPOSITORY = Repository("europe-docker.pkg.dev", "tests/images/app")


def _forget_google() -> None:
    for name in [name for name in sys.modules if name == "google" or name.startswith("google.")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """Have google-auth look at the environment of this test: it does that when it is imported."""
    _forget_google()
    yield
    _forget_google()


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleMetadata]:
    """The metadata server of the machine that this is."""
    with closing(GoogleMetadata()) as service:
        monkeypatch.delenv("NO_GCE_CHECK")
        monkeypatch.setenv("GCE_METADATA_HOST", service.host)
        monkeypatch.setenv("GCE_METADATA_IP", service.host)
        yield service


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleTokens]:
    """Google's token endpoint, and the key of a service account that it knows."""
    with closing(GoogleTokens()) as service:
        path = service.write_account(tmp_path / "account.json")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        yield service


@pytest.mark.parametrize("host", ["gcr.io", "eu.gcr.io", "europe-west1-docker.pkg.dev"])
def test_the_machines_service_account_has_a_token(metadata: GoogleMetadata, host: str) -> None:
    assert CloudKeychain(Google()).find(Repository(host, "tests/app")) == FOUND


@pytest.mark.parametrize("host", ["r.example", "notgcr.io", "gcr.io.evil.example", "pkg.dev", "gcr.io:443"])
def test_other_hosts_are_not_googles(metadata: GoogleMetadata, host: str) -> None:
    assert CloudKeychain(Google()).find(Repository(host, "tests/app")) is None
    assert not metadata.questions


def test_a_token_serves_for_all_of_googles_registries_as_long_as_it_is_good(
    metadata: GoogleMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    keychain = CloudKeychain(Google())
    for host in ("gcr.io", "us.gcr.io", "us-docker.pkg.dev"):
        assert keychain.find(Repository(host, "tests/app")) == FOUND
    asked = len(metadata.questions)
    now += metadata.lifetime
    keychain.find(REPOSITORY)
    paths = [question.path for question in metadata.questions]
    assert len([path for path in paths if path.endswith("/token")]) == 2
    assert len([path for path in paths[:asked] if path.endswith("/token")]) == 1


def test_a_key_of_a_service_account_gets_a_token(tokens: GoogleTokens) -> None:
    assert CloudKeychain(Google()).find(REPOSITORY) == FOUND
    assert [question.path for question in tokens.questions] == ["/token"]


def test_a_refusal_is_told_in_googles_words(tokens: GoogleTokens) -> None:
    tokens.refuses = True
    keychain = CloudKeychain(Google())

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == "keychain gke (invalid_grant: Invalid JWT Signature.)"


def test_a_machine_without_service_account_has_nothing(metadata: GoogleMetadata) -> None:
    metadata.refuses = True
    keychain = CloudKeychain(Google())

    assert keychain.find(REPOSITORY) is None
    assert "Status: 404" in keychain.searched(REPOSITORY)


@pytest.mark.parametrize(("text", "reason"), [("{", "json"), ("{}", "type")])
def test_a_file_that_is_no_key_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str) -> None:
    (tmp_path / "account.json").write_text(text)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    keychain = CloudKeychain(Google())

    assert keychain.find(REPOSITORY) is None
    assert reason in keychain.searched(REPOSITORY)


def test_without_google_there_is_nothing() -> None:
    keychain = CloudKeychain(Google())

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY).startswith("keychain gke (Your default credentials were not found. ")


def test_without_the_library_there_is_nothing(uninstall: Hide) -> None:
    uninstall("google.auth")
    keychain = CloudKeychain(Google())

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == (
        "keychain gke (google-auth is not installed: pip install 'bundlepipe[gke]')"
    )
