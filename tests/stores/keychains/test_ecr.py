"""The keychain `ecr`: botocore against a stand-in of Amazon ECR, and the helper where there is no botocore."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.cloud import CloudKeychain
from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.keychains.ecr import Amazon
from tests.stores.keychains.conftest import Hide
from tests.support.clouds import AWS_KEY, AWS_SECRET, Ecr
from tests.support.registries import ROBOT
from tests.support.stand_ins import StandIns

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
REPOSITORY = Repository(HOST, "team/app")


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ecr]:
    """Amazon ECR, and somebody whom it knows."""
    with closing(Ecr()) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", service.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR_PUBLIC", service.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", AWS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
        yield service


@pytest.mark.parametrize(
    ("host", "service", "region"),
    [
        (HOST, "ecr", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-east-1.amazonaws.com", "ecr", "us-gov-east-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr", "cn-north-1"),
        ("123456789012.dkr-ecr.us-east-2.on.aws", "ecr", "us-east-2"),
        ("public.ecr.aws", "ecr-public", "us-east-1"),
    ],
)
def test_a_token_of_the_registrys_region_is_found(ecr: Ecr, host: str, service: str, region: str) -> None:
    found = CloudKeychain(Amazon()).find(Repository(host, "team/app"))

    assert found == Credentials(ROBOT.username, ROBOT.password, source="keychain ecr")
    assert ecr.regions == [(service, region)]


@pytest.mark.parametrize(
    "host",
    [
        "r.example",
        "12345.dkr.ecr.eu-west-1.amazonaws.com",
        f"{HOST}.evil.example",
        f"evil.{HOST}",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
        "ecr.aws",
    ],
)
def test_other_hosts_are_not_amazons(ecr: Ecr, host: str) -> None:
    assert CloudKeychain(Amazon()).find(Repository(host, "team/app")) is None
    assert not ecr.questions


def test_a_token_serves_for_its_region_as_long_as_it_is_good(ecr: Ecr, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    keychain = CloudKeychain(Amazon())
    for host in (HOST, HOST.replace("123", "999"), HOST.replace("west-1", "west-2")):
        keychain.find(Repository(host, "app"))
    assert ecr.regions == [("ecr", "eu-west-1"), ("ecr", "eu-west-2")]
    now += ecr.lifetime
    keychain.find(REPOSITORY)
    assert len(ecr.questions) == 3


def test_a_refusal_is_told_in_amazons_words(ecr: Ecr) -> None:
    ecr.refuses = True
    keychain = CloudKeychain(Amazon())

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == (
        "keychain ecr (An error occurred (AccessDeniedException) when calling the GetAuthorizationToken operation: "
        "User: arn:aws:iam::123456789012:user/tests is not authorized to perform: ecr:GetAuthorizationToken)"
    )


def test_without_an_identity_there_is_nothing(ecr: Ecr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    keychain = CloudKeychain(Amazon())

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == "keychain ecr (Unable to locate credentials)"


def test_without_amazon_there_is_nothing(ecr: Ecr) -> None:
    ecr.close()
    keychain = CloudKeychain(Amazon())

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY).startswith("keychain ecr (Could not connect to the endpoint URL: ")


def test_without_botocore_the_helper_is_asked(tmp_path: Path, uninstall: Hide, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall("botocore")
    programs = StandIns(tmp_path / "bin", monkeypatch)
    programs.add("docker-credential-ecr-login", """echo '{"Username":"AWS","Secret":"SECRET-1"}'""")
    found = CloudKeychain(Amazon()).find(REPOSITORY)

    assert found == Credentials("AWS", "SECRET-1", source="docker-credential-ecr-login")
    assert [call.arguments for call in programs.calls("docker-credential-ecr-login")] == [["get"]]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'no identity'; exit 1",
            f"credentials for {HOST}: the helper 'docker-credential-ecr-login' failed: no identity",
        ),
        ("echo 'credentials not found in native keychain'; exit 1", "docker-credential-ecr-login has none"),
        (
            None,
            "botocore is not installed: pip install 'bundlepipe[ecr]', or put docker-credential-ecr-login on PATH",
        ),
    ],
)
def test_without_botocore_and_a_helper_that_works_there_is_nothing(
    tmp_path: Path, uninstall: Hide, monkeypatch: pytest.MonkeyPatch, script: str | None, reason: str
) -> None:
    uninstall("botocore")
    monkeypatch.setenv("PATH", "/bin")
    if script:
        StandIns(tmp_path / "bin", monkeypatch).add("docker-credential-ecr-login", script)
    keychain = CloudKeychain(Amazon())

    assert keychain.find(REPOSITORY) is None
    assert keychain.searched(REPOSITORY) == f"keychain ecr ({reason})"
