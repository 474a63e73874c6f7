"""Lists of tags, and what a tag stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundlepipe.errors import NotFound
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.shared.bundles import internal_tag, locations_tag
from bundlepipe.verbs.tags import Tag, list_tags, resolve_tag
from tests.support.images import file_layer, put_image
from tests.support.proxy import Proxy
from tests.support.services import Registry

NOWHERE = Digest.of(b"nowhere")


def _put(stores: Stores, repository: Repository, *tags: str, content: str = "") -> Digest:
    store = stores.repository(repository, writes=True)
    manifest = put_image(store, file_layer("a", content))
    for tag in tags:
        store.put_manifest(manifest, tag)
    return manifest.digest


@pytest.fixture(params=["registry", "layout"])
def repository(request: pytest.FixtureRequest) -> Repository:
    if request.param == "layout":
        return Repository("registry.example", "app")
    registry: Registry = request.getfixturevalue("registry")
    return registry.repository()


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores({"registry.example": RegistrySettings(layout=str(tmp_path))})


def test_all_tags_are_listed_without_digests(repository: Repository, stores: Stores) -> None:
    _put(stores, repository, "1.0", "2.0", "latest")
    # A registry may list them in any order.
    assert sorted(list_tags(repository, stores), key=str) == [Tag("1.0"), Tag("2.0"), Tag("latest")]


def test_each_tag_is_listed_with_its_own_digest(repository: Repository, stores: Stores) -> None:
    first, second = _put(stores, repository, "1.0", "x"), _put(stores, repository, "2.0", content="other")
    expected = {Tag("1.0", first), Tag("x", first), Tag("2.0", second)}
    assert set(list_tags(repository, stores, digests=True)) == expected


def test_internal_tags_are_listed_only_on_request(repository: Repository, stores: Stores) -> None:
    internal = [internal_tag(NOWHERE), locations_tag(NOWHERE), f"some-app_1.x-{internal_tag(NOWHERE)}"]
    others = [
        f"sha256-{NOWHERE.encoded}.sig",
        f"sha256-{NOWHERE.encoded}",
        "sha256-abc.imgpkg",
        "v1.imgpkg",
        f"{internal_tag(NOWHERE)}.old",
    ]
    _put(stores, repository, *internal, *others)
    assert {tag.name for tag in list_tags(repository, stores)} == set(others)
    assert {tag.name for tag in list_tags(repository, stores, internal=True)} == {*internal, *others}


def test_the_order_is_that_of_the_home(stores: Stores) -> None:
    repository = Repository("registry.example", "app")
    names = ["b", "c", "a", "d"]
    digests = [_put(stores, repository, name, content=name) for name in names]
    tags = [Tag(name, digest) for name, digest in zip(names, digests, strict=True)]
    assert list_tags(repository, stores, digests=True) == tags


def test_a_list_takes_one_request_and_digests_one_for_each_tag_shown(
    registry: Registry, proxy: Proxy, stores: Stores
) -> None:
    repository = registry.repository()
    _put(stores, repository, "1.0", "2.0", internal_tag(NOWHERE))
    through = Repository(proxy.host, repository.path)
    list_tags(through, stores)
    assert [line.split()[0] for line in proxy.summary()] == ["GET"], proxy.summary()
    proxy.forget()
    list_tags(through, stores, digests=True)
    assert sorted(line.split()[0] for line in proxy.summary()) == ["GET", "HEAD", "HEAD"], proxy.summary()


def test_a_repository_that_does_not_exist_has_no_list(repository: Repository, stores: Stores) -> None:
    with pytest.raises(NotFound):
        list_tags(repository, stores)


def test_a_tag_is_resolved_to_its_digest(repository: Repository, stores: Stores) -> None:
    digest = _put(stores, repository, "1.0")
    assert resolve_tag(repository.tagged("1.0"), stores) == repository.at(digest)


def test_without_a_tag_latest_is_resolved(repository: Repository, stores: Stores) -> None:
    digest = _put(stores, repository, "latest")
    assert resolve_tag(Reference(repository), stores) == repository.at(digest)


def test_a_tag_that_does_not_exist_is_not_found(repository: Repository, stores: Stores) -> None:
    _put(stores, repository, "latest")
    with pytest.raises(NotFound, match=r"[:/]1\.0"):
        resolve_tag(repository.tagged("1.0"), stores)


def test_a_digest_is_resolved_to_itself_if_it_is_there(repository: Repository, stores: Stores) -> None:
    reference = repository.at(_put(stores, repository, "1.0"))
    assert resolve_tag(reference, stores) == reference
    with pytest.raises(NotFound, match=f"{repository}@{NOWHERE}"):
        resolve_tag(repository.at(NOWHERE), stores)
