"""Registries that want to know who asks: Basic and Bearer, against real ones and a real token service."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bundlepipe.errors import AccessDenied, NotFound, StoreError
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.registry.auth.token_protocol import is_less_secure
from bundlepipe.stores.registry.store import RegistryStore
from tests.conftest import WriteDockerConfig
from tests.support.clients import Client, Content, layer_of, push_image
from tests.support.images import basic
from tests.support.keychains import Keys, Turns, alice, nobody
from tests.support.proxy import Cut, Header, Proxy, RequestHeader, Respond
from tests.support.registries import ALICE, IDENTITY_TOKEN, ROBOT, PasswordRegistry, TokenRegistry
from tests.support.stand_ins import StandIns

MakeProxy = Callable[..., Proxy]

_AUTH = basic(ALICE.username, ALICE.password)
# What a helper answers.
_ANSWER = '{"Username":"%s","Secret":"%s"}'


# Basic


def test_basic_costs_one_401_a_registry(authenticated_registry: PasswordRegistry, make_proxy: MakeProxy) -> None:
    proxy, keys = make_proxy(authenticated_registry.host), alice()
    client = Client(keychain=keys)
    for _ in range(3):
        store = client.store(authenticated_registry.repository(), through=proxy.host)
        push_image(store)
        assert store.has_manifest(store.resolve("v1"))

    assert [seen.status for seen in proxy.requests].count(401) == 1
    assert proxy.tls_attempts == 1
    assert keys.asked == 3, "once a repository"


def test_basic_costs_one_401_for_many_threads(authenticated_registry: PasswordRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(authenticated_registry.host)
    client, start = Client(keychain=alice()), threading.Barrier(8)
    repository = authenticated_registry.repository()

    def work(_: int) -> bool:
        store = client.store(repository, through=proxy.host)
        start.wait()
        return store.has_blob(layer_of(1).descriptor)

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(work, range(8)))
    assert proxy.count() == 9
    assert proxy.tls_attempts == 1


def test_dockers_configuration_is_the_default(
    authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig
) -> None:
    docker_config({"auths": {authenticated_registry.host: {"auth": _AUTH}}})
    store = Client().store(authenticated_registry.repository())

    pushed = push_image(store)

    assert store.resolve("v1") == pushed.digest


@pytest.mark.parametrize("entry", [{"auth": _AUTH}, {"username": ALICE.username, "password": ALICE.password}])
def test_entries_with_a_password_open_registries_of_either_kind(
    authenticated_registry: PasswordRegistry,
    token_registry: TokenRegistry,
    docker_config: WriteDockerConfig,
    entry: dict[str, str],
) -> None:
    for registry in (authenticated_registry, token_registry):
        repository = registry.repository()
        docker_config({"auths": {registry.host: _wrong_entry(), f"{registry.host}/{repository.path}": entry}})
        push_image(Client().store(repository))


def test_entries_with_a_token_open_a_registry_that_wants_one(
    token_registry: TokenRegistry, docker_config: WriteDockerConfig, make_proxy: MakeProxy
) -> None:
    proxy, repository = make_proxy(token_registry.host), token_registry.repository()
    docker_config({"auths": {proxy.host: {"identitytoken": IDENTITY_TOKEN}}})
    pushed = push_image(Client().store(repository, through=proxy.host))
    token = proxy.requests[-1].headers["Authorization"].removeprefix("Bearer ")
    docker_config({"auths": {proxy.host: {"registrytoken": token}}})

    assert Client().store(repository, through=proxy.host).read_manifest("v1") == pushed
    assert [request.method for request in token_registry.tokens.requests] == ["POST"]


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
@pytest.mark.parametrize("account", [(ALICE.username, ALICE.password), ("<token>", IDENTITY_TOKEN)])
def test_a_helper_opens_a_registry(
    token_registry: TokenRegistry,
    docker_config: WriteDockerConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    account: tuple[str, str],
) -> None:
    StandIns(tmp_path / "bin", monkeypatch).add("docker-credential-vault", f"echo '{_ANSWER % account}'")
    docker_config({key: {token_registry.host: "vault"} if key == "credHelpers" else "vault"})

    push_image(Client().store(token_registry.repository()))


def _wrong_entry() -> dict[str, str]:
    return {"username": ALICE.username, "password": "wrong-password"}


def test_a_wrong_password_is_said_to_be_one(authenticated_registry: PasswordRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(authenticated_registry.host)
    store = Client(keychain=alice("wrong-password")).store(authenticated_registry.repository(), through=proxy.host)

    with pytest.raises(AccessDenied) as error:
        store.read_manifest("v1")
    assert str(error.value) == (
        f"GET http://{proxy.host}/v2/{store.repository.path}/manifests/v1: UNAUTHORIZED: authentication required: "
        "incorrect username or password: user 'alice' of the keychain of the tests"
    )
    assert proxy.count() == 2
    with pytest.raises(AccessDenied, match="incorrect username or password"):
        store.resolve("v1")
    assert proxy.count() == 3, "it is not shown twice"


def test_without_credentials_the_error_says_where_they_were_looked_for(
    authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig
) -> None:
    path = docker_config({"auths": {}})
    repository = authenticated_registry.repository()

    with pytest.raises(AccessDenied) as error:
        Client().store(repository).read_manifest("v1")
    assert str(error.value).endswith(
        f": UNAUTHORIZED: authentication required: no credentials for {repository} were found in {path}; "
        f"'docker login {repository.registry}' stores some"
    )


def test_a_token_is_no_password(authenticated_registry: PasswordRegistry) -> None:
    keys = Keys(Credentials(identity_token="some-token", source="SOURCE"))

    with pytest.raises(AccessDenied, match="SOURCE holds a token, but the registry wants user name and password"):
        Client(keychain=keys).store(authenticated_registry.repository()).resolve("v1")


# Bearer


def _scopes(registry: TokenRegistry) -> list[tuple[str, ...]]:
    return [request.scopes for request in registry.tokens.requests]


def test_a_push_takes_one_token(token_registry: TokenRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(token_registry.host)
    client = Client(keychain=alice())
    first, second = (client.store(token_registry.repository(), through=proxy.host) for _ in range(2))
    push_image(first)
    push_image(second)
    assert first.resolve("v1") == second.resolve("v1")

    assert _scopes(token_registry) == [(f"repository:{store.repository.path}:pull,push",) for store in (first, second)]
    assert [seen.status for seen in proxy.requests].count(401) == 1


def test_reading_asks_to_pull_only(token_registry: TokenRegistry) -> None:
    repository = token_registry.repository()
    pushed = push_image(Client(keychain=alice()).store(repository))
    store = Client(keychain=alice()).store(repository, writes=False)

    assert store.read_manifest("v1") == pushed
    assert list(store.list_tags()) == ["v1"]
    assert _scopes(token_registry)[1:] == [(f"repository:{repository.path}:pull",)]


def test_a_store_that_was_not_to_be_written_may_be(token_registry: TokenRegistry) -> None:
    store = Client(keychain=alice()).store(token_registry.repository(), writes=False)
    assert not store.has_blob(layer_of(1).descriptor)
    pushed = push_image(store)

    assert store.read_manifest("v1") == pushed
    scopes = [f"repository:{store.repository.path}:{actions}" for actions in ("pull", "pull,push")]
    assert _scopes(token_registry) == [(scope,) for scope in scopes]


def test_the_anonymous_may_pull_what_is_public(token_registry: TokenRegistry) -> None:
    public, private = token_registry.repository("public"), token_registry.repository("private")
    pushed = push_image(Client(keychain=alice()).store(public))
    push_image(Client(keychain=alice()).store(private))
    client = Client(keychain=nobody())

    assert client.store(public).read_manifest("v1") == pushed
    with pytest.raises(AccessDenied, match=f"no credentials for {private} were found in the keychain of the tests"):
        client.store(private).read_manifest("v1")


def test_a_wrong_password_at_the_token_service_is_said_to_be_one(
    token_registry: TokenRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(token_registry.host)
    store = Client(keychain=alice("wrong-password")).store(token_registry.repository(), through=proxy.host)

    with pytest.raises(AccessDenied) as error:
        store.resolve("v1")
    assert str(error.value) == (
        f"GET {token_registry.tokens.realm}: incorrect username or password: "
        "incorrect username or password: user 'alice' of the keychain of the tests"
    )
    assert proxy.count() == 1


def test_an_identity_token_is_exchanged(token_registry: TokenRegistry) -> None:
    keys = Keys(Credentials(identity_token=IDENTITY_TOKEN))
    push_image(Client(keychain=keys).store(token_registry.repository()))

    (request,) = token_registry.tokens.requests
    assert (request.method, request.user, request.authorization) == ("POST", "alice", None)


def test_an_identity_token_that_is_not_accepted_is_said_to_be_so(token_registry: TokenRegistry) -> None:
    keys = Keys(Credentials(identity_token="expired-identity-token", source="SOURCE"))

    with pytest.raises(AccessDenied) as error:
        Client(keychain=keys).store(token_registry.repository()).resolve("v1")
    assert str(error.value) == (
        f"POST {token_registry.tokens.realm}: invalid_grant: the refresh token is not valid: "
        "the identity token of SOURCE was not accepted"
    )


def test_a_registry_token_is_sent_as_it_is(token_registry: TokenRegistry, make_proxy: MakeProxy) -> None:
    proxy, repository = make_proxy(token_registry.host), token_registry.repository()
    pushed = push_image(Client(keychain=alice()).store(repository, through=proxy.host))
    header = proxy.requests[-1].headers["Authorization"]

    keys = Keys(Credentials(registry_token=header.removeprefix("Bearer "), source="SOURCE"))
    assert Client(keychain=keys).store(repository).read_manifest("v1") == pushed
    assert len(token_registry.tokens.requests) == 1
    keys = Keys(Credentials(registry_token="torn\napart", source="SOURCE"))
    with pytest.raises(StoreError, match="the registry token of SOURCE has characters that no token has"):
        Client(keychain=keys).store(repository).read_manifest("v1")
    keys = Keys(Credentials(registry_token="stale-registry-token", source="SOURCE"))
    with pytest.raises(AccessDenied, match="the credentials of SOURCE do not allow to pull"):
        Client(keychain=keys).store(repository).read_manifest("v1")


@pytest.mark.parametrize("strict", [False, True])
def test_a_reader_may_look_whether_there_is_anything_to_push(token_registry: TokenRegistry, strict: bool) -> None:
    """The token service grants less than was asked for, or refuses to grant anything."""
    repository, layer = token_registry.repository(), layer_of(5000)
    pushed = push_image(Client(keychain=alice()).store(repository), layer)
    token_registry.tokens.manners.grants[:] = [("alice", ".*", frozenset({"pull"}))]
    token_registry.tokens.manners.strict = strict
    store = Client(keychain=alice()).store(repository)

    assert store.read_manifest("v1") == pushed
    store.put_blob(layer.descriptor, layer.open)
    assert layer.opened == 1
    new = layer_of(5001)
    with pytest.raises(AccessDenied) as error:
        store.put_blob(new.descriptor, new.open)
    reason = "give access" if strict else f"allow to pull and push {repository}"
    assert str(error.value).endswith(f": the credentials of the keychain of the tests do not {reason}")
    assert new.opened == 0


@pytest.mark.parametrize("strict", [False, True])
def test_an_anonymous_reader_may_look_too(token_registry: TokenRegistry, strict: bool) -> None:
    repository = token_registry.repository("public")
    pushed = push_image(Client(keychain=alice()).store(repository))
    token_registry.tokens.manners.strict = strict
    store = Client(keychain=nobody()).store(repository)

    assert store.read_manifest("v1") == pushed
    with pytest.raises(AccessDenied, match=f"no credentials for {repository} were found"):
        store.put_manifest(pushed, "v2")


def test_a_mount_takes_a_token_for_both_repositories(token_registry: TokenRegistry) -> None:
    client, layer = Client(keychain=alice()), layer_of(4000)
    source, target = client.store(token_registry.repository("source")), client.store(token_registry.repository())
    source.put_blob(layer.descriptor, layer.open)

    assert target.mount_blob(layer.descriptor, source)
    assert target.has_blob(layer.descriptor), "with the token that there is"
    both = (f"repository:{source.repository.path}:pull", f"repository:{target.repository.path}:pull,push")
    assert _scopes(token_registry)[1:] == [tuple(sorted(both))]


def test_a_token_is_only_used_for_repositories_with_the_same_credentials(token_registry: TokenRegistry) -> None:
    class KeysOfTwo(Keys):
        def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
            return Credentials("bob", "bobs-password") if "source" in repository.path else alice().find(repository)

    token_registry.tokens.manners.users["bob"] = "bobs-password"
    source, target = token_registry.repository("source"), token_registry.repository("target")
    client = Client(keychain=KeysOfTwo(None))
    client.store(target).mount_blob(layer_of(10).descriptor, client.store(source))
    with pytest.raises(AccessDenied, match="do not allow to pull"):
        client.store(source, writes=False).resolve("v1")

    assert [request.user for request in token_registry.tokens.requests][:2] == ["alice", "bob"]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("hidden", ["source", "target"])
def test_a_mount_that_is_denied_is_none(token_registry: TokenRegistry, strict: bool, hidden: str) -> None:
    layer = layer_of(4000)
    source, target = token_registry.repository("source"), token_registry.repository("target")
    everyone = Client(keychain=alice())
    everyone.store(source).put_blob(layer.descriptor, layer.open)
    visible = "target" if hidden == "source" else "source"
    token_registry.tokens.manners.grants[:] = [("alice", f".*/{visible}", frozenset({"pull", "push"}))]
    token_registry.tokens.manners.strict = strict
    client = Client(keychain=alice())

    assert not client.store(target).mount_blob(layer.descriptor, client.store(source))


def test_many_threads_share_a_token(token_registry: TokenRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(token_registry.host)
    client, repository, start = Client(keychain=alice()), token_registry.repository(), threading.Barrier(8)

    def work(_: int) -> bool:
        store = client.store(repository, through=proxy.host)
        start.wait()
        return store.has_blob(layer_of(1).descriptor)

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(work, range(8)))
    assert len(token_registry.tokens.requests) == 1
    assert proxy.count() == 9


def test_an_expired_token_is_renewed_once(token_registry: TokenRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(token_registry.host)
    store = Client(keychain=alice()).store(token_registry.repository(), through=proxy.host)
    pushed = push_image(store)
    proxy.fault("*", "", RequestHeader("Authorization", None))
    assert store.read_manifest("v1") == pushed
    assert len(token_registry.tokens.requests) == 2

    proxy.fault("*", "", RequestHeader("Authorization", None), times=99)
    with pytest.raises(AccessDenied, match=r"UNAUTHORIZED: .*: the credentials of .* do not allow"):
        store.read_manifest("v1")
    assert len(token_registry.tokens.requests) == 3


def test_many_threads_renew_a_token_once(token_registry: TokenRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(token_registry.host)
    store = Client(keychain=alice()).store(token_registry.repository(), through=proxy.host)
    start = threading.Barrier(6)
    push_image(store)
    (old,) = {seen.headers["Authorization"] for seen in proxy.requests if "Authorization" in seen.headers}
    expired = RequestHeader("Authorization", None)
    proxy.fault("*", "", expired, times=99, when=lambda seen: seen.headers["Authorization"] == old)

    def work(_: int) -> bool:
        start.wait()
        return store.has_blob(layer_of(1000).descriptor)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))
    assert len(token_registry.tokens.requests) == 2


def test_an_upload_whose_token_expires_midway_succeeds(token_registry: TokenRegistry, make_proxy: MakeProxy) -> None:
    proxy, layer = make_proxy(token_registry.host), layer_of(700_000)
    store = Client(keychain=alice()).store(token_registry.repository(), through=proxy.host)
    proxy.fault("PUT", "/blobs/uploads/", RequestHeader("Authorization", None))
    store.put_blob(layer.descriptor, layer.open)

    assert b"".join(store.read_blob(layer.descriptor)) == layer.data
    assert layer.opened == 2


def test_a_download_whose_token_expires_midway_goes_on(token_registry: TokenRegistry, make_proxy: MakeProxy) -> None:
    proxy, layer = make_proxy(token_registry.host), layer_of(700_000)
    store = Client(keychain=alice()).store(token_registry.repository(), through=proxy.host)
    store.put_blob(layer.descriptor, layer.open)
    proxy.fault("GET", "/blobs/", Cut(300_000))
    proxy.fault("GET", "/blobs/", RequestHeader("Authorization", None))

    assert b"".join(store.read_blob(layer.descriptor)) == layer.data


@pytest.mark.parametrize(("lifetime", "renewed_after"), [(300, 290), (None, 50), (4, 3)])
def test_a_token_is_renewed_before_it_expires(
    token_registry: TokenRegistry, monkeypatch: pytest.MonkeyPatch, lifetime: int | None, renewed_after: int
) -> None:
    token_registry.tokens.manners.lifetime = lifetime
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    store = Client(keychain=alice()).store(token_registry.repository())
    push_image(store)
    now += renewed_after - 0.5
    store.resolve("v1")
    assert len(token_registry.tokens.requests) == 1
    now += 1
    store.resolve("v1")
    assert len(token_registry.tokens.requests) == 2


def test_tokens_that_the_registry_does_not_take_are_an_error(
    token_registry: TokenRegistry, make_proxy: MakeProxy
) -> None:
    token_registry.tokens.manners.expired = True
    proxy = make_proxy(token_registry.host)
    store = Client(keychain=alice()).store(token_registry.repository(), through=proxy.host)

    with pytest.raises(AccessDenied, match="do not allow to pull"):
        store.read_manifest("v1")
    assert (len(token_registry.tokens.requests), proxy.count()) == (1, 2)


# Credentials that do not last


FIRST = Credentials(ALICE.username, ALICE.password, source="FIRST")
SECOND = Credentials(ROBOT.username, ROBOT.password, source="SECOND")


def _refuse(proxy: Proxy, credentials: Credentials) -> None:
    """From now on these are nobody's."""
    nameless = RequestHeader("Authorization", None)
    proxy.fault("*", "", nameless, times=99, when=lambda seen: seen.headers.get("Authorization") == credentials.basic)


def test_credentials_are_found_anew_when_they_expire(
    authenticated_registry: PasswordRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    keys = Turns(replace(FIRST, expires=1100.0), replace(SECOND, expires=1200.0), FIRST)
    store = Client(keychain=keys).store(authenticated_registry.repository())
    push_image(store)
    now = 1099
    store.resolve("v1")
    assert keys.asked == 1
    now = 1100
    store.resolve("v1")
    assert keys.asked == 2
    assert not any(keys.refused), "nobody refused them"


def test_credentials_that_become_invalid_midway_are_found_anew(
    authenticated_registry: PasswordRegistry, make_proxy: MakeProxy
) -> None:
    proxy, keys, layer = make_proxy(authenticated_registry.host), Turns(FIRST, SECOND), layer_of(300_000)
    store = Client(keychain=keys).store(authenticated_registry.repository(), through=proxy.host)
    pushed = push_image(store)
    _refuse(proxy, FIRST)
    store.put_blob(layer.descriptor, layer.open)

    assert b"".join(store.read_blob(layer.descriptor)) == layer.data
    assert store.read_manifest("v1") == pushed
    assert keys.refused == [None, FIRST]


def test_many_threads_find_credentials_anew_once(
    authenticated_registry: PasswordRegistry, make_proxy: MakeProxy
) -> None:
    proxy, keys, start = make_proxy(authenticated_registry.host), Turns(FIRST, SECOND), threading.Barrier(6)
    store = Client(keychain=keys).store(authenticated_registry.repository(), through=proxy.host)
    push_image(store)
    _refuse(proxy, FIRST)

    def work(_: int) -> bool:
        start.wait()
        return store.has_blob(layer_of(1000).descriptor)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))
    assert keys.asked == 2


def test_credentials_that_stay_wrong_are_found_anew_once(
    authenticated_registry: PasswordRegistry, token_registry: TokenRegistry
) -> None:
    for registry in (authenticated_registry, token_registry):
        keys = alice("wrong-password")
        store = Client(keychain=keys).store(registry.repository())
        for _ in range(3):
            with pytest.raises(AccessDenied, match="incorrect username or password: user 'alice' of the keychain"):
                store.read_manifest("v1")
        assert keys.asked == 2


def test_a_password_that_the_token_service_knows_no_longer_is_found_anew(token_registry: TokenRegistry) -> None:
    keys = Turns(replace(FIRST, password="old-password"), FIRST)
    users, layer = token_registry.tokens.manners.users, layer_of(1000)
    users[ALICE.username] = "old-password"
    client = Client(keychain=keys)
    first, second = (token_registry.repository() for _ in range(2))
    client.store(first).put_blob(layer.descriptor, layer.open)
    users[ALICE.username] = ALICE.password
    assert client.store(first).has_blob(layer.descriptor), "tokens that there are stay good"
    client.store(second).put_blob(layer.descriptor, layer.open)

    assert client.store(second).has_blob(layer.descriptor)


def test_an_identity_token_that_is_not_accepted_any_more_is_found_anew(token_registry: TokenRegistry) -> None:
    old, new = (Credentials(identity_token=token) for token in ("old-identity-token", IDENTITY_TOKEN))
    keys = Turns(old, new)
    push_image(Client(keychain=keys).store(token_registry.repository()))

    assert keys.refused == [None, old]


def test_many_threads_find_an_identity_token_anew_once(token_registry: TokenRegistry) -> None:
    keys = Turns(Credentials(identity_token="old-identity-token"), Credentials(identity_token=IDENTITY_TOKEN))
    client, repository, start = Client(keychain=keys), token_registry.repository(), threading.Barrier(6)

    def work(_: int) -> bool:
        start.wait()
        return client.store(repository).has_blob(layer_of(1).descriptor)

    with ThreadPoolExecutor(6) as pool:
        assert not any(pool.map(work, range(6)))
    assert keys.asked == 2
    assert len(token_registry.tokens.requests) == 1


def test_a_registry_token_is_found_anew(token_registry: TokenRegistry, make_proxy: MakeProxy) -> None:
    proxy, repository = make_proxy(token_registry.host), token_registry.repository()
    pushed = push_image(Client(keychain=alice()).store(repository, through=proxy.host))
    token = proxy.requests[-1].headers["Authorization"].removeprefix("Bearer ")
    keys = Turns(Credentials(registry_token="old-registry-token"), Credentials(registry_token=token))
    store = Client(keychain=keys).store(repository)

    with pytest.raises(AccessDenied):
        store.read_manifest("v1")
    assert store.read_manifest("v1") == pushed
    assert keys.asked == 2


# Odd registries and token services, which a real one will not be


def _challenge(proxy: Proxy, *values: str) -> None:
    for value in values:
        proxy.fault("*", "", Respond(401, {"WWW-Authenticate": value}), times=99)


def test_a_registry_that_offers_both_is_given_a_token(token_registry: TokenRegistry, make_proxy: MakeProxy) -> None:
    proxy, repository = make_proxy(token_registry.host), token_registry.repository()
    realm, service = token_registry.tokens.realm, "registry of the tests"
    proxy.fault("*", "", Header("WWW-Authenticate", f'basic realm="x", BEARER  Realm="{realm}",SERVICE="{service}"'))

    push_image(Client(keychain=alice()).store(repository, through=proxy.host))

    assert len(token_registry.tokens.requests) == 1


@pytest.mark.parametrize("kind", ["authenticated_registry", "token_registry"])
def test_a_challenge_may_be_stated_at_the_root_alone(
    request: pytest.FixtureRequest, make_proxy: MakeProxy, kind: str
) -> None:
    registry: PasswordRegistry | TokenRegistry = request.getfixturevalue(kind)
    proxy = make_proxy(registry.host)
    proxy.fault("*", "^/v2/.", Header("WWW-Authenticate", None), times=99)

    push_image(Client(keychain=alice()).store(registry.repository(), through=proxy.host))

    assert proxy.count("GET", "^/v2/$") == 1


def test_the_root_is_asked_for_a_challenge_once(proxy: Proxy) -> None:
    _challenge(proxy, "")
    store = Client(keychain=alice()).store(Repository(proxy.host, "app"))

    for _ in range(2):
        with pytest.raises(AccessDenied, match="these ways to authenticate: none"):
            store.resolve("v1")
    assert proxy.count("GET", "^/v2/$") == 1


@pytest.mark.parametrize(
    ("challenge", "message"),
    [
        ("Negotiate", "the registry offers these ways to authenticate: negotiate; Basic and Bearer are supported"),
        ("", "the registry offers these ways to authenticate: none; Basic and Bearer are supported"),
        ("Bearer", "it demands a token, but does not name a token service to get it from"),
        ('Bearer realm="/token"', "does not name a token service to get it from"),
        ('Bearer realm="http://[::1"', "does not name a token service to get it from"),
        ('Bearer realm="http://host:port/"', "does not name a token service to get it from"),
        ('Bearer realm="ftp://x/y"', "does not name a token service to get it from"),
    ],
)
def test_a_challenge_that_cannot_be_met_is_an_error(proxy: Proxy, challenge: str, message: str) -> None:
    _challenge(proxy, challenge)

    with pytest.raises(StoreError) as error:
        Client(keychain=alice()).store(Repository(proxy.host, "app")).resolve("v1")
    assert message in str(error.value)
    assert not isinstance(error.value, NotFound)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Respond(404), "404 Not Found"),
        (Respond(418), "418 "),
        (Respond(200, {}, b"<html>"), "the token service did not answer with a token in JSON"),
        (Respond(200, {}, b"[]"), "the token service did not answer with a token in JSON"),
        (Respond(200, {}, b'{"token":""}'), "the token service did not answer with a usable token"),
        (Respond(200, {}, b'{"token":"a b\\nc"}'), "the token service did not answer with a usable token"),
        (Respond(500), "500 Internal Server Error; gave up after 5 attempts"),
    ],
)
def test_a_token_service_that_does_not_do_its_work_is_an_error(
    proxy: Proxy, make_proxy: MakeProxy, answer: Respond, message: str
) -> None:
    service = make_proxy(proxy.upstream)
    service.fault("GET", "/token", answer, times=99)
    _challenge(proxy, f'Bearer realm="http://{service.host}/token?x=1",service="s"')

    with pytest.raises(StoreError) as error:
        Client(keychain=alice()).store(Repository(proxy.host, "app")).resolve("v1")
    assert str(error.value).startswith(f"GET http://{service.host}/token: {message}")
    assert not isinstance(error.value, NotFound)
    assert service.requests[0].path == "/token?x=1&service=s&scope=repository%3Aapp%3Apull%2Cpush"


@pytest.mark.parametrize("first_contact", [True, False])
def test_what_a_challenge_demands_beyond_the_usual_is_asked_for(
    token_registry: TokenRegistry, make_proxy: MakeProxy, first_contact: bool
) -> None:
    proxy, repository = make_proxy(token_registry.host), token_registry.repository()
    pushed = push_image(Client(keychain=alice()).store(repository))
    realm, usual = token_registry.tokens.realm, f"repository:{repository.path}:pull,push"
    demand = f"{usual.removesuffix(',push')} repository:other:pull nonsense registry:x:*"
    challenge = f'Bearer realm="{realm}",service="registry of the tests",scope="{demand}"'
    store = Client(keychain=alice()).store(repository, through=proxy.host)
    if not first_contact:
        store.resolve("v1")
    proxy.fault("*", "", Respond(401, {"WWW-Authenticate": challenge}))

    assert store.read_manifest("v1") == pushed
    assert _scopes(token_registry)[-1] == ("registry:x:*", "repository:other:pull", usual)


@pytest.mark.parametrize("keys", [alice(), nobody()])
def test_a_refusal_without_question_is_told_as_such(proxy: Proxy, keys: Keys) -> None:
    proxy.fault("*", "", Respond(403, {}, b'{"errors":[{"code":"DENIED","message":"go away"}]}'), times=9)

    with pytest.raises(
        AccessDenied, match=r": DENIED: go away: (the registry did not ask for|no) .*keychain of the tests"
    ):
        Client(keychain=keys).store(Repository(proxy.host, "app")).read_manifest("v1")


# Where secrets go, and where not


def test_only_the_way_from_https_to_http_is_less_secure() -> None:
    assert is_less_secure("http://tokens/", "https://registry/v2/")
    assert not is_less_secure("https://tokens/", "https://registry/v2/")
    assert not is_less_secure("http://tokens/", "http://registry/v2/")


def test_an_identity_token_does_not_follow_a_redirect(proxy: Proxy, make_proxy: MakeProxy) -> None:
    service, elsewhere = make_proxy(proxy.upstream), make_proxy(proxy.upstream)
    service.fault("POST", "/token", Respond(307, {"Location": f"http://{elsewhere.host}/token?state=secret"}))
    _challenge(proxy, f'Bearer realm="http://{service.host}/token"')
    keys = Keys(Credentials(identity_token=IDENTITY_TOKEN))

    with pytest.raises(StoreError, match=r"307 Temporary Redirect to another host, which is not followed$"):
        Client(keychain=keys).store(Repository(proxy.host, "app")).resolve("v1")
    assert elsewhere.count() == 0


def test_a_password_does_not_follow_a_redirect(proxy: Proxy, make_proxy: MakeProxy) -> None:
    service, elsewhere = make_proxy(proxy.upstream), make_proxy(proxy.upstream)
    service.fault("GET", "/token", Respond(302, {"Location": f"http://{elsewhere.host}/token"}))
    elsewhere.fault("GET", "/token", Respond(200, {}, b'{"token":"granted"}'))
    _challenge(proxy, f'Bearer realm="http://{service.host}/token"')
    with pytest.raises(AccessDenied):
        Client(keychain=alice()).store(Repository(proxy.host, "app")).resolve("v1")

    assert "Authorization" in service.requests[0].headers
    assert "Authorization" not in elsewhere.requests[0].headers


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials("alice", ALICE.password),
        Credentials("alice", 'Zp"4\\hG8bVq1sLd'),
        Credentials(identity_token=IDENTITY_TOKEN),
        Credentials(identity_token="it.unknown3jR7xNbE1h"),
        Credentials(registry_token="rt.unknown6tGs4WmJ9c"),
    ],
)
@pytest.mark.parametrize(("status", "padding"), [(400, 0), (403, 290), (500, 290)])
def test_no_secret_is_in_any_error_event_or_repr(
    token_registry: TokenRegistry,
    authenticated_registry: PasswordRegistry,
    make_proxy: MakeProxy,
    credentials: Credentials,
    status: int,
    padding: int,
) -> None:
    """The servers here quote what they were sent, and where messages are cut must make no difference."""
    for registry in (token_registry, authenticated_registry):
        proxy, service = make_proxy(registry.host), make_proxy(token_registry.tokens.host)
        client = Client(keychain=Keys(credentials), tries=2)
        store = client.store(registry.repository(), through=proxy.host)
        shown = _attempt(store)
        sent = [seen.headers["Authorization"] for seen in proxy.requests if "Authorization" in seen.headers]
        secrets = {*credentials.secrets, *(header.split()[1] for header in sent)}
        proxy.fault("*", "", Respond(status, {}, _quoting(secrets, padding)), times=99)
        shown += _attempt(store)
        assert not _leaks(secrets, [*shown, repr(client.events), repr(store), repr(client.host(proxy.host))])

        proxy.heal()
        body, realm = _quoting(credentials.secrets, padding), f"http://{service.host}/token"
        proxy.fault("*", "", Respond(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, body), times=99)
        service.fault("*", "/token", Respond(status, {}, body), times=99)
        shown = _attempt(Client(keychain=Keys(credentials), tries=2).store(store.repository, through=proxy.host))
        assert "DENIED" in "".join(shown)
        assert not _leaks(credentials.secrets, [*shown, repr(credentials)])


def _quoting(secrets: Iterable[str], padding: int) -> bytes:
    message = "." * padding + " ".join(secrets)
    return json.dumps({"errors": [{"code": "DENIED", "message": message, "detail": message}]}).encode()


def _leaks(secrets: Iterable[str], shown: Iterable[str]) -> list[str]:
    text = "\n".join(shown)
    parts = {secret[start : start + 8] for secret in secrets for start in range(len(secret) - 7)}
    return [part for part in parts if part in text]


def _attempt(store: RegistryStore) -> list[str]:
    shown = []
    actions: list[Callable[[], object]] = [lambda: push_image(store), lambda: store.read_manifest("v1")]
    for action in actions:
        try:
            action()
        except StoreError as error:
            shown += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    return shown


def test_content_is_not_asked_for_before_access_is_granted(authenticated_registry: PasswordRegistry) -> None:
    content = Content(b"x" * 1000)
    with pytest.raises(AccessDenied):
        Client(keychain=nobody()).store(authenticated_registry.repository()).put_blob(
            content.descriptor, lambda: io.BytesIO(content.data)
        )
    assert content.opened == 0
