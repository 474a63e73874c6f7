"""Why a registry does not answer: real registries behind real faults."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

from bundlepipe.documents.schemas.validator import schema_text
from tests.conftest import WriteDockerConfig
from tests.support.certificates import ClientAuthority, make_self_signed_server, make_server_certificate
from tests.support.command import Command
from tests.support.forward_proxy import ForwardProxy, behind, free_port
from tests.support.proxy import Proxy, Respond
from tests.support.registries import ALICE, IDENTITY_TOKEN, Account, PasswordRegistry, TokenRegistry
from tests.support.secrets import register
from tests.support.services import Registry

WRONG = register("not-the-password-at-all")
USER = ("--registry-username", ALICE.username, "--registry-password")
MakeProxy = Callable[..., Proxy]

Lines = dict[str, tuple[str, str]]


def diagnose(command: Command, *arguments: str, status: int = 0, env: dict[str, str] | None = None) -> Lines:
    """Return mark and message of each check, after looking at the frame in which they stand."""
    result = command("bundlepipe", "doctor", *arguments, env=env)
    assert result.status == status, result
    title, *lines = result.stdout.splitlines()
    assert title == arguments[0]
    found = {}
    for line in lines:
        mark, _, rest = line.partition("  ")
        check, _, message = rest.strip().partition(": ")
        found[check] = (mark, message)
    failed = [check for check, (mark, _) in found.items() if mark == "FAILED"]
    assert bool(failed) == bool(status)
    if failed:
        what = "1 check" if len(failed) == 1 else f"{len(failed)} checks"
        assert result.stderr.startswith(f"bundlepipe: Error: {what} of {len(lines)} failed: ")
        assert result.stderr.count("\n") == 1
    else:
        assert result.stderr == ""
    return found


def untried(found: Lines) -> list[str]:
    return [check for check, line in found.items() if line == ("--", "not tried")]


def docker_auth(password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{ALICE.username}:{password}".encode()).decode()}


# The way there


def test_all_is_well(command: Command, registry: Registry) -> None:
    repository = registry.repository()
    found = diagnose(command, str(repository))
    port = registry.host.rpartition(":")[2]
    assert found.pop("credentials")[0] == "--"
    assert found == {
        "name": ("ok", "127.0.0.1 is an address"),
        "connection": ("ok", f"to port {port}, directly, since no HTTPS_PROXY is set"),
        "TLS": ("--", "plain HTTP, which is allowed since the host is this machine, or in a private network"),
        "registry": ("ok", f"http://{registry.host}/v2/ answers, and wants no credentials"),
        "login": ("--", "not needed"),
        "read": ("--", "there is no such repository; a push makes it, where registries let it"),
        "write": ("ok", "an upload could be begun; it was cancelled again"),
    }


def test_nothing_is_left_behind(command: Command, own_registry: Registry) -> None:
    diagnose(command, f"{own_registry.host}/some/app")
    left = {path.name for path in (own_registry.directory / "content").rglob("*") if path.is_file()}
    # The registry itself forgets the state of a hash, "0", when an upload is cancelled.
    assert left <= {"0"}
    # The registry knows no repository: the tags of one that was made could be listed.
    again = diagnose(command, f"{own_registry.host}/some/app")
    assert again["read"][1].startswith("there is no such repository")


def test_uploads_that_cannot_be_cancelled(command: Command, proxy: Proxy, registry: Registry) -> None:
    proxy.fault("DELETE", "/blobs/uploads/", Respond(405))
    found = diagnose(command, f"{proxy.host}/{registry.repository().path}")
    assert found["write"] == (
        "ok",
        "an upload could be begun; it cannot be cancelled here (405 Method Not Allowed), and expires by itself",
    )
    assert [proxy.count(method, "/blobs/uploads/") for method in ("POST", "PUT", "DELETE")] == [1, 0, 1]


def test_rights_that_cannot_be_told(command: Command, proxy: Proxy, registry: Registry) -> None:
    proxy.fault("POST", "/blobs/uploads/", Respond(503))
    found = diagnose(command, f"{proxy.host}/{registry.repository().path}")
    assert found["write"][0] == "--"
    assert found["write"][1].startswith("cannot be told: POST http://")
    assert proxy.count("POST", "/blobs/uploads/") == 1


def test_what_a_reference_names(command: Command, registry: Registry) -> None:
    (command.directory / "site").mkdir()
    repository = registry.repository()
    command.silently("bundlepipe", "push", "-i", f"{repository}:1.0", "-f", "site")
    assert diagnose(command, f"{repository}:1.0")["read"] == ("ok", "1.0 is there")
    assert diagnose(command, str(repository))["read"] == ("ok", "the tags can be listed")
    found = diagnose(command, f"{repository}:2.0", status=1)
    assert found["read"] == ("FAILED", f"{repository}:2.0 was not found: check its name, and that it was pushed")
    assert untried(found) == ["write"]


def test_a_registry_alone(command: Command, registry: Registry) -> None:
    found = diagnose(command, registry.host)
    assert found["read"] == found["write"] == ("--", "name a repository to learn this: HOST/REPOSITORY")


def test_nobody_listens(command: Command) -> None:
    port = free_port()
    found = diagnose(command, f"127.0.0.1:{port}", status=1)
    assert found["connection"][0] == "FAILED"
    assert found["connection"][1].startswith(f"cannot connect to port {port}: Connection refused: check the port")
    assert untried(found) == ["TLS", "registry", "login", "read", "write"]


def test_a_server_that_is_no_registry(command: Command, proxy: Proxy) -> None:
    proxy.fault("GET", "/v2/", Respond(404))
    found = diagnose(command, proxy.host, status=1)
    assert found["registry"][0] == "FAILED"
    assert "404 Not Found: this does not look like a registry: check host and port" in found["registry"][1]
    assert untried(found) == ["login", "read", "write"]


# TLS


def test_private_authority(command: Command, tls_registry: Registry) -> None:
    found = diagnose(command, tls_registry.host, status=1)
    state, message = found["TLS"]
    assert state == "FAILED"
    assert "the certificate is not trusted: it is signed by an unknown authority; name the file of" in message
    assert f"/certs.d/{tls_registry.host}/ca.crt" in message
    assert "certificate signed by 'test authority', valid from " in message
    assert untried(found) == ["registry", "login", "read", "write"]

    found = diagnose(command, tls_registry.host, "--registry-ca-cert-path", str(tls_registry.tls.authority))
    assert found["TLS"][0] == "ok"
    assert found["TLS"][1].startswith("TLSv1.3, certificate signed by 'test authority', valid from ")
    assert found["registry"] == ("ok", f"https://{tls_registry.host}/v2/ answers, and wants no credentials")
    found = diagnose(command, tls_registry.host, "--registry-verify-certs=false")
    assert found["TLS"][0] == "--"
    assert found["TLS"][1].endswith("; not checked, because of --registry-verify-certs=false")


def test_the_file_that_is_named_mends_it(
    command: Command, tls_registry: Registry, docker_config: WriteDockerConfig
) -> None:
    docker_config({})
    message = diagnose(command, tls_registry.host, status=1)["TLS"][1]
    path = Path(message.partition("or put it at ")[2].partition(" (")[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(tls_registry.tls.authority.read_bytes())
    assert diagnose(command, tls_registry.host)["TLS"][0] == "ok"


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [
        (("other.test", "127.0.0.2"), (-1, 1), "it is not for 127.0.0.1:PORT but for other.test, 127.0.0.2"),
        (("127.0.0.1",), (-9, -2), "it has expired, unless the clock of this machine is wrong"),
        (("127.0.0.1",), (2, 9), "it is not valid yet, unless the clock of this machine is wrong"),
    ],
)
def test_faults_of_certificates(
    command: Command,
    registry: Registry,
    make_proxy: MakeProxy,
    tmp_path: Path,
    names: tuple[str, ...],
    days: tuple[int, int],
    reason: str,
) -> None:
    files = make_server_certificate(tmp_path, names, days=days)
    host = make_proxy(registry.host, tls=files.context()).host
    found = diagnose(command, host, "--registry-ca-cert-path", str(files.authority), status=1)
    assert found["TLS"][0] == "FAILED"
    assert reason.replace("127.0.0.1:PORT", host) in found["TLS"][1]
    assert "signed by 'test authority', valid from " in found["TLS"][1]


def test_a_self_signed_certificate(command: Command, registry: Registry, make_proxy: MakeProxy, tmp_path: Path) -> None:
    files = make_self_signed_server(tmp_path, ("127.0.0.1",))
    found = diagnose(command, make_proxy(registry.host, tls=files.context()).host, status=1)
    assert "it is self-signed; name its file as 'ca'" in found["TLS"][1]


def test_a_client_certificate_that_is_wanted(
    command: Command, registry: Registry, make_proxy: MakeProxy, tmp_path: Path, docker_config: WriteDockerConfig
) -> None:
    directory = docker_config({}).parent
    files, clients = make_server_certificate(tmp_path, ("127.0.0.1",)), ClientAuthority(tmp_path)
    host = make_proxy(registry.host, tls=files.context(clients)).host
    trusting = ("--registry-ca-cert-path", str(files.authority))
    found = diagnose(command, host, *trusting, status=1)
    assert any("wants a client certificate; put it, as NAME.cert and NAME.key, into " in it[1] for it in found.values())
    clients.issue(directory / "certs.d" / host)
    assert diagnose(command, host, *trusting)["registry"][0] == "ok"


def test_plain_http_where_it_is_not_allowed(command: Command, registry: Registry) -> None:
    host = behind(registry.host)
    found = diagnose(command, host, status=1)
    assert found["TLS"][0] == "FAILED"
    assert "the server does not speak TLS; if it is meant to be reached by plain HTTP, declare" in found["TLS"][1]
    found = diagnose(command, host, "--registry-insecure")
    assert found["TLS"] == ("--", "plain HTTP, which is allowed since --registry-insecure says so")
    (command.directory / "bundlepipe.yml").write_text(
        f'apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\nregistries: {{"{host}": {{insecure: true}}}}\n'
    )
    assert diagnose(command, host)["TLS"][1].endswith("since the registry is declared 'insecure'")


# Proxies


@pytest.fixture
def forward_proxy(tmp_path: Path) -> Iterator[ForwardProxy]:
    (tmp_path / "tinyproxy").mkdir()
    running = ForwardProxy(tmp_path / "tinyproxy", Account("carol", register("proxy-pw-5Tq8")))
    yield running
    running.close()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy(command: Command, tls_registry: Registry, forward_proxy: ForwardProxy, variable: str) -> None:
    host = behind(tls_registry.host)
    trusting = ("--registry-ca-cert-path", str(tls_registry.tls.authority))
    found = diagnose(command, host, *trusting, env={variable: forward_proxy.url})
    assert found["name"] == ("--", f"the proxy of {variable} looks 0.0.0.0 up")
    assert found["connection"] == ("ok", f"to the proxy http://{forward_proxy.host}, which {variable} names")
    assert found["TLS"][0] == "ok"
    assert found["registry"][0] == "ok"
    assert f"CONNECT {host}" in forward_proxy.requests
    found = diagnose(command, host, *trusting, env={variable: forward_proxy.url, "NO_PROXY": "0.0.0.0"})
    assert found["connection"][1].endswith(f", directly, since NO_PROXY leaves it out of {variable}")
    found = diagnose(command, tls_registry.host, *trusting, env={variable: forward_proxy.url})
    assert "since the proxy of" in found["connection"][1]


def test_faults_of_proxies(command: Command, tls_registry: Registry, forward_proxy: ForwardProxy) -> None:
    host = behind(tls_registry.host)
    nobody = f"http://127.0.0.1:{free_port()}"
    found = diagnose(command, host, status=1, env={"HTTPS_PROXY": nobody})
    assert found["connection"] == (
        "FAILED",
        f"proxy {nobody} of HTTPS_PROXY: cannot connect: Connection refused: start it, or mend HTTPS_PROXY",
    )
    found = diagnose(command, host, status=1, env={"HTTPS_PROXY": f"http://carol:{WRONG}@{forward_proxy.host}"})
    assert found["TLS"][0] == "FAILED"
    assert "it does not accept the user and password in HTTPS_PROXY" in found["TLS"][1]
    found = diagnose(command, host, status=1, env={"HTTPS_PROXY": f"http://{forward_proxy.host}"})
    assert "give them in HTTPS_PROXY as http://USER:PASSWORD@HOST:PORT" in found["TLS"][1]
    found = diagnose(command, host, status=1, env={"HTTPS_PROXY": "ftp://x"})
    assert found["name"] == ("FAILED", "the proxy in HTTPS_PROXY cannot be used: expected http(s)://HOST:PORT")


# Credentials


def test_passwords(
    command: Command, authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig
) -> None:
    host, repository = authenticated_registry.host, str(authenticated_registry.repository())
    path = docker_config({"auths": {f"https://{host}/v2/": docker_auth(ALICE.password)}})
    found = diagnose(command, repository)
    assert found["registry"] == ("ok", f"http://{host}/v2/ answers, and wants user name and password")
    assert found["credentials"] == ("ok", f"user 'alice', found in {path}, entry 'https://{host}/v2/'")
    assert found["login"] == ("ok", f"the registry takes the credentials of {path}")
    assert found["write"] == ("ok", "an upload could be begun; it was cancelled again")

    found = diagnose(command, repository, *USER, WRONG, status=1)
    assert found["credentials"] == (
        "ok",
        "user 'alice', found in --registry-username and --registry-password",
    )
    assert found["login"][0] == "FAILED"
    assert "incorrect username or password: user 'alice' of --registry-username" in found["login"][1]
    assert untried(found) == ["read", "write"]


def test_no_credentials(command: Command, authenticated_registry: PasswordRegistry) -> None:
    host = authenticated_registry.host
    found = diagnose(command, host, status=1)
    assert found["credentials"][0] == "--"
    assert found["login"][0] == "FAILED"
    assert f"no credentials for {host} were found in the environment, " in found["login"][1]
    assert f"'docker login {host}' stores some" in found["login"][1]
    env = {
        "BUNDLEPIPE_REGISTRY_HOSTNAME": host,
        "BUNDLEPIPE_REGISTRY_USERNAME": ALICE.username,
        "BUNDLEPIPE_REGISTRY_PASSWORD": ALICE.password,
    }
    found = diagnose(command, host, env=env)
    assert found["credentials"][1] == "user 'alice', found in the environment (BUNDLEPIPE_REGISTRY_HOSTNAME)"


def test_helpers(
    command: Command, authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig, tmp_path: Path
) -> None:
    host = authenticated_registry.host
    docker_config({"credHelpers": {host: "doctors"}})
    found = diagnose(command, host, status=1)
    assert found["credentials"][0] == "FAILED"
    assert (
        "the helper 'docker-credential-doctors', which Docker's configuration names, is not in PATH"
        in (found["credentials"][1])
    )
    helper = tmp_path / "links/docker-credential-doctors"
    answer = json.dumps({"Username": ALICE.username, "Secret": ALICE.password})
    helper.write_text(f"#!{sys.executable}\nprint({answer!r})\n")
    helper.chmod(0o755)
    found = diagnose(command, host)
    assert found["credentials"] == ("ok", "user 'alice', found in docker-credential-doctors")


def test_docker_configuration_that_is_broken(command: Command, registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    found = diagnose(command, registry.host, status=1, env={"DOCKER_CONFIG": str(tmp_path)})
    assert found["credentials"][0] == "FAILED"
    assert found["credentials"][1].startswith(f"{tmp_path}/config.json:1:2: not JSON")
    assert untried(found) == ["login", "read", "write"]


# Tokens


def test_tokens(command: Command, token_registry: TokenRegistry, docker_config: WriteDockerConfig) -> None:
    repository = token_registry.repository()
    found = diagnose(command, str(repository), *USER, ALICE.password)
    assert found["registry"][1].endswith(f"wants a token of {token_registry.tokens.realm}")
    token = (
        "a token for --registry-username and --registry-password, service 'registry of the tests', "
        f"which allows pull and push of {repository.path}, valid for 300 s"
    )
    assert found["login"] == ("ok", token)
    assert found["write"] == ("ok", "the token allows to push")
    found = diagnose(command, str(repository), *USER, WRONG, status=1)
    assert found["login"][0] == "FAILED"
    assert "incorrect username or password" in found["login"][1]
    docker_config({"auths": {token_registry.host: {"identitytoken": IDENTITY_TOKEN}}})
    found = diagnose(command, str(repository))
    assert found["credentials"][1].startswith("an identity token, found in ")
    assert found["write"][0] == "ok"


def test_rights_of_the_anonymous(command: Command, token_registry: TokenRegistry) -> None:
    found = diagnose(command, str(token_registry.repository("public")))
    assert "a token for an anonymous user, " in found["login"][1]
    assert found["read"][0] == "--"
    assert found["write"] == ("--", "not allowed, which only pushes need: the token does not allow to push")
    found = diagnose(command, str(token_registry.repository("private")), status=1)
    assert found["read"][0] == "FAILED"
    assert "no credentials for " in found["read"][1]


def test_a_service_that_gives_what_was_asked_for_or_nothing(command: Command, token_registry: TokenRegistry) -> None:
    manners = token_registry.tokens.manners
    manners.strict = True
    found = diagnose(command, str(token_registry.repository("public")))
    assert "not allowed, which only pushes need" in found["write"][1]
    found = diagnose(command, str(token_registry.repository("private")), status=1)
    assert found["login"][0] == "FAILED"
    assert untried(found) == ["read", "write"]


def test_a_login_alone(command: Command, token_registry: TokenRegistry) -> None:
    assert "for no repository, valid for 300 s" in diagnose(command, token_registry.host)["login"][1]
    found = diagnose(command, token_registry.host, *USER, WRONG, status=1)
    assert "incorrect username or password" in found["login"][1]


def test_a_token_service_that_is_down(command: Command, proxy: Proxy) -> None:
    realm = f"http://127.0.0.1:{free_port()}/token"
    headers = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    proxy.fault("GET", "/v2/", Respond(401, headers=headers))
    found = diagnose(command, proxy.host, status=1)
    assert found["registry"][0] == "ok"
    assert found["login"][0] == "FAILED"
    assert found["login"][1].startswith(f"GET {realm}: cannot connect: Connection refused")


def test_tokens_are_not_shown(command: Command, token_registry: TokenRegistry) -> None:
    """Which `Command` looks for in all output; here is more of it."""
    arguments = (str(token_registry.repository()), *USER, ALICE.password, "--debug")
    result = command("bundlepipe", "doctor", *arguments)
    assert result.status == 0
    assert "--> POST http://" not in result.stderr
    assert "--> GET http://" in result.stderr
    assert len(token_registry.tokens.requests) == 1


# Programs


def test_programs_get_a_list(command: Command, registry: Registry) -> None:
    document = json.loads(command("bundlepipe", "doctor", registry.host, "--json").output)
    jsonschema.validate(document, json.loads(schema_text("diagnosis")))
    assert [finding["check"] for finding in document] == [
        *("name", "connection", "TLS", "registry", "credentials", "login", "read", "write")
    ]
    assert {finding["subject"] for finding in document} == {registry.host}
    result = command("bundlepipe", "doctor", f"127.0.0.1:{free_port()}", "--json")
    document = json.loads(result.stdout)
    jsonschema.validate(document, json.loads(schema_text("diagnosis")))
    assert result.status == 1
    assert [finding["state"] for finding in document[:3]] == ["ok", "failed", "untried"]


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("nginx", "'nginx': a registry has a dot or a port in its name, or is localhost; for a repository of Docker"),
        ("https://a.example", "'https://a.example': expected HOST[:PORT], HOST/REPOSITORY or a reference"),
        ("oci:a", "'oci:a': expected HOST[:PORT], HOST/REPOSITORY or a reference"),
        ("a.example:port", "'a.example:port' is not a registry host: expected HOST or HOST:PORT"),
        (f"https://x:{WRONG}@a.example", "'a.example': expected HOST[:PORT]"),
        (f"x:{WRONG}@a.example/b", "a registry has no user and password in its name"),
        (f"x:{WRONG}@a.example", "a registry has no user and password in its name: remove what is before '@'"),
        (f"x:{WRONG}@a.example@sha256:{'a' * 64}", "a registry has no user and password in its name"),
        (f"x:{WRONG}@a.example/b@sha256:abc", "a registry has no user and password in its name"),
    ],
)
def test_what_is_no_registry(command: Command, host: str, error: str) -> None:
    assert error in command("bundlepipe", "doctor", host).failed


# The pipeline here

PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
registries: {{staging.localhost: {{layout: staging}}}}
bundles:
  app: {{files: [app], lock: {{}}, push: "{push}/app:1"}}
  local: {{files: [app], push: "staging.localhost/app:1"}}
pulls:
  other: {{from: "{pull}/other/public:1", to: out}}
"""


def lines_of(output: str) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {"": []}
    title = ""
    for line in output.splitlines():
        if line.startswith(("ok  ", "--  ", "FAILED  ")):
            parts[title].append(line)
        else:
            title = line
            parts[title] = []
    return parts


def test_the_registries_of_the_pipeline(command: Command, registry: Registry, token_registry: TokenRegistry) -> None:
    token_registry.tokens.manners.grants.append((None, "other/public", frozenset({"pull"})))
    (command.directory / "app").mkdir()
    (command.directory / "app/app.yml").write_text(f"image: {registry.host}/web:1\n")
    text = PIPELINE.format(push=registry.host, pull=token_registry.host)
    (command.directory / "bundlepipe.yml").write_text(text)
    result = command("bundlepipe", "doctor")
    assert (result.status, result.stderr) == (0, "")
    parts = lines_of(result.stdout)
    assert list(parts) == [
        "",
        f"{registry.host}/app",
        "staging.localhost/app",
        f"{token_registry.host}/other/public",
    ]
    checks = [line.split("  ", 1)[1].strip().partition(": ")[0] for line in parts[""]]
    assert checks == [
        *("bundlepipe", "Docker's configuration", "Docker Engine", "docker buildx", "kubectl", "git", "bundlepipe.yml")
    ]
    assert parts["staging.localhost/app"] == [
        "--      layout: the directory staging/app stands for it, and does not exist yet"
    ]


def test_a_destination_that_must_not_be_written_to_is_a_fault(command: Command, token_registry: TokenRegistry) -> None:
    token_registry.tokens.manners.grants.append((None, "app", frozenset({"pull"})))
    text = PIPELINE.format(push=token_registry.host, pull=token_registry.host)
    (command.directory / "bundlepipe.yml").write_text(text)
    result = command("bundlepipe", "doctor")
    assert result.status == 1
    assert "not allowed, and the pipeline pushes there: the token does not allow to push" in result.stdout
    assert result.stderr.endswith(f" failed: {token_registry.host}/app: write\n")


def test_a_pipeline_that_is_faulty(command: Command, registry: Registry) -> None:
    (command.directory / "bundlepipe.yml").write_text("apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipline\n")
    result = command("bundlepipe", "doctor")
    assert result.status == 1
    assert (
        "FAILED  bundlepipe.yml: has 1 fault, so what it says about registries does not count: 'bundlepipe check'"
    ) in result.stdout
    result = command("bundlepipe", "doctor", registry.host)
    assert result.status == 0
    assert result.stdout.startswith("--      bundlepipe.yml: has 1 fault")


def test_a_directory_without_pipeline(command: Command) -> None:
    output = command("bundlepipe", "doctor").output
    assert output.endswith("--      bundlepipe.yml: does not exist here; name a registry to look at it\n")
    assert "ok      bundlepipe: 0." in output


def test_other_tools_have_none(command: Command) -> None:
    assert "does not accept extra arguments 'doctor'" in command("imgpkg", "doctor").failed
