"""What of a diagnosis does not come about with real servers on loopback."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from bundlepipe.stores.diagnosis.registry import CHECKS, diagnose
from bundlepipe.stores.diagnosis.rights import Subject
from bundlepipe.stores.keychains.docker_config import DockerConfig
from bundlepipe.stores.settings import DEFAULT_NETWORK, RegistrySettings

NAME = "registry.nowhere.example"


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    found = list(diagnose(Subject(NAME), RegistrySettings(), DEFAULT_NETWORK, DockerConfig()))
    assert [finding.check for finding in found] == list(CHECKS)
    assert found[0].state == "failed"
    assert found[0].message == (
        "there is no such host: Name or service not known: check its spelling and this machine's DNS server"
    )
    assert [finding.check for finding in found if finding.state == "untried"] == [
        *("connection", "TLS", "registry", "login", "read", "write")
    ]


def test_addresses_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("127.0.0.2", "127.0.0.3")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: addresses)

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    found = list(diagnose(Subject(NAME), RegistrySettings(), DEFAULT_NETWORK, DockerConfig()))
    assert found[0].message == f"{NAME} has the addresses 127.0.0.2, 127.0.0.3"
    assert found[1].message.startswith("cannot connect to port 443: Connection refused")


def test_the_engine_may_reach_what_this_machine_does_not() -> None:
    settings = RegistrySettings(resolve="engine")
    found = next(diagnose(Subject(NAME), settings, DEFAULT_NETWORK, DockerConfig()))
    assert (found.check, found.state) == ("engine", "none")
