"""Which places are searched, in which order, for each tool; and registries that take what is found there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundlepipe.errors import AccessDenied, StoreError
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.chain import Tool, find_keychain
from bundlepipe.stores.keychains.flags import RegistryFlags
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.registry.store import RegistryStore
from tests.stores.keychains.conftest import Hide
from tests.support.certificates import make_server_certificate
from tests.support.clients import push_image
from tests.support.clouds import AWS_KEY, AWS_SECRET, Ecr, GoogleTokens
from tests.support.images import basic
from tests.support.proxy import Proxy
from tests.support.registries import ALICE, IDENTITY_TOKEN, ROBOT, Account, PasswordRegistry, TokenRegistry
from tests.support.secrets import register
from tests.support.services import require

REPOSITORY = Repository("ghcr.io", "team/app")
FLAGS = "the flags --registry-username and --registry-password"
PLACES = ["BUNDLEPIPE", "IMGPKG", "KBLD", "keychain", "flags", "docker"]
ORDERS: dict[Tool, list[str]] = {
    "bundlepipe": PLACES,
    "imgpkg": ["IMGPKG", "keychain", "flags"],
    "kbld": ["KBLD", "docker"],
}


class Places:
    """Puts an account of a registry into places: the user name is that of the place."""

    def __init__(self, directory: Path) -> None:
        self.environ = {"DOCKER_CONFIG": str(directory)}
        self.flags: RegistryFlags | None = None
        self._config = directory / "config.json"

    def put(self, place: str, username: str, password: str, host: str = REPOSITORY.registry) -> None:
        match place:
            case "keychain":
                self.environ["IMGPKG_ACTIVE_KEYCHAINS"] = "github"
                self.environ.update(GITHUB_ACTOR=username, GITHUB_TOKEN=password)
            case "flags":
                self.flags = RegistryFlags(username, password, source=FLAGS)
            case "docker":
                auth = basic(username, password)
                self._config.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
            case prefix:
                given = {"HOSTNAME": host, "USERNAME": username, "PASSWORD": password}
                self.environ.update({f"{prefix}_REGISTRY_{kind}": value for kind, value in given.items()})

    def user(self, tool: Tool) -> str | None:
        found = find_keychain(self.environ, tool, self.flags).find(REPOSITORY)
        return found.username if found else None

    def store(self, repository: Repository, tool: Tool = "bundlepipe") -> RegistryStore:
        store = Stores(keychain=find_keychain(self.environ, tool, self.flags)).repository(repository, writes=True)
        assert isinstance(store, RegistryStore)
        return store


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.mark.parametrize("tool", ORDERS)
def test_places_are_searched_in_the_order_of_the_tool(places: Places, tool: Tool) -> None:
    for place in reversed(ORDERS[tool]):
        places.put(place, place, "password")
        if tool == "bundlepipe" or place != "docker":
            assert places.user(tool) == place


@pytest.mark.parametrize("tool", ORDERS)
@pytest.mark.parametrize("place", PLACES)
def test_a_tool_does_not_search_places_of_others(places: Places, tool: Tool, place: str) -> None:
    places.put(place, place, "password")
    searched = place in ORDERS[tool] or place == "docker"

    assert places.user(tool) == (place if searched else None)


def test_dockers_configuration_is_the_last_place_for_imgpkg(places: Places) -> None:
    places.put("docker", "docker", "password")
    assert places.user("imgpkg") == "docker"
    places.flags = RegistryFlags(anon=True, source="the flag --registry-anon")
    assert places.user("imgpkg") is None, "flags leave no room for it"
    places.put("keychain", "keychain", "password")
    assert places.user("imgpkg") == "keychain"


# At real registries


@pytest.mark.parametrize("place", [place for place in PLACES if place != "keychain"])
def test_each_place_opens_a_registry(places: Places, place: str, authenticated_registry: PasswordRegistry) -> None:
    places.put(place, ALICE.username, ALICE.password, authenticated_registry.host)
    store = places.store(authenticated_registry.repository())

    pushed = push_image(store)
    assert store.resolve("v1") == pushed.digest


def test_tokens_open_a_registry_that_wants_them(
    places: Places, token_registry: TokenRegistry, make_proxy: Callable[..., Proxy]
) -> None:
    proxy = make_proxy(token_registry.host)
    repository = Repository(proxy.host, token_registry.repository().path)
    places.environ.update(
        IMGPKG_REGISTRY_HOSTNAME_0=proxy.host,
        IMGPKG_REGISTRY_IDENTITY_TOKEN_0=IDENTITY_TOKEN,
    )
    pushed = push_image(places.store(repository, "imgpkg"))
    token = proxy.requests[-1].headers["Authorization"].removeprefix("Bearer ")
    del places.environ["IMGPKG_REGISTRY_IDENTITY_TOKEN_0"]
    places.environ["IMGPKG_REGISTRY_REGISTRY_TOKEN_0"] = token
    assert places.store(repository, "imgpkg").read_manifest("v1") == pushed
    by_flag = Places(Path(places.environ["DOCKER_CONFIG"]))
    by_flag.flags = RegistryFlags(token=token, source="the flag --registry-token")
    assert by_flag.store(repository, "imgpkg").read_manifest("v1") == pushed
    by_flag.flags = RegistryFlags(token="stale-registry-token", source="the flag --registry-token")
    with pytest.raises(AccessDenied, match="the credentials of the flag --registry-token do not allow to pull"):
        by_flag.store(repository, "imgpkg").read_manifest("v1")


@pytest.mark.parametrize(
    ("place", "following", "source"),
    [
        ("BUNDLEPIPE", "IMGPKG", "the environment (BUNDLEPIPE_REGISTRY_HOSTNAME)"),
        ("IMGPKG", "KBLD", "the environment (IMGPKG_REGISTRY_HOSTNAME)"),
        ("KBLD", "flags", "the environment (KBLD_REGISTRY_HOSTNAME)"),
        ("flags", "docker", FLAGS),
        ("docker", None, "{docker}"),
    ],
)
def test_a_place_with_wrong_credentials_does_not_give_way_to_the_next(
    places: Places, place: str, following: str | None, source: str, authenticated_registry: PasswordRegistry
) -> None:
    host = authenticated_registry.host
    places.put(place, ALICE.username, "wrong-password", host)
    if following:
        places.put(following, ALICE.username, ALICE.password, host)
    source = source.replace("{docker}", f"{places.environ['DOCKER_CONFIG']}/config.json")

    with pytest.raises(AccessDenied) as error:
        places.store(authenticated_registry.repository()).read_manifest("v1")
    assert str(error.value).endswith(f": incorrect username or password: user 'alice' of {source}")
    if following:
        places.put(place, ALICE.username, ALICE.password, host)
        places.put(following, ALICE.username, "wrong-password", host)
        push_image(places.store(authenticated_registry.repository()))


ECR_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@dataclass(frozen=True)
class Clouds:
    """The registry that is all clouds' registry, and the service that gives out Amazon's passwords."""

    registry: PasswordRegistry
    ecr: Ecr


@pytest.fixture
def clouds(tmp_path: Path, make_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch) -> Iterator[Clouds]:
    """A registry by TLS, behind a proxy that leads every host there; services of clouds give out its passwords."""
    require("registry")
    hosts = (ECR_HOST, "europe-docker.pkg.dev", "ghcr.io")
    certificate = make_server_certificate(tmp_path, hosts)
    with ExitStack() as stack:
        ecr, google = stack.enter_context(closing(Ecr())), stack.enter_context(closing(GoogleTokens()))
        registry = PasswordRegistry(tmp_path, tls=certificate)
        stack.callback(registry.stop)
        account = google.write_account(tmp_path / "account.json")
        for name, value in {
            "HTTPS_PROXY": f"http://{make_proxy(registry.host).host}",
            "SSL_CERT_FILE": str(certificate.authority),
            "AWS_ENDPOINT_URL_ECR": ecr.url,
            "AWS_ACCESS_KEY_ID": AWS_KEY,
            "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
            "GOOGLE_APPLICATION_CREDENTIALS": str(account),
            "GITHUB_ACTOR": ALICE.username,
            "GITHUB_TOKEN": ALICE.password,
        }.items():
            monkeypatch.setenv(name, value)
        yield Clouds(registry, ecr)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("ecr", ECR_HOST),
        ("gke", "europe-docker.pkg.dev"),
        ("github", "ghcr.io"),
    ],
)
@pytest.mark.parametrize("variable", ["IMGPKG_ACTIVE_KEYCHAINS", "BUNDLEPIPE_ACTIVE_KEYCHAINS"])
def test_a_clouds_keychain_opens_its_registry(
    clouds: Clouds, monkeypatch: pytest.MonkeyPatch, name: str, host: str, variable: str
) -> None:
    repository = Repository(host, "team/app")
    with pytest.raises(AccessDenied, match=f"no credentials for {repository} were found in the environment, /"):
        Stores().repository(repository).read_manifest("v1")
    monkeypatch.setenv(variable, name)
    store = Stores().repository(repository, writes=True)
    assert isinstance(store, RegistryStore)
    pushed = push_image(store)

    assert store.resolve("v1") == pushed.digest


def test_a_clouds_password_that_expires_midway_is_fetched_anew(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGPKG_ACTIVE_KEYCHAINS", "ecr")
    store = Stores().repository(Repository(ECR_HOST, "team/app"), writes=True)
    assert isinstance(store, RegistryStore)
    pushed = push_image(store)
    clouds.ecr.account = Account(ROBOT.username, register("ecr.1mWc7NdUx5qKjB9vT"))
    clouds.registry.know(clouds.ecr.account)

    assert store.read_manifest("v1") == pushed
    assert len(clouds.ecr.questions) == 2
    clouds.registry.know(ALICE)
    with pytest.raises(AccessDenied, match="incorrect username or password: user 'AWS' of keychain ecr"):
        store.read_manifest("v1")


# Which keychains of clouds are active


@pytest.mark.parametrize(
    ("environ", "active"),
    [
        ({"IMGPKG_ACTIVE_KEYCHAINS": "github"}, True),
        ({"IMGPKG_ACTIVE_KEYCHAINS": " aks, github ,,"}, True),
        ({"IMGPKG_ACTIVE_KEYCHAINS": "aks,ecr,gke"}, False),
        ({"IMGPKG_ACTIVE_KEYCHAINS": ""}, False),
        ({"IMGPKG_ENABLE_IAAS_AUTH": "true"}, True),
        ({"IMGPKG_ENABLE_IAAS_AUTH": "TRUE", "IMGPKG_ACTIVE_KEYCHAINS": "ecr"}, True),
        ({"IMGPKG_ENABLE_IAAS_AUTH": "False"}, False),
        ({"IMGPKG_ENABLE_IAAS_AUTH": "0", "IMGPKG_ACTIVE_KEYCHAINS": "github"}, True),
        ({"IMGPKG_ENABLE_IAAS_AUTH": ""}, False),
        ({}, False),
    ],
)
def test_a_clouds_keychain_is_active_only_if_named(places: Places, environ: dict[str, str], active: bool) -> None:
    places.environ.update(environ, GITHUB_TOKEN="ghs_1")

    for tool in ORDERS:
        assert places.user(tool) == ("unset" if active and tool != "kbld" else None)


@pytest.mark.parametrize("text", ["T", "1"])
def test_imgpkg_takes_no_word_for_true_but_that(places: Places, text: str) -> None:
    places.environ.update(IMGPKG_ENABLE_IAAS_AUTH=text, GITHUB_TOKEN="ghs_1")

    assert places.user("bundlepipe") == "unset"
    assert places.user("imgpkg") is None


def test_our_own_variable_is_no_variable_of_imgpkg(places: Places) -> None:
    places.environ.update(BUNDLEPIPE_ACTIVE_KEYCHAINS="github", GITHUB_TOKEN="ghs_1")

    assert places.user("bundlepipe") == "unset"
    assert places.user("imgpkg") is None


@pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])
def test_a_keychain_that_there_is_not_is_an_error_at_once(tool: Tool) -> None:
    with pytest.raises(StoreError) as error:
        find_keychain({"IMGPKG_ACTIVE_KEYCHAINS": "github,gcr"}, tool)
    assert str(error.value) == "Unable to load keychain for gcr, available keychains [aks, ecr, gke, github]"


def test_a_switch_that_is_neither_true_nor_false_is_an_error_at_once() -> None:
    with pytest.raises(StoreError, match="IMGPKG_ENABLE_IAAS_AUTH in the environment is neither true nor false"):
        find_keychain({"IMGPKG_ENABLE_IAAS_AUTH": "yes"}, "bundlepipe")


# What is said


def test_an_unknown_variable_is_an_error_before_anything_is_asked(
    make_proxy: Callable[..., Proxy], authenticated_registry: PasswordRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = make_proxy(authenticated_registry.host)
    monkeypatch.setenv("IMGPKG_REGISTRY_HOST", proxy.host)

    with pytest.raises(StoreError, match="unknown variable IMGPKG_REGISTRY_HOST in the environment"):
        Stores().repository(Repository(proxy.host, "app"))
    assert proxy.count() == 0
    assert proxy.tls_attempts == 0


def test_half_of_the_flags_are_an_error_at_once() -> None:
    with pytest.raises(StoreError, match="the flags: there is a user name, but no password"):
        find_keychain({}, "imgpkg", RegistryFlags("user"))


@pytest.mark.parametrize("tool", ORDERS)
def test_without_credentials_the_places_are_told_where_they_were_looked_for(places: Places, tool: Tool) -> None:
    keychain = find_keychain(places.environ, tool)
    assert keychain.find(REPOSITORY) is None

    config = f"{places.environ['DOCKER_CONFIG']}/config.json (absent)"
    assert keychain.searched(REPOSITORY) == f"the environment, {config}; 'docker login ghcr.io' stores some"


def test_a_keychain_of_the_registrys_cloud_says_why_it_has_nothing(places: Places, uninstall: Hide) -> None:
    uninstall("google.auth")
    places.environ["IMGPKG_ACTIVE_KEYCHAINS"] = "gke,github"
    keychain = find_keychain(places.environ, "imgpkg", RegistryFlags(anon=True, source="the flag --registry-anon"))
    repository = Repository("gcr.io", "app")
    keychain.find(repository)

    assert keychain.searched(repository) == (
        "the environment, keychain gke (google-auth is not installed: pip install 'bundlepipe[gke]'), "
        "and no others are looked for because of the flag --registry-anon"
    )


def test_libraries_of_clouds_are_imported_when_they_are_needed() -> None:
    program = (
        "import sys\n"
        "from bundlepipe.oci.reference import Repository\n"
        "from bundlepipe.stores.keychains.chain import find_keychain\n"
        "environ = {'IMGPKG_ACTIVE_KEYCHAINS': 'aks,ecr,gke,github', 'DOCKER_CONFIG': '/absent'}\n"
        "keychain = find_keychain(environ, 'bundlepipe')\n"
        "assert keychain.find(Repository('r.example', 'app')) is None\n"
        "assert keychain.find(Repository('ghcr.io', 'app')) is None\n"
        "assert not {'azure', 'botocore', 'docker', 'google', 'requests', 'urllib3'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
