"""How registries are reached, as options, variables and files say: credentials first, then TLS and the network."""

from __future__ import annotations

import base64
import json
import math
import os
from pathlib import Path

import pytest

from tests.conftest import WriteDockerConfig
from tests.support.command import Command
from tests.support.files import write_bundle
from tests.support.proxy import Delay, Proxy, Respond
from tests.support.registries import ALICE, IDENTITY_TOKEN, PasswordRegistry, TokenRegistry
from tests.support.secrets import register
from tests.support.services import Registry

TOOLS = pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])
WRONG = register("not-the-password-at-all")
USER = ("--registry-username", ALICE.username, "--registry-password")


@pytest.fixture(autouse=True)
def _content(command: Command) -> None:
    write_bundle(command.directory / "config", {"app.yml": "kind: App\n"})


def variables(prefix: str, host: str, password: str, suffix: str = "") -> dict[str, str]:
    return {
        f"{prefix}_REGISTRY_HOSTNAME{suffix}": host,
        f"{prefix}_REGISTRY_USERNAME{suffix}": ALICE.username,
        f"{prefix}_REGISTRY_PASSWORD{suffix}": password,
    }


def docker_auth(password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{ALICE.username}:{password}".encode()).decode()}


def push(command: Command, tool: str, registry: Registry, *options: str, **env: str) -> str:
    """Push to a registry; return nothing, or the error."""
    result = command(tool, "push", "-b", f"{registry.repository()}", "-f", "config", *options, env=env)
    assert result.stdout == ""
    assert (result.status == 0) == (result.stderr == ""), result
    return result.stderr


# Credentials


@TOOLS
def test_flags(command: Command, authenticated_registry: PasswordRegistry, tool: str) -> None:
    assert push(command, tool, authenticated_registry, *USER, ALICE.password) == ""
    error = push(command, tool, authenticated_registry, *USER, WRONG)
    assert error.startswith(f"{tool}: Error: ")
    assert "incorrect username or password: user 'alice' of --registry-username and --registry-password\n" in error


@TOOLS
def test_variables_in_the_place_of_flags(command: Command, authenticated_registry: PasswordRegistry, tool: str) -> None:
    account = {"IMGPKG_USERNAME": ALICE.username, "IMGPKG_PASSWORD": ALICE.password}
    assert push(command, tool, authenticated_registry, **account) == ""
    error = push(command, tool, authenticated_registry, **account | {"IMGPKG_PASSWORD": WRONG})
    assert "user 'alice' of IMGPKG_USERNAME and IMGPKG_PASSWORD" in error
    # A flag counts more than its variable.
    assert push(command, tool, authenticated_registry, "--registry-password", WRONG, **account)


def test_own_variables_come_before_those_of_imgpkg(command: Command, authenticated_registry: PasswordRegistry) -> None:
    env = {"IMGPKG_USERNAME": ALICE.username, "IMGPKG_PASSWORD": WRONG, "BUNDLEPIPE_PASSWORD": ALICE.password}
    assert push(command, "bundlepipe", authenticated_registry, **env) == ""
    assert "of IMGPKG_USERNAME and IMGPKG_PASSWORD" in push(command, "imgpkg", authenticated_registry, **env)


def test_variables_for_hosts(command: Command, authenticated_registry: PasswordRegistry) -> None:
    host = authenticated_registry.host
    right, wrong = variables("IMGPKG", host, ALICE.password), variables("IMGPKG", host, WRONG)
    assert push(command, "imgpkg", authenticated_registry, **right) == ""
    assert push(command, "bundlepipe", authenticated_registry, **right) == ""
    assert "incorrect username or password" in push(command, "imgpkg", authenticated_registry, **wrong)
    own = variables("BUNDLEPIPE", host, ALICE.password)
    assert push(command, "bundlepipe", authenticated_registry, **wrong, **own) == ""
    assert push(command, "imgpkg", authenticated_registry, **own) != ""


def test_variables_for_hosts_come_before_flags(command: Command, authenticated_registry: PasswordRegistry) -> None:
    env = variables("IMGPKG", authenticated_registry.host, ALICE.password)
    assert push(command, "imgpkg", authenticated_registry, *USER, WRONG, **env) == ""


def test_flags_come_before_dockers_configuration(
    command: Command, authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig
) -> None:
    docker_config({"auths": {authenticated_registry.host: docker_auth(WRONG)}})
    assert push(command, "imgpkg", authenticated_registry, *USER, ALICE.password) == ""
    assert "config.json" in push(command, "imgpkg", authenticated_registry)
    docker_config({"auths": {authenticated_registry.host: docker_auth(ALICE.password)}})
    assert push(command, "imgpkg", authenticated_registry) == ""
    assert push(command, "imgpkg", authenticated_registry, "--registry-anon") != ""
    assert push(command, "imgpkg", authenticated_registry, IMGPKG_ANON="true") != ""


def test_tokens(command: Command, token_registry: TokenRegistry, docker_config: WriteDockerConfig) -> None:
    assert push(command, "imgpkg", token_registry, *USER, ALICE.password) == ""
    refused = push(command, "imgpkg", token_registry, *USER, WRONG)
    assert "incorrect username or password" in refused
    docker_config({"auths": {token_registry.host: {"identitytoken": IDENTITY_TOKEN}}})
    assert push(command, "imgpkg", token_registry) == ""
    assert push(command, "imgpkg", token_registry, "--registry-token", register("no-such-token-as-this")) != ""


def test_cloud_keychain_that_there_is_not(command: Command, registry: Registry) -> None:
    error = push(command, "imgpkg", registry, IMGPKG_ACTIVE_KEYCHAINS="gke,acr")
    assert error == "imgpkg: Error: Unable to load keychain for acr, available keychains [aks, ecr, gke, github]\n"


@pytest.mark.parametrize(
    ("tool", "env"),
    [
        ("imgpkg", {"IMGPKG_REGISTRY_HOST": "x"}),
        ("imgpkg", {"IMGPKG_REGISTRY_PASSWORD_1": WRONG}),
        ("bundlepipe", {"IMGPKG_ANON": "maybe"}),
    ],
)
def test_variables_that_make_no_sense_are_told_before_anything_is_asked(
    command: Command, proxy: Proxy, tool: str, env: dict[str, str]
) -> None:
    result = command(tool, "tag", "list", "-i", f"{proxy.host}/x/y", env=env)
    assert result.failed.count("\n") == 1
    assert next(iter(env)) in result.stderr
    assert not proxy.requests


def test_half_an_account(command: Command, registry: Registry) -> None:
    error = push(command, "bundlepipe", registry, "--registry-username", "alice")
    assert error == "bundlepipe: Error: --registry-username: there is a user name, but no password\n"
    for flag in ("--registry-username", "--registry-password"):
        assert push(command, "imgpkg", registry, flag, "alice") == ""


# TLS


@TOOLS
def test_private_authority(command: Command, tls_registry: Registry, tool: str) -> None:
    assert push(command, tool, tls_registry, "--registry-ca-cert-path", str(tls_registry.tls.authority)) == ""
    assert push(command, tool, tls_registry, "--registry-verify-certs=false") == ""
    assert push(command, tool, tls_registry, SSL_CERT_FILE=str(tls_registry.tls.authority)) == ""
    error = push(command, tool, tls_registry)
    assert "--registry-ca-cert-path" in error
    assert error.count("\n") <= 2
    missing = push(command, tool, tls_registry, "--registry-ca-cert-path", "gone.pem")
    words = {
        "bundlepipe": "gone.pem: cannot be read: No such file or directory",
        "imgpkg": "Creating registry HTTP transport:\n"
        "  Reading CA certificates from 'gone.pem': open gone.pem: no such file or directory",
    }
    assert missing == f"{tool}: Error: {words[tool]}\n"


def test_authorities_are_looked_at_where_nobody_speaks_tls(command: Command, registry: Registry) -> None:
    failed = push(command, "bundlepipe", registry, "--registry-ca-cert-path", "config/app.yml")
    assert failed == "bundlepipe: Error: config/app.yml: holds no PEM certificate, as --registry-ca-cert-path wants\n"
    failed = push(command, "imgpkg", registry, "--registry-ca-cert-path", "config/app.yml")
    assert failed == (
        "imgpkg: Error: Creating registry HTTP transport:\n  Adding CA certificates from 'config/app.yml': failed\n"
    )


# The network


def test_silent_server(command: Command, proxy: Proxy) -> None:
    proxy.fault("GET", "/tags/list", Delay(30), times=math.inf)
    error = command(
        *("imgpkg", "tag", "list", "-i", f"{proxy.host}/x/y"),
        *("--registry-response-header-timeout", "200ms", "--registry-retry-count=1"),
    ).failed
    assert "timeout awaiting response headers" in error
    assert proxy.count("GET", "/tags/list") == 1


def test_retries_are_counted_and_told(command: Command, proxy: Proxy) -> None:
    proxy.fault("GET", "/tags/list", Respond(503), times=math.inf)
    result = command("imgpkg", "tag", "list", "-i", f"{proxy.host}/x/y", "--registry-retry-count", "2")
    assert result.status == 1
    assert proxy.count("GET", "/tags/list") == 2
    assert result.stderr.count("503 Service Unavailable, retrying in") == 1


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("soon", 'time: invalid duration "soon"'),
        ("", 'time: invalid duration ""'),
        ("30", 'time: missing unit in duration "30"'),
        ("1s1", 'time: missing unit in duration "1s1"'),
        ("2days", 'time: unknown unit "days" in duration "2days"'),
    ],
)
def test_times_that_are_none(command: Command, time: str, words: str) -> None:
    flag = "--registry-response-header-timeout"
    error = command("bundlepipe", "tag", "list", "-i", "x/y", f"{flag}={time}").failed
    assert f"'{time}' is not a length of time: expected one such as 30s or 1m30s" in error
    error = command("imgpkg", "tag", "list", "-i", "x/y", f"{flag}={time}").failed
    assert error == f'imgpkg: Error: invalid argument "{time}" for "{flag}" flag: {words}\n'


# What is shown


@TOOLS
def test_debug_shows_no_secret(command: Command, token_registry: TokenRegistry, tool: str) -> None:
    options = ("--debug", *USER, ALICE.password)
    result = command(tool, "push", "-b", f"{token_registry.repository()}", "-f", "config", *options)
    assert (result.status, result.stdout) == (0, "")
    assert "--> POST http://" in result.stderr
    assert "<-- 201 http://" in result.stderr
    assert "--> GET " in result.stderr
    assert WRONG not in result.stderr


def test_json_goes_with_debug(command: Command, registry: Registry) -> None:
    result = command("imgpkg", "push", "-b", f"{registry.repository()}", "-f", "config", "--json", "--debug")
    assert json.loads(result.stdout)["Lines"][-1] == "Succeeded"
    assert "--> " in result.stderr


def test_docker_configuration_that_is_broken(command: Command, registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(f'{{"auths": {{"x": {{"auth": "{WRONG}"}}}}')
    env = {"DOCKER_CONFIG": str(tmp_path / "docker")}
    assert command("imgpkg", "tag", "list", "-i", f"{registry.repository()}", env=env).failed.startswith(
        "imgpkg: Error: "
    )


@TOOLS
def test_a_credential_helper_that_hangs(
    command: Command,
    authenticated_registry: PasswordRegistry,
    docker_config: WriteDockerConfig,
    tmp_path: Path,
    tool: str,
) -> None:
    docker_config({"credHelpers": {authenticated_registry.host: "stuck"}})
    program = tmp_path / "docker-credential-stuck"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    told = push(command, tool, authenticated_registry, PATH=path, BUNDLEPIPE_CREDENTIAL_HELPER_TIMEOUT="0.6")
    first, *others = told.splitlines()
    host = authenticated_registry.host
    assert first == (f"{tool}: waiting up to 0.6 s for docker-credential-stuck to return credentials for {host}")
    assert "the helper 'docker-credential-stuck' did not answer within 0.6 s and was ended: " in "".join(others)
