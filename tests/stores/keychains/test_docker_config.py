"""Docker's configuration: where it is, which entry is a repository's, and what helpers answer."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.concurrency.cancellation import Cancellation, Cancelled, cancellable
from bundlepipe.errors import StoreError
from bundlepipe.events import Event, HelperAwaited, emitting
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.keychains import helper_program
from bundlepipe.stores.keychains.credentials import Credentials, none_found
from bundlepipe.stores.keychains.docker_config import DockerConfig
from bundlepipe.stores.keychains.helper_program import LIMIT_VARIABLE


def _auth(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def _write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def _find(tmp_path: Path, document: Any, reference: str) -> Credentials | None:
    _write(tmp_path / "config.json", document)
    return DockerConfig({"DOCKER_CONFIG": str(tmp_path)}).find(Reference.parse(reference).repository)


def _user(found: Credentials | None) -> str | None:
    return found.username if found else None


# Where the file is


def test_the_files_are_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    environ = {
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "REGISTRY_AUTH_FILE": str(tmp_path / "auth-file.json"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
    }
    repository = Reference.parse("r.example/app").repository
    paths = {
        "docker": tmp_path / "docker/config.json",
        "file": tmp_path / "auth-file.json",
        "runtime": tmp_path / "run/containers/auth.json",
    }
    for name, path in paths.items():
        _write(path, {"auths": {"r.example": _auth(name, "secret")}})
    _write(home / ".docker/config.json", {"auths": {"r.example": _auth("home", "secret")}})

    assert _user(DockerConfig(environ).find(repository)) == "docker"
    paths["docker"].unlink()
    assert _user(DockerConfig(environ).find(repository)) == "file", "DOCKER_CONFIG stands for ~/.docker"
    paths["file"].unlink()
    assert _user(DockerConfig(environ).find(repository)) == "runtime"
    del environ["DOCKER_CONFIG"]
    assert _user(DockerConfig(environ).find(repository)) == "home"


def test_without_any_file_the_names_that_were_tried_are_told(tmp_path: Path) -> None:
    keychain = DockerConfig({"DOCKER_CONFIG": str(tmp_path), "REGISTRY_AUTH_FILE": "/no/auth.json"})
    repository = Reference.parse("r.example/app").repository

    assert keychain.find(repository) is None
    assert none_found(keychain, repository) == (
        f"no credentials for r.example/app were found in {tmp_path}/config.json (absent) or /no/auth.json (absent); "
        "'docker login r.example' stores some"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", ":1:2: not JSON: Expecting property name"),
        ("[]", ": expected a JSON object"),
        ("[" * 100_000, ": not JSON in UTF-8"),
        ('{"auths": []}', ""),
        ('{"auths": ["x"]}', ": 'auths' is not an object"),
        ('{"auths": {"r.example": "x"}}', ": the entry 'r.example' of 'auths' is not an object"),
        ('{"auths": {"r.example": {"auth": "SECRET?"}}}', "'auth' of the entry 'r.example' is not base64 of USER:PASS"),
        (
            '{"auths": {"r.example": {"auth": "U0VDUkVU"}}}',
            "'auth' of the entry 'r.example' is not base64 of USER:PASS",
        ),
        ('{"credHelpers": "x"}', ": 'credHelpers' is not an object"),
    ],
)
def test_a_malformed_file_is_an_error_that_names_it(tmp_path: Path, text: str, problem: str) -> None:
    if not problem:
        assert _find(tmp_path, text, "r.example/app") is None
        return
    with pytest.raises(StoreError) as error:
        _find(tmp_path, text, "r.example/app")
    assert str(error.value).startswith(f"{tmp_path / 'config.json'}:")
    assert problem in str(error.value)
    assert "SECRET" not in str(error.value)
    assert "U0VDUkVU" not in str(error.value)


def test_a_file_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'{"auths": "\xff"}')

    with pytest.raises(StoreError, match=r"config\.json: not JSON in UTF-8"):
        DockerConfig({"DOCKER_CONFIG": str(tmp_path)}).find(Reference.parse("r.example/app").repository)


def test_a_malformed_entry_of_another_registry_does_no_harm(tmp_path: Path) -> None:
    document = {"auths": {"other.example": {"auth": "?"}, "r.example": _auth("user", "secret")}}

    assert _user(_find(tmp_path, document, "r.example/app")) == "user"


# Which entry


@pytest.mark.parametrize(
    ("reference", "user"),
    [
        ("r.example:5000/team/app", "app"),
        ("r.example:5000/team/app/sub", "app"),
        ("r.example:5000/team/other", "team"),
        ("r.example:5000/team2/app", "host"),
        ("r.example:5000/app", "host"),
        ("r.example/team/app", None),
        ("R.example:5000/app", "host"),
    ],
)
def test_the_most_specific_entry_is_taken(tmp_path: Path, reference: str, user: str | None) -> None:
    document = {
        "auths": {
            "r.example:5000": _auth("host", "secret"),
            "r.example:5000/team": _auth("team", "secret"),
            "r.example:5000/team/app": _auth("app", "secret"),
        }
    }
    assert _user(_find(tmp_path, document, reference)) == user


@pytest.mark.parametrize(
    "key",
    ["r.example", "https://r.example", "http://r.example/", "https://r.example/v1/", "r.example/v2/", "R.EXAMPLE"],
)
def test_every_form_that_docker_login_has_written_is_understood(tmp_path: Path, key: str) -> None:
    assert _user(_find(tmp_path, {"auths": {key: _auth("user", "secret")}}, "r.example/app")) == "user"


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io", "docker.io/library"]
)
@pytest.mark.parametrize("reference", ["nginx", "docker.io/library/nginx", "index.docker.io/library/nginx:1"])
def test_docker_hub_goes_by_several_names(tmp_path: Path, key: str, reference: str) -> None:
    assert _user(_find(tmp_path, {"auths": {key: _auth("user", "secret")}}, reference)) == "user"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (_auth("user", "pass:word"), Credentials("user", "pass:word")),
        (_auth("user", "säcret\0\0"), Credentials("user", "säcret")),
        ({"username": "user", "password": "word"}, Credentials("user", "word")),
        ({**_auth("user", "a"), "username": "other", "password": "b"}, Credentials("user", "a")),
        ({"identitytoken": "token"}, Credentials(identity_token="token")),
        ({**_auth("0000", ""), "identitytoken": "token"}, Credentials("0000", "", identity_token="token")),
        ({"registrytoken": "token"}, Credentials(registry_token="token")),
        ({"auth": "", "email": "x"}, None),
        ({}, None),
    ],
)
def test_every_kind_of_entry_is_understood(tmp_path: Path, entry: dict[str, str], expected: Credentials | None) -> None:
    found = _find(tmp_path, {"auths": {"r.example": entry}}, "r.example/app")

    fields = ("username", "password", "identity_token", "registry_token")
    assert [getattr(found, name, None) for name in fields] == [getattr(expected, name, None) for name in fields]
    assert found is None or found.source == str(tmp_path / "config.json")


def test_an_empty_entry_gives_way_to_a_less_specific_one(tmp_path: Path) -> None:
    document = {"auths": {"r.example/app": {}, "r.example": _auth("user", "secret")}}

    assert _user(_find(tmp_path, document, "r.example/app")) == "user"


def test_credentials_do_not_show_their_secrets() -> None:
    credentials = Credentials("user", "SECRET-1", "SECRET-2", "SECRET-3", "file")

    assert repr(credentials) == "Credentials(username='user', source='file')"
    assert credentials.secrets == ("SECRET-1", "SECRET-2", "SECRET-3", "dXNlcjpTRUNSRVQtMQ==")


# Helpers


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Write a credential helper in shell; the server it was asked for is in $server, and goes on record."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory), prepend=":")

    def write(name: str, script: str) -> Path:
        program, record = directory / f"docker-credential-{name}", tmp_path / f"{name}.log"
        program.write_text(f'#!/bin/sh\nserver=$(cat)\necho "$1 $server" >> {record}\n{script}\n')
        program.chmod(0o755)
        return record

    return write


GRANT = """echo "{\\"ServerURL\\":\\"$server\\",\\"Username\\":\\"helped\\",\\"Secret\\":\\"SECRET-1\\"}" """
NOTHING = "echo 'credentials not found in native keychain'; exit 1"

WriteHelper = Callable[[str, str], Path]


def test_a_store_is_asked_for_the_host(tmp_path: Path, helper: WriteHelper) -> None:
    record = helper("vault", GRANT)
    found = _find(tmp_path, {"credsStore": "vault", "auths": {"r.example:5000": {}}}, "r.example:5000/team/app")

    assert found == Credentials("helped", "SECRET-1", source="docker-credential-vault")
    assert record.read_text() == "get r.example:5000\n"


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "https://index.docker.io/v1/"])
def test_docker_hub_is_asked_for_by_its_old_url(tmp_path: Path, helper: WriteHelper, key: str) -> None:
    record = helper("hub", GRANT)

    assert _user(_find(tmp_path, {"credHelpers": {key: "hub"}}, "nginx")) == "helped"
    assert record.read_text() == "get https://index.docker.io/v1/\n"


def test_the_helper_of_a_host_goes_before_the_store_and_the_entries(tmp_path: Path, helper: WriteHelper) -> None:
    store, special = helper("vault", GRANT), helper("special", GRANT)
    document = {
        "credsStore": "vault",
        "credHelpers": {"r.example": "special"},
        "auths": {"r.example": _auth("user", "secret")},
    }
    assert _user(_find(tmp_path, document, "r.example/app")) == "helped"
    assert special.exists()
    assert not store.exists()


@pytest.mark.parametrize("script", [NOTHING, 'echo \'{"Username":"","Secret":""}\''])
def test_what_a_helper_does_not_have_may_be_in_the_file(tmp_path: Path, helper: WriteHelper, script: str) -> None:
    helper("vault", script)
    document = {"credsStore": "vault", "auths": {"r.example": _auth("user", "secret")}}

    assert _user(_find(tmp_path, document, "r.example/app")) == "user"
    assert _find(tmp_path, document, "other.example/app") is None


def test_a_helper_may_hold_an_identity_token(tmp_path: Path, helper: WriteHelper) -> None:
    helper("vault", """echo '{"Username":"<token>","Secret":"SECRET-1"}'""")
    found = _find(tmp_path, {"credsStore": "vault"}, "r.example/app")

    assert found == Credentials(identity_token="SECRET-1", source="docker-credential-vault")


def test_a_helper_is_run_once_for_a_host(tmp_path: Path, helper: WriteHelper) -> None:
    record = helper("vault", GRANT)
    _write(tmp_path / "config.json", {"credsStore": "vault"})
    keychain, start = DockerConfig({"DOCKER_CONFIG": str(tmp_path)}), threading.Barrier(6)

    def work(number: int) -> str | None:
        start.wait()
        return _user(keychain.find(Reference.parse(f"r.example/app{number}").repository))

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(work, range(6))) == {"helped"}
    assert record.read_text() == "get r.example\n"


def test_a_helper_is_run_again_for_what_was_refused(tmp_path: Path, helper: WriteHelper) -> None:
    answer = 'echo \'{"Username":"helped","Secret":"SECRET-\'$(wc -l < %s)\'"}\''
    record = helper("vault", answer % (tmp_path / "vault.log"))
    _write(tmp_path / "config.json", {"credsStore": "vault"})
    keychain = DockerConfig({"DOCKER_CONFIG": str(tmp_path)})
    repository, other = (Reference.parse(f"r.example/{name}").repository for name in ("app", "other"))

    first = keychain.find(repository)
    second = keychain.find(repository, refused=first)
    assert first != second
    assert keychain.find(repository) == second
    assert keychain.find(other, refused=first) == second, "another repository has had it refused, too"
    assert record.read_text() == "get r.example\n" * 2


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo 'the vault is locked'; exit 1", "' failed: the vault is locked"),
        ("""echo '{"Username":"u","Secret":"SECRET-1"}'; exit 1""", "' failed with status 1"),
        ("echo nonsense", "did not answer with credentials"),
        ("echo '[]'", "did not answer with credentials"),
        ('echo \'{"Username":"u"}\'', "did not answer with credentials"),
    ],
)
def test_a_helper_that_fails_is_named(tmp_path: Path, helper: WriteHelper, script: str, problem: str) -> None:
    helper("vault", script)

    with pytest.raises(StoreError) as error:
        _find(tmp_path, {"credsStore": "vault"}, "r.example/app")
    assert str(error.value).startswith("credentials for r.example: the helper 'docker-credential-vault'")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
    assert "SECRET" not in str(error.value)


def test_a_helper_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        _find(tmp_path, {"credHelpers": {"r.example": "absent"}}, "r.example/app")
    assert str(error.value) == (
        "credentials for r.example: the helper 'docker-credential-absent', which Docker's configuration names, "
        "is not in PATH"
    )


def test_a_helper_that_hangs_is_told_and_given_up(
    tmp_path: Path, helper: WriteHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper("vault", "exec sleep 60")
    monkeypatch.setenv(LIMIT_VARIABLE, "0.5")
    monkeypatch.setattr(helper_program, "_SILENCE", 0.1)
    told: list[Event] = []
    with pytest.raises(StoreError) as error, emitting(told.append):
        _find(tmp_path, {"credsStore": "vault"}, "r.example/app")
    assert told == [HelperAwaited("docker-credential-vault", "r.example", 0.5)]
    assert str(error.value) == (
        "credentials for r.example: the helper 'docker-credential-vault' did not answer within 0.5 s and was ended: "
        "run 'docker-credential-vault get' by hand to see what it waits for, or set "
        "BUNDLEPIPE_CREDENTIAL_HELPER_TIMEOUT to more seconds"
    )


def test_a_helper_that_is_waited_for_may_answer(
    tmp_path: Path, helper: WriteHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper("vault", f"sleep 0.5; {GRANT}")
    monkeypatch.setattr(helper_program, "_SILENCE", 0.1)
    told: list[Event] = []
    with emitting(told.append):
        assert _user(_find(tmp_path, {"credsStore": "vault"}, "r.example/app")) == "helped"
    assert told == [HelperAwaited("docker-credential-vault", "r.example", 30)]


def test_a_helper_is_given_up_with_the_work_that_needs_it(
    tmp_path: Path, helper: WriteHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper("vault", "exec sleep 60")
    monkeypatch.setattr(helper_program, "_SILENCE", 0.1)
    cancellation = Cancellation()

    def find() -> None:
        with emitting(lambda event: cancellation.set()):
            _find(tmp_path, {"credsStore": "vault"}, "r.example/app")

    with pytest.raises(Cancelled):
        cancellable(cancellation, find)


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf", "soon"])
def test_a_limit_that_is_none_is_told(
    tmp_path: Path, helper: WriteHelper, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    helper("vault", GRANT)
    monkeypatch.setenv(LIMIT_VARIABLE, limit)
    with pytest.raises(StoreError, match=f"{LIMIT_VARIABLE}: '{limit}' is not a limit: expected a number of seconds"):
        _find(tmp_path, {"credsStore": "vault"}, "r.example/app")


def test_docker_py_is_not_imported_without_a_helper(tmp_path: Path) -> None:
    _write(tmp_path / "config.json", {"auths": {"r.example": _auth("user", "secret")}})
    program = (
        "import sys\n"
        "from bundlepipe.oci.reference import Repository\n"
        "from bundlepipe.stores.keychains.docker_config import DockerConfig\n"
        f"found = DockerConfig({{'DOCKER_CONFIG': {str(tmp_path)!r}}}).find(Repository('r.example', 'app'))\n"
        "assert found.username == 'user'\n"
        "assert not {'docker', 'requests'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
