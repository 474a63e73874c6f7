"""RegistryStore against a real registry: what each method does, and what it costs in requests."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bundlepipe.errors import IntegrityError, InvalidContent, InvalidReference, NotFound, StoreError
from bundlepipe.limits import LARGEST_MANIFEST
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import (
    DOCKER_LAYER,
    NON_DISTRIBUTABLE_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
)
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.protocol import Store
from bundlepipe.stores.registry import store as registry_store
from bundlepipe.stores.settings import RegistrySettings
from tests.support.certificates import make_server_certificate
from tests.support.clients import Client, Content, layer_of, push_image
from tests.support.keychains import alice
from tests.support.proxy import Header, Proxy, Respond
from tests.support.services import Registry, require

MakeProxy = Callable[..., Proxy]


def test_it_is_a_store(registry: Registry) -> None:
    repository = registry.repository("team/app")
    store: Store = Client().store(repository)

    assert store.name == str(repository)
    assert store.repository == repository
    assert repr(store) == f"RegistryStore('{repository}')"


def test_an_image_comes_back_as_it_was_pushed(registry: Registry) -> None:
    repository, layer = registry.repository(), layer_of(700_001)
    pushed = push_image(Client().store(repository), layer)
    store = Client().store(repository, writes=False)

    assert store.resolve("v1") == pushed.digest
    assert store.read_manifest("v1") == store.read_manifest(pushed.digest) == pushed
    assert store.has_manifest(pushed.digest)
    assert store.has_blob(layer.descriptor)
    assert b"".join(store.read_blob(layer.descriptor)) == layer.data
    assert list(store.list_tags()) == ["v1"]


def test_chunks_are_of_a_size_that_keeps_memory_flat(registry: Registry) -> None:
    store, layer = Client().store(registry.repository()), layer_of(1_000_000)
    store.put_blob(layer.descriptor, layer.open)

    assert [len(chunk) for chunk in store.read_blob(layer.descriptor)] == [262_144, 262_144, 262_144, 213_568]


def test_an_empty_blob_goes_both_ways(registry: Registry) -> None:
    store, empty = Client().store(registry.repository()), Content(b"")
    store.put_blob(empty.descriptor, empty.open)

    assert b"".join(store.read_blob(empty.descriptor)) == b""


def test_a_blob_may_be_named_by_sha512(registry: Registry) -> None:
    store, data = Client().store(registry.repository()), b"sha512"
    blob = Descriptor("x", Digest.from_hasher(hashlib.sha512(data)), len(data))
    store.put_blob(blob, lambda: io.BytesIO(data))

    assert b"".join(store.read_blob(blob)) == data


def test_a_manifest_without_tag_is_stored_under_its_digest(registry: Registry) -> None:
    store = Client().store(registry.repository())
    pushed = push_image(store, tag=None)

    assert store.read_manifest(pushed.digest) == pushed
    with pytest.raises(NotFound):
        store.resolve("v1")


def test_an_oci_index_keeps_its_bytes_and_type(registry: Registry) -> None:
    store = Client().store(registry.repository())
    child = push_image(store)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{**child.descriptor.to_json(), "platform": {"os": "linux", "architecture": "amd64"}}],
    }
    index = Manifest.parse(json.dumps(document, indent=3).encode(), OCI_INDEX, "index")
    store.put_manifest(index, "multi")

    assert store.read_manifest("multi") == index
    assert store.read_manifest("multi").media_type == OCI_INDEX


def test_what_is_not_there_is_not_found(registry: Registry) -> None:
    store, other = Client().store(registry.repository()), layer_of(10)
    push_image(store)
    missing = Digest.of(b"missing")

    assert not store.has_blob(other.descriptor)
    assert not store.has_manifest(missing)
    base = f"http://{registry.host}/v2/{store.repository.path}"
    with pytest.raises(NotFound) as tag:
        store.read_manifest("v2")
    says = f"GET {base}/manifests/v2: MANIFEST_UNKNOWN: manifest unknown; "
    # Distribution 2 and 3 have other details.
    assert str(tag.value) in (f"{says}Tag=v2", f"{says}unknown tag=v2")
    with pytest.raises(NotFound) as by_digest:
        store.read_manifest(missing)
    assert str(by_digest.value).startswith(f"GET {base}/manifests/{missing}: MANIFEST_UNKNOWN: manifest unknown")
    with pytest.raises(NotFound) as resolved:
        store.resolve("v2")
    assert str(resolved.value) == f"HEAD {base}/manifests/v2: 404 Not Found"
    with pytest.raises(NotFound) as blob:
        next(iter(store.read_blob(other.descriptor)))
    assert str(blob.value).startswith(f"GET {base}/blobs/{other.descriptor.digest}: BLOB_UNKNOWN: ")
    with pytest.raises(NotFound) as tags:
        list(Client().store(registry.repository("never-pushed")).list_tags())
    assert "/tags/list: NAME_UNKNOWN: repository name not known to registry; name=" in str(tags.value)


def test_a_layer_that_must_not_be_redistributed_is_read_from_where_it_is(
    registry: Registry, make_proxy: MakeProxy
) -> None:
    vendor, layer = make_proxy(registry.host), layer_of(700_001)
    elsewhere, missing = registry.repository("elsewhere"), registry.repository("missing")
    push_image(Client().store(elsewhere), layer)
    urls = (
        f"http://{vendor.host}/v2/{missing.path}/blobs/{layer.descriptor.digest}",
        "ftp://vendor.example/layer",
        f"http://{vendor.host}/v2/{elsewhere.path}/blobs/{layer.descriptor.digest}",
    )
    foreign = replace(layer.descriptor, media_type=NON_DISTRIBUTABLE_TYPES[0], urls=urls)
    store = Client(keychain=alice()).store(registry.repository())

    assert b"".join(store.read_blob(foreign)) == layer.data
    assert [(seen.status, seen.headers.get("Authorization")) for seen in vendor.requests] == [(404, None), (200, None)]
    with pytest.raises(NotFound, match="BLOB_UNKNOWN"):
        next(store.read_blob(replace(foreign, media_type=DOCKER_LAYER)))
    with pytest.raises(NotFound, match=r"BLOB_UNKNOWN.*nor can it be had from where its manifest says: GET http"):
        next(store.read_blob(replace(foreign, urls=urls[:1])))


def test_places_that_a_manifest_names_get_no_credentials(registry: Registry, proxy: Proxy) -> None:
    proxy.fault("GET", "/v2/gone", Respond(410, {}, b""))
    proxy.fault("GET", "/v2/there", Respond(200, {}, b"layer"))
    urls = (f"http://{proxy.host}/v2/gone", f"http://{proxy.host}/v2/there")
    foreign = Descriptor(NON_DISTRIBUTABLE_TYPES[0], Digest.of(b"layer"), 5, urls)
    # The registry is at the same origin, and may have credentials.
    store = Client(keychain=alice()).store(Repository(proxy.host, registry.repository().path))

    assert b"".join(store.read_blob(foreign)) == b"layer"
    asked = [seen for seen in proxy.requests if seen.path in ("/v2/gone", "/v2/there")]
    assert [seen.headers.get("Authorization") for seen in asked] == [None, None]


def test_what_comes_from_elsewhere_is_verified(registry: Registry, proxy: Proxy) -> None:
    proxy.fault("GET", "/layer", Respond(200, {}, b"other"))
    foreign = Descriptor(NON_DISTRIBUTABLE_TYPES[0], Digest.of(b"layer"), 5, (f"http://{proxy.host}/layer",))

    with pytest.raises(IntegrityError):
        list(Client().store(registry.repository()).read_blob(foreign))


def test_a_manifest_whose_blobs_are_missing_is_refused(registry: Registry) -> None:
    pushed = push_image(Client().store(registry.repository()))

    client = Client()
    with pytest.raises(StoreError, match=r"MANIFEST_BLOB_UNKNOWN: blob unknown .*; gave up after 5 attempts"):
        client.store(registry.repository()).put_manifest(pushed, "v1")
    assert client.retries == ["MANIFEST_BLOB_UNKNOWN"] * 4


@pytest.mark.parametrize("tag", ["../../other/manifests/v1", "v1?x=y", "a/b", "a b", "", "-v1", "x" * 129])
def test_what_is_no_tag_is_not_sent(registry: Registry, proxy: Proxy, tag: str) -> None:
    """It would be part of a URL, and could lead to another repository."""
    store = Client().store(registry.repository(), through=proxy.host)
    pushed = push_image(store, layer_of(1000))
    proxy.forget()
    with pytest.raises(InvalidReference, match="is not a tag: expected up to 128 letters"):
        store.put_manifest(pushed, tag)
    assert proxy.requests == []


def test_no_method_asks_more_than_it_must(registry: Registry, proxy: Proxy) -> None:
    store, layer = Client().store(registry.repository(), through=proxy.host), layer_of(1000)
    pushed = push_image(store, layer)

    def cost(action: Callable[[], object]) -> list[str]:
        proxy.forget()
        action()
        return [entry.split("/")[0].strip() + entry[-4:] for entry in proxy.summary()]

    assert cost(lambda: store.resolve("v1")) == ["HEAD 200"]
    assert cost(lambda: store.read_manifest("v1")) == ["GET 200"]
    assert cost(lambda: store.read_manifest(pushed.digest)) == ["GET 200"]
    assert cost(lambda: store.has_manifest(pushed.digest)) == ["HEAD 200"]
    assert cost(lambda: store.has_blob(layer.descriptor)) == ["HEAD 200"]
    assert cost(lambda: list(store.read_blob(layer.descriptor))) == ["GET 200"]
    assert cost(lambda: store.put_blob(layer.descriptor, layer.open)) == ["HEAD 200"]
    new = layer_of(1001)
    assert cost(lambda: store.put_blob(new.descriptor, new.open)) == ["HEAD 404", "POST 202", "PUT 201"]
    assert cost(lambda: store.put_manifest(pushed, "v2")) == ["PUT 201"]
    assert cost(lambda: list(store.list_tags())) == ["GET 200"]
    sibling = Client().store(registry.repository("sibling"), through=proxy.host)
    assert cost(lambda: sibling.mount_blob(layer.descriptor, store)) == ["POST 201"]


def test_a_blob_that_is_there_is_not_opened(registry: Registry) -> None:
    client = Client()
    store, layer, again = client.store(registry.repository()), layer_of(5000), layer_of(5000)
    assert store.put_blob(layer.descriptor, layer.open)
    assert not store.put_blob(again.descriptor, again.open)
    assert (layer.opened, again.opened) == (1, 0)


def test_a_blob_is_mounted_from_a_sibling(registry: Registry) -> None:
    client, layer = Client(), layer_of(2000)
    source, target = client.store(registry.repository("source")), client.store(registry.repository("target"))
    source.put_blob(layer.descriptor, layer.open)

    assert target.mount_blob(layer.descriptor, source)
    assert b"".join(target.read_blob(layer.descriptor)) == layer.data


def test_what_cannot_be_mounted_is_left_to_the_caller(registry: Registry, own_registry: Registry, proxy: Proxy) -> None:
    client, layer = Client(), layer_of(2000)
    source, target = client.store(registry.repository("source")), client.store(registry.repository("target"))
    assert not target.mount_blob(layer.descriptor, source), "the source does not have it"
    assert not source.mount_blob(layer.descriptor, source), "the same repository, which does not have it"
    source.put_blob(layer.descriptor, layer.open)
    assert source.mount_blob(layer.descriptor, source), "the same repository, which has it"
    elsewhere = client.store(own_registry.repository())
    assert not elsewhere.mount_blob(layer.descriptor, source), "another registry"
    proxy.fault("POST", "mount=", Respond(405))
    sibling = client.store(registry.repository(), through=proxy.host)
    behind_proxy = client.store(source.repository, through=proxy.host)
    assert not sibling.mount_blob(layer.descriptor, behind_proxy), "the registry does not know mounting"


@pytest.mark.parametrize("stated", [9_000, 11_000])
def test_content_of_another_size_than_stated_is_not_stored(registry: Registry, proxy: Proxy, stated: int) -> None:
    client, content = Client(), layer_of(10_000)
    store = client.store(registry.repository(), through=proxy.host)
    claimed = Descriptor("x", content.descriptor.digest, stated)

    with pytest.raises(IntegrityError, match=f"{content.descriptor.digest} .* the stated {stated} bytes"):
        store.put_blob(claimed, content.open)
    assert not store.has_blob(content.descriptor)
    assert proxy.count("POST") == 1


def test_no_more_content_is_read_than_it_takes_to_see_that_it_is_too_long(registry: Registry) -> None:
    class Endless(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            Endless.reads += 1
            assert Endless.reads < 100
            return bytes(size or 0)

    claimed = Descriptor("x", Digest.of(b"else"), 300_000)
    with pytest.raises(IntegrityError, match="is larger than the stated 300000 bytes"):
        Client().store(registry.repository()).put_blob(claimed, Endless)
    assert Endless.reads == 2


def test_content_with_another_digest_than_stated_is_not_stored(registry: Registry) -> None:
    store, content = Client().store(registry.repository()), layer_of(10_000)
    claimed = Descriptor("x", Digest.of(b"else"), 10_000)

    with pytest.raises(StoreError, match="DIGEST_INVALID: provided digest did not match uploaded content"):
        store.put_blob(claimed, content.open)
    assert not store.has_blob(claimed)


def test_content_that_cannot_be_read_is_told_apart_from_a_broken_connection(registry: Registry) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    client, content = Client(), layer_of(10_000)
    with pytest.raises(StoreError, match=r"the content of blob \S+ cannot be read: Input/output error"):
        client.store(registry.repository()).put_blob(content.descriptor, Broken)
    assert client.retries == []


def test_tags_come_from_all_pages(registry: Registry, proxy: Proxy) -> None:
    store = Client().store(registry.repository(), through=proxy.host)
    push_image(store, tag="last")
    path = f"/v2/{store.repository.path}/tags/list"
    relative = {"Link": f'<{path}?last=b&n=2>; rel="next"'}
    absolute = {"Link": f'<http://{proxy.host}{path}?last=d&n=2>; title="x"; rel=next'}
    proxy.fault("GET", "/tags/list", Respond(200, relative, b'{"tags":["a","b"]}'))
    proxy.fault("GET", "/tags/list", Respond(200, absolute, b'{"tags":["c","d"]}'))

    assert list(store.list_tags()) == ["a", "b", "c", "d", "last"]
    assert [seen.path for seen in proxy.requests if "tags" in seen.path] == [
        f"{path}?n=1000",
        f"{path}?last=b&n=2",
        f"{path}?last=d&n=2",
    ]
    proxy.fault("GET", "/tags/list", Respond(200, {"Link": '</>; rel="prev"'}, b'{"tags":null}'))
    assert list(store.list_tags()) == []


def test_lists_of_referrers_without_end_are_refused(
    registry: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_store, "_LARGEST_PAGE", 1000)
    store, subject = Client().store(registry.repository(), through=proxy.host), Digest.of(b"")
    path = f"/v2/{store.repository.path}/referrers/{subject}"
    page = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode().ljust(400)
    for number in range(3):
        proxy.fault("GET", "/referrers/", Respond(200, {"Link": f'<{path}?page={number}>; rel="next"'}, page))
    with pytest.raises(StoreError, match=r"referrers of sha256:\w+: the list has more than the"):
        store.read_referrers(subject)


def test_pages_of_tags_that_go_in_a_cycle_are_an_error(registry: Registry, proxy: Proxy) -> None:
    store = Client().store(registry.repository(), through=proxy.host)
    link = {"Link": f'</v2/{store.repository.path}/tags/list?n=1000&last=a>; rel="next"'}
    proxy.fault("GET", "/tags/list", Respond(200, link, b'{"tags":["a"]}'), times=9)

    with pytest.raises(StoreError, match="form a cycle"):
        list(store.list_tags())
    assert proxy.count("GET", "/tags/list") == 2


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"tags":{}}', b'{"tags":[1]}', b"\xff", b"[" * 100_000])
def test_a_list_of_tags_that_is_none_is_an_error(registry: Registry, proxy: Proxy, body: bytes) -> None:
    proxy.fault("GET", "/tags/list", Respond(200, {}, body))

    with pytest.raises(StoreError, match="did not answer with a list of tags"):
        list(Client().store(registry.repository(), through=proxy.host).list_tags())


@pytest.mark.parametrize("header", [None, "", "sha256:abc", "md5:" + "0" * 32])
def test_a_tag_is_resolved_by_get_where_head_does_not_tell(
    registry: Registry, proxy: Proxy, header: str | None
) -> None:
    store = Client().store(registry.repository(), through=proxy.host)
    pushed = push_image(store)
    proxy.fault("*", "/manifests/", Header("Docker-Content-Digest", header), times=2)
    proxy.forget()

    assert store.resolve("v1") == pushed.digest
    assert [seen.method for seen in proxy.requests] == ["HEAD", "GET"]


def test_a_registry_without_head_is_asked_by_get(registry: Registry, proxy: Proxy) -> None:
    store = Client().store(registry.repository(), through=proxy.host)
    pushed = push_image(store)
    proxy.fault("HEAD", "/manifests/", Respond(405), times=3)

    assert store.resolve("v1") == pushed.digest
    assert store.has_manifest(pushed.digest)
    assert not store.has_manifest(Digest.of(b"missing"))


def test_a_manifest_that_is_not_what_was_asked_for_is_refused(registry: Registry, proxy: Proxy) -> None:
    store = Client().store(registry.repository(), through=proxy.host)
    first, second = push_image(store, layer_of(1), tag="first"), push_image(store, layer_of(2), tag="second")
    proxy.fault("GET", f"/manifests/{first.digest}", Respond(200, {"Content-Type": second.media_type}, second.raw))
    with pytest.raises(IntegrityError, match=f"manifest {first.digest} arrived with other content: {second.digest}"):
        store.read_manifest(first.digest)

    promise = {"Content-Type": first.media_type, "Docker-Content-Digest": first.digest}
    proxy.fault("GET", "/manifests/first", Respond(200, promise, second.raw))
    with pytest.raises(IntegrityError, match="arrived with other content"):
        store.read_manifest("first")


def test_no_more_is_read_than_a_manifest_may_have(registry: Registry, proxy: Proxy) -> None:
    store = Client().store(registry.repository(), through=proxy.host)
    proxy.fault("GET", "/manifests/", Respond(200, {}, b" " * (LARGEST_MANIFEST + 10_000)))

    with pytest.raises(InvalidContent, match=f":v1: the manifest is larger than {LARGEST_MANIFEST} bytes"):
        store.read_manifest("v1")


def test_schema_1_gets_a_clear_error(registry: Registry, proxy: Proxy) -> None:
    store = Client().store(registry.repository(), through=proxy.host)
    headers = {
        "Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "Docker-Content-Digest": Digest.of(b"its payload without signatures"),
    }
    proxy.fault("GET", "/manifests/", Respond(200, headers, b'{"schemaVersion":1}'))

    with pytest.raises(InvalidContent, match="manifests of Docker's schema 1 are not supported"):
        store.read_manifest("old")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8", None])
def test_a_manifest_tells_its_own_type_where_the_registry_does_not(
    registry: Registry, proxy: Proxy, content_type: str | None
) -> None:
    store = Client().store(registry.repository(), through=proxy.host)
    pushed = push_image(store)
    document = {key: value for key, value in json.loads(pushed.raw).items() if key != "mediaType"}
    raw = json.dumps(document).encode()
    proxy.fault("GET", "/manifests/v1", Respond(200, {"Content-Type": content_type} if content_type else {}, raw))

    assert store.read_manifest("v1").media_type == OCI_MANIFEST


def test_what_the_registry_stored_must_be_what_was_sent(registry: Registry, proxy: Proxy) -> None:
    store, layer = Client().store(registry.repository(), through=proxy.host), layer_of(100)
    other = Header("Docker-Content-Digest", Digest.of(b"other"))
    proxy.fault("PUT", "/blobs/uploads/", other)
    with pytest.raises(IntegrityError, match=f"stored {Digest.of(b'other')} instead of {layer.descriptor.digest}"):
        store.put_blob(layer.descriptor, layer.open)
    pushed = push_image(store, layer)
    proxy.fault("PUT", "/manifests/", other)
    with pytest.raises(IntegrityError, match=f"instead of {pushed.digest}"):
        store.put_manifest(pushed, "v1")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "the registry did not say where to upload to"),
        ({"Location": "ftp://elsewhere/upload"}, "the server refers to something that is not an HTTP URL"),
        ({"Location": "http://[::1/upload"}, "the server refers to something that is not an HTTP URL"),
    ],
)
def test_an_upload_that_leads_nowhere_is_an_error(
    registry: Registry, proxy: Proxy, headers: dict[str, str], message: str
) -> None:
    store, layer = Client().store(registry.repository(), through=proxy.host), layer_of(100)
    proxy.fault("POST", "/blobs/uploads/", Respond(202, headers))

    with pytest.raises(StoreError) as error:
        store.put_blob(layer.descriptor, layer.open)
    assert message in str(error.value)


def test_a_relative_upload_location_is_followed(registry: Registry, proxy: Proxy) -> None:
    store, layer = Client().store(registry.repository(), through=proxy.host), layer_of(100)
    direct = Client().store(store.repository, through=registry.host)
    direct.put_blob(layer_of(1).descriptor, layer_of(1).open)
    proxy.fault("POST", "/blobs/uploads/", Respond(202, {"Location": "session?x=1&y=%2F"}))
    proxy.fault("PUT", "/blobs/uploads/session", Respond(201))

    store.put_blob(layer.descriptor, layer.open)

    digest = layer.descriptor.digest.replace(":", "%3A")
    assert proxy.requests[-1].path == f"/v2/{store.repository.path}/blobs/uploads/session?x=1&y=%2F&digest={digest}"
    assert proxy.requests[-1].bytes_up == 100


def test_nothing_is_held_in_memory(registry: Registry) -> None:
    store, size = Client().store(registry.repository()), 48 * 1024 * 1024
    layer = layer_of(size)
    assert not store.has_blob(layer.descriptor)
    tracemalloc.start()
    try:
        store.put_blob(layer.descriptor, layer.open)
        for _ in store.read_blob(layer.descriptor):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_many_threads_share_a_host(registry: Registry, proxy: Proxy) -> None:
    client, layers = Client(transfers=3), [layer_of(300_000, seed) for seed in range(12)]
    repository = registry.repository()
    start = threading.Barrier(12)

    def work(layer: Content) -> bytes:
        store = client.store(repository, through=proxy.host)
        start.wait()
        store.put_blob(layer.descriptor, layer.open)
        return b"".join(store.read_blob(layer.descriptor))

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(work, layers)) == [layer.data for layer in layers]
    assert proxy.tls_attempts == 1


def test_two_pushes_of_one_image_at_once_both_succeed(registry: Registry) -> None:
    layers, start = [layer_of(100_000, seed) for seed in range(6)], threading.Barrier(2)
    repositories = [registry.repository() for _ in range(5)]

    def push() -> list[Manifest]:
        pushed = []
        for repository in repositories:
            store = Client().store(repository)
            start.wait()
            pushed.append(push_image(store, *layers))
        return pushed

    with ThreadPoolExecutor(2) as pool:
        first, second = (future.result() for future in [pool.submit(push), pool.submit(push)])
    assert first == second == [Client().store(repository).read_manifest("v1") for repository in repositories]


def test_a_blob_that_a_registry_does_not_know_yet_is_waited_for(registry: Registry, proxy: Proxy) -> None:
    client = Client()
    store = client.store(registry.repository(), through=proxy.host)
    body = b'{"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown"}]}'
    proxy.fault("PUT", "/manifests/", Respond(400, {}, body), times=2)
    pushed = push_image(store)

    assert store.read_manifest("v1") == pushed
    assert client.retries == ["MANIFEST_BLOB_UNKNOWN"] * 2


@pytest.mark.parametrize("code", ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"])
def test_an_upload_session_that_is_lost_is_begun_anew(registry: Registry, proxy: Proxy, code: str) -> None:
    client, layer = Client(), layer_of(100_000)
    store = client.store(registry.repository(), through=proxy.host)
    proxy.fault("PUT", "/uploads/", Respond(404, {}, b'{"errors":[{"code":"%s"}]}' % code.encode()))
    store.put_blob(layer.descriptor, layer.open)

    assert b"".join(store.read_blob(layer.descriptor)) == layer.data
    assert (proxy.count("POST"), client.retries) == (2, [code])


def test_a_download_that_is_given_up_leaves_the_host_usable(registry: Registry) -> None:
    client, layer = Client(transfers=1), layer_of(3_000_000)
    store = client.store(registry.repository())
    store.put_blob(layer.descriptor, layer.open)

    for _ in range(3):
        chunks = store.read_blob(layer.descriptor)
        assert next(iter(chunks)) == layer.data[:262_144]
        del chunks
    assert b"".join(store.read_blob(layer.descriptor)) == layer.data


def test_a_blob_is_copied_between_registries_in_one_stream(registry: Registry, own_registry: Registry) -> None:
    client, layer = Client(transfers=1), layer_of(900_000)
    source, target = client.store(registry.repository()), client.store(own_registry.repository())
    source.put_blob(layer.descriptor, layer.open)

    target.put_blob(layer.descriptor, lambda: io.BytesIO(b"".join(source.read_blob(layer.descriptor))))

    assert b"".join(target.read_blob(layer.descriptor)) == layer.data


@pytest.fixture(params=["http", "https"])
def ipv6_registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    require("registry")
    require("ipv6")
    certificate = make_server_certificate(tmp_path, ("::1",)) if request.param == "https" else None
    running = Registry(tmp_path, address="::1", tls=certificate)
    yield running
    running.stop()


def test_a_registry_is_reached_by_ipv6(ipv6_registry: Registry, tmp_path: Path) -> None:
    layer, authority = layer_of(1000), tmp_path / "authority.pem"
    reference = Reference.parse(f"{ipv6_registry.host}/team/app:v1")
    assert reference.repository.registry.startswith("[::1]:")
    store = Client(RegistrySettings(ca=str(authority) if authority.exists() else None)).store(reference.repository)
    pushed = push_image(store, layer)

    assert store.read_manifest("v1") == pushed
    assert b"".join(store.read_blob(layer.descriptor)) == layer.data
