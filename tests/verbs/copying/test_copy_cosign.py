"""What cosign attaches goes along on request, in whichever way it does so: by tags, or as referrers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Store
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from tests.support.images import (
    OCI_EMPTY,
    closure,
    fallback_tag,
    file_layer,
    put_bundle,
    put_bytes,
    put_cosign,
    put_document,
    put_image,
    put_images,
    put_referrer,
)
from tests.support.proxy import Proxy
from tests.support.referrers import ReferrersProxy
from tests.support.services import Registry

SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
COSIGN_SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"


def put_sigstore_bundle(store: Store, subject: Manifest, *, fallback: bool = True, kind: str | None = None) -> Manifest:
    """Attach a signature as cosign does since its release 3 (cosign, "Cosign Bundle Specification").

    `kind` is the type that the index of the fallback tag gives, where it is another one.
    """
    empty = put_bytes(store, b"{}", OCI_EMPTY).to_json()
    content = json.dumps({"mediaType": SIGSTORE_BUNDLE, "of": subject.digest}).encode()
    annotations = {"dev.sigstore.bundle.content": "message-signature"}
    document = {
        "artifactType": SIGSTORE_BUNDLE,
        "config": empty,
        "layers": [put_bytes(store, content, SIGSTORE_BUNDLE).to_json()],
        "subject": subject.descriptor.to_json(),
        "annotations": annotations,
    }
    signature = put_document(store, OCI_MANIFEST, document)
    if fallback:
        entry = {**signature.descriptor.to_json(), "annotations": annotations}
        entry |= {} if kind == "" else {"artifactType": kind or SIGSTORE_BUNDLE}
        put_document(store, OCI_INDEX, {"manifests": [entry]}, fallback_tag(subject.digest))
    return signature


@pytest.fixture(params=["API", "tag"])
def source(request: pytest.FixtureRequest, registry: Registry) -> Iterator[str]:
    """The host of a registry with or without the API for referrers."""
    yield from _host(request.param, registry)


@pytest.fixture(params=["API", "tag"])
def destination(request: pytest.FixtureRequest, own_registry: Registry) -> Iterator[str]:
    yield from _host(request.param, own_registry)


def _host(how: str, registry: Registry) -> Iterator[str]:
    server = ReferrersProxy(registry) if how == "API" else Proxy(registry.host)
    yield server.host
    server.close()


def _listed(store: Store, subject: Digest) -> dict[Digest, str | None]:
    index = store.read_referrers(subject)
    return {child.digest: child.artifact_type for child in index.children} if index else {}


@pytest.mark.parametrize("through", ["directly", "tar"])
def test_a_sigstore_bundle_is_where_its_image_is(
    source: str, destination: str, through: str, registry: Registry, own_registry: Registry, tmp_path: Path
) -> None:
    stores = Stores()
    images = Repository(source, registry.repository("images").path)
    root = Repository(source, registry.repository("bundle").path).tagged("v1")
    store = stores.repository(images, writes=True)
    image = put_image(store, file_layer("a", "content"))
    bundle = put_bundle(stores, root, [images.at(image.digest)])
    root_store = stores.repository(root.repository, writes=True)
    signatures = {
        image.digest: put_sigstore_bundle(store, image),
        bundle.digest: put_sigstore_bundle(root_store, bundle),
    }
    to = Repository(destination, own_registry.repository("copy").path)
    begin: Reference | ArchiveLocation = root
    if through == "tar":
        begin = ArchiveLocation(str(tmp_path / "a.tar"))
        copy(CopyRequest(source=root, destination=begin, cosign=True), stores)
    copy(CopyRequest(source=begin, destination=to, cosign=True), stores)

    arrived = Stores().repository(to)
    for subject, signature in signatures.items():
        assert _listed(arrived, subject) == {signature.digest: SIGSTORE_BUNDLE}
        assert closure(arrived, signature.digest) == {signature.digest: signature.raw}


@pytest.mark.parametrize("kind", [None, "", OCI_EMPTY], ids=["its own", "none", "that of the configuration"])
def test_of_all_referrers_those_of_cosign_are_taken(kind: str | None, stores: Stores, registry: Registry) -> None:
    """An index by tag may lack the type, or have that of the empty configuration."""
    at, to = registry.repository(), registry.repository()
    store = stores.repository(at, writes=True)
    image = put_image(store, file_layer("a", "content"), tag="v1")
    signature = put_sigstore_bundle(store, image, kind=kind)
    older = put_referrer(store, image, COSIGN_SIGNATURE)
    put_referrer(store, image, "application/spdx+json")

    copy(CopyRequest(source=at.tagged("v1"), destination=to, cosign=True), stores)

    assert _listed(stores.repository(to), image.digest) == {
        signature.digest: SIGSTORE_BUNDLE,
        older.digest: COSIGN_SIGNATURE,
    }
    index = stores.repository(to).read_referrers(image.digest)
    assert index
    [entry] = [child for child in index.children if child.digest == signature.digest]
    assert entry.annotations == {"dev.sigstore.bundle.content": "message-signature"}


def test_what_is_attached_by_tags_goes_along_beside_it(stores: Stores, registry: Registry) -> None:
    at, to = registry.repository(), registry.repository()
    store = stores.repository(at, writes=True)
    image = put_image(store, file_layer("a", "content"), tag="v1")
    old, new = put_cosign(store, image), put_sigstore_bundle(store, image)

    copy(CopyRequest(source=at.tagged("v1"), destination=to, cosign=True), stores)

    arrived = stores.repository(to)
    assert arrived.read_manifest(f"{fallback_tag(image.digest)}.sig").raw == old.raw
    assert _listed(arrived, image.digest).keys() == {new.digest}


def test_signatures_stay_behind_unless_asked_for(stores: Stores, registry: Registry) -> None:
    at, to = registry.repository(), registry.repository()
    store = stores.repository(at, writes=True)
    image = put_image(store, file_layer("a", "content"), tag="v1")
    put_sigstore_bundle(store, image)
    copy(CopyRequest(source=at.tagged("v1"), destination=to), stores)
    assert _listed(stores.repository(to), image.digest) == {}


def test_a_tag_from_before_a_registry_had_the_api_counts(stores: Stores, registry: Registry) -> None:
    server = ReferrersProxy(registry)
    try:
        at, to = Repository(server.host, registry.repository().path), registry.repository()
        store = stores.repository(at, writes=True)
        image = put_image(store, file_layer("a", "content"), tag="v1")
        # The API goes by what it saw uploaded since.
        signature = put_sigstore_bundle(store, image)
        _forget_subjects(server)
        copy(CopyRequest(source=at.tagged("v1"), destination=to, cosign=True), stores)
        assert _listed(stores.repository(to), image.digest).keys() == {signature.digest}
    finally:
        server.close()


def _forget_subjects(server: ReferrersProxy) -> None:
    server._manifests = lambda name: iter(())  # type: ignore[method-assign]


def test_images_without_signatures_cost_no_request_each(stores: Stores, registry: Registry, proxy: Proxy) -> None:
    """Where the API is missing, the list of tags says that there is no index."""
    at = Repository(proxy.host, registry.repository("images").path)
    store = stores.repository(at, writes=True)
    images = put_images(store, 20)
    root = Repository(proxy.host, registry.repository("bundle").path).tagged("v1")
    put_bundle(stores, root, [at.at(image.digest) for image in images])
    proxy.forget()
    copy(CopyRequest(source=root, destination=registry.repository("copy"), cosign=True), Stores())
    asked = {seen.path.rpartition("/manifests/")[2] for seen in proxy.requests}
    assert not asked & {fallback_tag(image.digest) for image in images}
    assert proxy.count("GET", "/referrers/") <= 8


@pytest.mark.parametrize("name", ["bundlepipe", "imgpkg"])
def test_the_flag_of_the_command_takes_them(
    name: str, stores: Stores, registry: Registry, tmp_path: Path, run_command: Callable[..., None]
) -> None:
    at, to = registry.repository(), registry.repository()
    store = stores.repository(at, writes=True)
    image = put_image(store, file_layer("a", "content"), tag="v1")
    signature = put_sigstore_bundle(store, image)
    tar = str(tmp_path / "a.tar")
    run_command(name, "copy", "-i", str(at.tagged("v1")), "--to-tar", tar, "--cosign-signatures")
    run_command(name, "copy", "--tar", tar, "--to-repo", str(to), "--cosign-signatures")
    assert _listed(stores.repository(to), image.digest) == {signature.digest: SIGSTORE_BUNDLE}


@pytest.fixture
def run_command(tmp_path: Path) -> Callable[..., None]:
    from tests.support.command import Command

    (tmp_path / "work").mkdir()
    command = Command(tmp_path / "work", tmp_path / "links")

    def run(*arguments: str) -> None:
        done = command(*arguments)
        assert done.status == 0, done

    return run
