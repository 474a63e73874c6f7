"""Credentials in the environment: which variables there are, which registries they are for, which one wins."""

from __future__ import annotations

import pytest

from bundlepipe.errors import StoreError
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.keychains.environment import BUNDLEPIPE, IMGPKG, KBLD, EnvironmentKeychain, Rules

PASSWORD = "SECRET-1"


def _environ(rules: Rules, *sets: tuple[str, dict[str, str]]) -> dict[str, str]:
    return {rules.name(kind, ending): value for ending, given in sets for kind, value in given.items()}


def _account(host: str, username: str = "user") -> dict[str, str]:
    return {"HOSTNAME": host, "USERNAME": username, "PASSWORD": PASSWORD}


def _find(environ: dict[str, str], reference: str, rules: Rules = IMGPKG) -> Credentials | None:
    return EnvironmentKeychain(environ, rules).find(Reference.parse(reference).repository)


def _matches(host: str, reference: str, rules: Rules = IMGPKG) -> bool:
    return _find(_environ(rules, ("", _account(host))), reference, rules) is not None


@pytest.mark.parametrize("rules", [IMGPKG, BUNDLEPIPE])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"USERNAME": "user", "PASSWORD": "word"}, Credentials("user", "word")),
        ({"IDENTITY_TOKEN": "token"}, Credentials(identity_token="token")),
        ({"REGISTRY_TOKEN": "token"}, Credentials(registry_token="token")),
        ({"USERNAME": "user", "IDENTITY_TOKEN": "token"}, Credentials("user", identity_token="token")),
        ({"USERNAME": "user", "PASSWORD": "word", "REGISTRY_TOKEN": ""}, Credentials("user", "word")),
    ],
)
@pytest.mark.parametrize("ending", ["", "_0", "_MY_HOST", "_"])
def test_every_kind_of_credentials_is_found(
    rules: Rules, given: dict[str, str], expected: Credentials, ending: str
) -> None:
    found = _find(_environ(rules, (ending, {"HOSTNAME": "r.example", **given})), "r.example/app", rules)

    fields = ("username", "password", "identity_token", "registry_token")
    assert [getattr(found, name) for name in fields] == [getattr(expected, name) for name in fields]
    assert found is not None and found.source == f"the environment ({rules.prefix}HOSTNAME{ending})"


def test_nothing_is_found_without_variables() -> None:
    environ = {"PATH": "/bin", "IMGPKG_USERNAME": "user", "IMGPKG_REGISTRY_HOSTNAME": "", "KBLD_REGISTRY_X": "x"}

    assert _find(environ, "r.example/app") is None


@pytest.mark.parametrize(
    ("host", "reference", "matches"),
    [
        ("r.example", "r.example/app", True),
        ("r.example", "r.example/team/app", True),
        ("R.Example", "r.EXAMPLE/app", True),
        ("https://r.example", "r.example/app", True),
        ("http://r.example/", "r.example/app", True),
        ("https://r.example/v2/", "r.example/app", True),
        ("r.example/v1", "r.example/app", True),
        ("r.example/v2/team", "r.example/team/app", True),
        ("r.example/v2/team", "r.example/other/app", False),
        ("r.example", "other.example/app", False),
        ("r.example", "sub.r.example/app", False),
        # Paths, a part at a time
        ("r.example/team", "r.example/team", True),
        ("r.example/team/", "r.example/team/app", True),
        ("r.example/team", "r.example/team2/app", False),
        ("r.example/team/app", "r.example/team", False),
        # Ports
        ("r.example:5000", "r.example:5000/app", True),
        ("r.example:5000", "r.example/app", False),
        ("r.example", "r.example:5000/app", False),
        ("*.example:5000", "r.example:5000/app", True),
        ("*.example", "r.example:5000/app", False),
        ("[::1]:5000/app", "[::1]:5000/app", True),
        # Globs, a label at a time
        ("*.example", "r.example/app", True),
        ("*.example", "a.b.example/app", False),
        ("*.example", "example.com/app", False),
        ("reg*.example", "registry.example/app", True),
        ("*.dkr.ecr.*.amazonaws.com", "1234.dkr.ecr.eu-west-1.amazonaws.com/app", True),
        ("*.dkr.ecr.*.amazonaws.com/team", "1234.dkr.ecr.eu-west-1.amazonaws.com/app", False),
        ("*", "localhost/app", True),
        ("*", "r.example/app", False),
        # Docker Hub's names
        ("docker.io", "nginx", True),
        ("index.docker.io", "nginx", True),
        ("https://index.docker.io/v1/", "nginx", True),
        ("registry-1.docker.io", "docker.io/library/nginx", True),
        ("docker.io/library", "nginx", True),
        ("docker.io/team", "nginx", False),
        ("*.docker.io", "nginx", True),
        ("*.io", "nginx", False),
    ],
)
def test_a_host_name_is_for_these_repositories(host: str, reference: str, matches: bool) -> None:
    assert _matches(host, reference) == matches


@pytest.mark.parametrize(
    "hosts",
    [
        ["*.example", "r.example"],
        ["*.example/team/app", "r.example"],
        ["r.example", "r.example/team"],
        ["r.example/team", "r.example/v2/team/app"],
        ["*.example", "r*.example"],
        ["*.example", "*.example/team"],
        ["*.*", "*.example"],
    ],
)
def test_the_most_specific_host_name_wins(hosts: list[str]) -> None:
    for order in (hosts, hosts[::-1]):
        sets = [(f"_{number}", _account(host, username=host)) for number, host in enumerate(order)]
        found = _find(_environ(IMGPKG, *sets), "r.example/team/app/part")
        assert found is not None
        assert found.username == hosts[-1]


def test_what_kbld_takes_is_an_exact_host() -> None:
    assert _matches("r.example:5000", "r.example:5000/app", KBLD)
    assert _matches("index.docker.io", "nginx", KBLD)
    for host in ("*.example:5000", "r.example", "r.example:5000/app", "r.example:5000/v2/"):
        assert not _matches(host, "r.example:5000/app", KBLD)
    with pytest.raises(StoreError) as error:
        _matches("https://r.example", "r.example/app", KBLD)
    assert str(error.value) == "KBLD_REGISTRY_HOSTNAME in the environment has a scheme: expected HOST or HOST:PORT"


@pytest.mark.parametrize(
    ("name", "rules", "known"),
    [
        ("IMGPKG_REGISTRY_USER", IMGPKG, "IMGPKG_REGISTRY_AZURE_CR_CONFIG, and those for further registries"),
        ("IMGPKG_REGISTRY_USERNAME2", IMGPKG, "such as IMGPKG_REGISTRY_HOSTNAME_0"),
        ("IMGPKG_REGISTRY_AZURE_CR_CONFIG_0", IMGPKG, "IMGPKG_REGISTRY_HOSTNAME, IMGPKG_REGISTRY_USERNAME, "),
        ("BUNDLEPIPE_REGISTRY_TOKEN", BUNDLEPIPE, "BUNDLEPIPE_REGISTRY_REGISTRY_TOKEN"),
        (
            "KBLD_REGISTRY_IDENTITY_TOKEN",
            KBLD,
            "known are KBLD_REGISTRY_HOSTNAME, KBLD_REGISTRY_USERNAME, KBLD_REGISTRY_PASSWORD, and those for",
        ),
        ("KBLD_REGISTRY_AZURE_CR_CONFIG", KBLD, "known are"),
    ],
)
def test_an_unknown_variable_is_an_error(name: str, rules: Rules, known: str) -> None:
    with pytest.raises(StoreError) as error:
        EnvironmentKeychain({name: PASSWORD}, rules)
    assert str(error.value).startswith(f"unknown variable {name} in the environment: known are {rules.prefix}HOSTNAME")
    assert known in str(error.value)
    assert PASSWORD not in str(error.value)


@pytest.mark.parametrize("rules", [IMGPKG, BUNDLEPIPE])
def test_the_file_for_azure_is_not_for_this_place(rules: Rules) -> None:
    EnvironmentKeychain({rules.name("AZURE_CR_CONFIG"): "/azure.json"}, rules)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"USERNAME": "user", "PASSWORD": PASSWORD},
            (
                "IMGPKG_REGISTRY_PASSWORD_1 and IMGPKG_REGISTRY_USERNAME_1 in the environment: "
                "IMGPKG_REGISTRY_HOSTNAME_1 has to say for which registry"
            ),
        ),
        (
            {"HOSTNAME": "r.example", "PASSWORD": ""},
            (
                "IMGPKG_REGISTRY_HOSTNAME_1 in the environment has no credentials: set IMGPKG_REGISTRY_USERNAME_1 and "
                "IMGPKG_REGISTRY_PASSWORD_1, or IMGPKG_REGISTRY_IDENTITY_TOKEN_1, or IMGPKG_REGISTRY_REGISTRY_TOKEN_1"
            ),
        ),
        (
            {"HOSTNAME": "r.example", "USERNAME": "user"},
            "IMGPKG_REGISTRY_USERNAME_1 in the environment needs IMGPKG_REGISTRY_PASSWORD_1",
        ),
        (
            {"HOSTNAME": "r.example", "PASSWORD": PASSWORD},
            "IMGPKG_REGISTRY_PASSWORD_1 in the environment needs IMGPKG_REGISTRY_USERNAME_1",
        ),
        (
            _account(f"https://user:{PASSWORD}@r.example"),
            "IMGPKG_REGISTRY_HOSTNAME_1 in the environment names no registry: expected HOST[:PORT][/PATH]",
        ),
        (
            _account("https:///team"),
            "IMGPKG_REGISTRY_HOSTNAME_1 in the environment names no registry: expected HOST[:PORT][/PATH]",
        ),
    ],
)
def test_a_set_that_is_not_complete_is_an_error(given: dict[str, str], message: str) -> None:
    with pytest.raises(StoreError) as error:
        EnvironmentKeychain(_environ(IMGPKG, ("_0", _account("r.example")), ("_1", given)), IMGPKG)
    assert str(error.value) == message


def test_no_secret_is_in_a_repr() -> None:
    keychain = EnvironmentKeychain(_environ(IMGPKG, ("", _account("r.example"))), IMGPKG)

    assert PASSWORD not in repr(keychain) + repr(vars(keychain))
