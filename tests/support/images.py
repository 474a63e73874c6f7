"""Images of every kind in any store: with real layers and configurations, indexes, artifacts, bundles, and a world."""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
)
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Source, Store, find_manifest
from bundlepipe.verbs.push import PushRequest, push
from bundlepipe.verbs.shared.bundles import is_bundle
from tests.support.archives import END, entry

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
OCI_FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
COSIGN_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"

_AMD64 = {"architecture": "amd64", "os": "linux"}


@dataclass(frozen=True)
class Layer:
    """A layer of an image: its bytes, and the digest of the tar in them."""

    data: bytes
    diff_id: Digest
    media_type: str = DOCKER_LAYER
    urls: tuple[str, ...] = ()

    @property
    def digest(self) -> Digest:
        """The digest of the bytes."""
        return Digest.of(self.data)

    @property
    def descriptor(self) -> Descriptor:
        """What a manifest says of it."""
        return Descriptor(self.media_type, self.digest, len(self.data), self.urls)

    def as_oci(self) -> Layer:
        """Return the same bytes with OCI's media type."""
        return replace(self, media_type=OCI_FOREIGN_LAYER if self.urls else OCI_LAYER)

    def as_foreign(self, url: str = "http://127.0.0.1:9/layer") -> Layer:
        """Return the same bytes as a layer that is not to be distributed, but to be had from `url`."""
        return replace(self, media_type=FOREIGN_LAYER, urls=(url,))


def file_layer(name: str, content: bytes | str) -> Layer:
    """Return a gzipped layer with one file."""
    archive = entry(name.encode(), content if isinstance(content, bytes) else content.encode()) + END
    return Layer(gzip.compress(archive, 1, mtime=0), Digest.of(archive))


def random_layer(size: int, seed: int) -> Layer:
    """Return a layer with a file of `size` bytes that do not compress, the same for the same seed."""
    return file_layer(f"data{seed}", random.Random(seed).randbytes(size))


def plain_layer(name: str, content: str) -> Layer:
    """Return a layer that is not compressed, as OCI allows."""
    archive = entry(name.encode(), content.encode()) + END
    return Layer(archive, Digest.of(archive), OCI_PLAIN_LAYER)


EMPTY_LAYER = Layer(gzip.compress(END, mtime=0), Digest.of(END))
# The one that old builders wrote for every instruction that changed no file.
WELL_KNOWN_EMPTY_LAYER = Layer(
    bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000"), Digest.of(END)
)


def put_bytes(store: Store, data: bytes, media_type: str) -> Descriptor:
    """Store a blob and return its descriptor."""
    descriptor = Descriptor(media_type, Digest.of(data), len(data))
    store.put_blob(descriptor, lambda: io.BytesIO(data))
    return descriptor


def put_image(
    store: Store,
    *layers: Layer,
    oci: bool = False,
    tag: str | None = None,
    platform: Mapping[str, str] = _AMD64,
    absent: Iterable[Layer] = (),
) -> Manifest:
    """Store an image whose configuration fits its layers; of foreign layers those in `absent` are left out."""
    kept = [layer.as_oci() if oci and layer.media_type != OCI_PLAIN_LAYER else layer for layer in layers]
    left_out = {layer.digest for layer in absent}
    for layer in {layer.digest: layer for layer in kept if layer.digest not in left_out}.values():
        store.put_blob(layer.descriptor, partial(io.BytesIO, layer.data))
    configuration = {
        **platform,
        "config": {},
        "history": [{"created_by": "test"} for _ in kept],
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in kept]},
    }
    config = put_bytes(store, json.dumps(configuration).encode(), OCI_CONFIG if oci else DOCKER_CONFIG)
    return put_document(
        store,
        OCI_MANIFEST if oci else DOCKER_MANIFEST,
        {"config": config.to_json(), "layers": [layer.descriptor.to_json() for layer in kept]},
        tag,
    )


def put_images(store: Store, count: int, *shared: Layer, own: int = 1, name: str = "image") -> list[Manifest]:
    """Store as many images, each of the shared layers and `own` small ones that no other image has."""
    return [
        put_image(store, *shared, *(file_layer(f"{name}{number}", f"layer {layer}") for layer in range(own)))
        for number in range(count)
    ]


def put_index(
    store: Store,
    children: Sequence[Manifest],
    *,
    oci: bool = True,
    tag: str | None = None,
    architectures: Sequence[str] = ("amd64", "arm64", "s390x"),
) -> Manifest:
    """Store an index of manifests (or indexes) that are there already, for these architectures in turn."""
    entries: list[dict[str, Any]] = [child.descriptor.to_json() for child in children]
    for number, (child, described) in enumerate(zip(children, entries, strict=True)):
        if not child.is_index:
            described["platform"] = {"os": "linux", "architecture": architectures[number]}
    return put_document(store, OCI_INDEX if oci else DOCKER_LIST, {"manifests": entries}, tag)


def put_cosign(store: Store, subject: Manifest, suffix: str = "sig", *, oci: bool = True) -> Manifest:
    """Store an artifact (`sig`, `att` or `sbom`) of a manifest the way cosign does, by the name of its tag."""
    payload = json.dumps({"critical": {"image": {"docker-manifest-digest": subject.digest}}, "kind": suffix}).encode()
    layer = put_bytes(store, payload, COSIGN_PAYLOAD)
    diff_ids = {"rootfs": {"type": "layers", "diff_ids": [layer.digest]}, "architecture": "", "os": "", "config": {}}
    config = put_bytes(store, json.dumps(diff_ids).encode(), OCI_CONFIG if oci else DOCKER_CONFIG)
    signed = {**layer.to_json(), "annotations": {"dev.cosignproject.cosign/signature": "MEUCIQ=="}}
    media_type = OCI_MANIFEST if oci else DOCKER_MANIFEST
    document = {"config": config.to_json(), "layers": [signed]}
    return put_document(store, media_type, document, cosign_tag(subject.digest, suffix))


def cosign_tag(digest: Digest, suffix: str = "sig") -> str:
    """Return the tag by which cosign finds an artifact."""
    return f"{digest.algorithm}-{digest.encoded}.{suffix}"


def put_referrer(
    store: Store, subject: Manifest, artifact_type: str = "application/spdx+json", *, fallback: bool = True
) -> Manifest:
    """Store a manifest that refers to a subject (OCI 1.1).

    With `fallback` it is listed in the index by the tag of the subject's digest, as clients
    do where the registry has no referrers API.
    """
    empty = put_bytes(store, b"{}", OCI_EMPTY)
    layer = put_bytes(store, json.dumps({"of": subject.digest, "type": artifact_type}).encode(), artifact_type)
    document = {
        "artifactType": artifact_type,
        "config": empty.to_json(),
        "layers": [layer.to_json()],
        "subject": subject.descriptor.to_json(),
    }
    referrer = put_document(store, OCI_MANIFEST, document)
    if fallback:
        _list_referrer(store, subject, {**referrer.descriptor.to_json(), "artifactType": artifact_type})
    return referrer


def fallback_tag(digest: Digest) -> str:
    """Return the tag of the index that lists the referrers of a manifest (OCI distribution specification 1.1)."""
    return f"{digest.algorithm}-{digest.encoded}"


def _list_referrer(store: Store, subject: Manifest, described: dict[str, Any]) -> None:
    tag = fallback_tag(subject.digest)
    present = find_manifest(store, tag)
    entries = json.loads(present.raw)["manifests"] if present else []
    put_document(store, OCI_INDEX, {"manifests": [*entries, described]}, tag)


def put_document(store: Store, media_type: str, document: dict[str, Any], tag: str | None = None) -> Manifest:
    """Store a manifest or index that says what `document` does."""
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
    manifest = Manifest(media_type, raw)
    store.put_manifest(manifest, tag)
    return manifest


def put_bundle(
    stores: Stores,
    destination: Reference,
    images: Iterable[Reference],
    files: Mapping[str, str] | None = None,
) -> Manifest:
    """Push a bundle whose images.yml names these images, and return its manifest."""
    lock = ImagesLock(tuple(ImageRef(image, {KBLD_ID: str(image)}) for image in images))
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / ".imgpkg").mkdir()
        (Path(directory) / ".imgpkg/images.yml").write_bytes(lock.to_bytes())
        for name, content in (files or {"config.yml": f"of: {destination.repository.path}\n"}).items():
            (Path(directory) / name).write_text(content)
        pushed = push(PushRequest(Inputs([directory]), destination, is_bundle=True), stores)
    assert pushed.reference.digest
    return stores.repository(destination.repository).read_manifest(pushed.reference.digest)


@dataclass
class World:
    """A bundle of bundles, spread over repositories, with everything that may lie in its way.

    manifests: all that a copy takes along, children of indexes included, artifacts not.
    bundles: by name; `contents` has the entries of each one's images.yml.
    images: where the images and bundles are, by name.
    foreign: the layers of an image that are not to be distributed; nobody has them.
    cosign: artifacts by their tags. referrers: what refers to a manifest.
    """

    root: Reference
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    bundles: dict[str, Manifest] = field(default_factory=dict)
    contents: dict[str, list[str]] = field(default_factory=dict)
    images: dict[str, Reference] = field(default_factory=dict)
    foreign: dict[Digest, tuple[Digest, ...]] = field(default_factory=dict)
    cosign: dict[str, Manifest] = field(default_factory=dict)
    referrers: dict[Digest, list[Manifest]] = field(default_factory=dict)

    @property
    def root_digest(self) -> Digest:
        """The digest of the outermost bundle."""
        return self.bundles["outer"].digest

    @property
    def artifacts(self) -> list[Manifest]:
        """Everything that refers to something else."""
        return [*self.cosign.values(), *(one for several in self.referrers.values() for one in several)]

    @property
    def left_out(self) -> set[Digest]:
        """All layers that are not to be distributed."""
        return {layer for layers in self.foreign.values() for layer in layers}

    @property
    def blobs(self) -> set[Digest]:
        """The blobs of all manifests that can be distributed."""
        return blobs_of(self.manifests.values()) - self.left_out


def blobs_of(manifests: Iterable[Manifest]) -> set[Digest]:
    """Return the digests of the configurations and layers of manifests."""
    images = [manifest for manifest in manifests if not manifest.is_index]
    return {blob.digest for image in images for blob in (image.config, *image.layers)}


def layers_of(manifests: Iterable[Manifest]) -> set[Digest]:
    """Return the digests of the layers of manifests."""
    return {layer.digest for manifest in manifests if not manifest.is_index for layer in manifest.layers}


class _Builder:
    """Puts the parts of a world into repositories of their own."""

    def __init__(self, stores: Stores, repository: Callable[[str], Repository]) -> None:
        self.stores = stores
        self.repositories = repository
        self.world = World(repository("outer").tagged("v1"))

    def store(self, repository: Repository) -> Store:
        return self.stores.repository(repository, writes=True)

    def take(self, name: str, repository: Repository, *manifests: Manifest) -> Manifest:
        """Remember manifests, the first of them by its name."""
        self.world.images[name] = repository.at(manifests[0].digest)
        self.world.manifests.update({manifest.digest: manifest for manifest in manifests})
        return manifests[0]

    def bundle(self, name: str, *contents: str) -> Manifest:
        repository = self.world.root.repository if name == "outer" else self.repositories(name)
        references = [self.world.images[content] for content in contents]
        manifest = put_bundle(self.stores, repository.tagged("v1"), references)
        self.world.bundles[name] = manifest
        self.world.contents[name] = list(contents)
        return self.take(name, repository, manifest)

    def sign(self, name: str, suffix: str = "sig", *, oci: bool = True, child: Manifest | None = None) -> None:
        image = self.world.images[name]
        assert image.digest
        subject = child or self.world.manifests[image.digest]
        signature = put_cosign(self.store(image.repository), subject, suffix, oci=oci)
        self.world.cosign[cosign_tag(subject.digest, suffix)] = signature

    def refer(self, name: str, artifact_type: str, *, to: Manifest | None = None) -> Manifest:
        image = self.world.images[name]
        assert image.digest
        subject = to or self.world.manifests[image.digest]
        referrer = put_referrer(self.store(image.repository), subject, artifact_type)
        self.world.referrers.setdefault(subject.digest, []).append(referrer)
        return referrer


def make_world(stores: Stores, repository: Callable[[str], Repository]) -> World:
    """Make the world in repositories that `repository` gives by name.

    outer (a bundle): middle (a bundle): inner (a bundle): app, index
                                         database, windows
                      app, all (an index of indexes), odd
    """
    builder = _Builder(stores, repository)
    base, shared = random_layer(40_000, 1), file_layer("shared", "shared")
    _put_plain_images(builder, base, shared)
    _put_indexes(builder, base, shared)
    builder.bundle("inner", "app", "index")
    builder.bundle("middle", "inner", "database", "windows")
    builder.bundle("outer", "middle", "app", "all", "odd")
    _put_artifacts(builder)
    return builder.world


def _put_plain_images(builder: _Builder, base: Layer, shared: Layer) -> None:
    app, database = builder.repositories("app"), builder.repositories("database")
    builder.take("app", app, put_image(builder.store(app), base, shared, file_layer("app", "app"), tag="v1"))
    oci = put_image(builder.store(database), base, plain_layer("data", "data"), oci=True)
    builder.take("database", database, oci)
    windows = builder.repositories("windows")
    foreign = file_layer("kernel32.dll", "not ours").as_foreign()
    image = put_image(builder.store(windows), foreign, file_layer("app.exe", "app"), absent=[foreign])
    builder.take("windows", windows, image)
    builder.world.foreign[image.digest] = (foreign.digest,)
    odd = builder.repositories("odd")
    layers = (shared, EMPTY_LAYER, shared, WELL_KNOWN_EMPTY_LAYER, shared, EMPTY_LAYER)
    builder.take("odd", odd, put_image(builder.store(odd), *layers))


def _put_indexes(builder: _Builder, base: Layer, shared: Layer) -> None:
    repository = builder.repositories("multi")
    store = builder.store(repository)

    def children(name: str, *, oci: bool) -> list[Manifest]:
        return [
            put_image(store, base, file_layer(name, architecture), oci=oci, platform=_linux(architecture))
            for architecture in ("amd64", "arm64")
        ]

    first, second = children("tool", oci=True), children("helper", oci=False)
    index, listed = put_index(store, first), put_index(store, second, oci=False)
    lonely = put_image(store, shared, file_layer("lonely", "lonely"), oci=True)
    builder.take("index", repository, index, *first)
    builder.take("all", repository, put_index(store, [index, listed, lonely]), listed, *second, lonely)


def _linux(architecture: str) -> dict[str, str]:
    return {"architecture": architecture, "os": "linux"}


def _put_artifacts(builder: _Builder) -> None:
    world = builder.world
    builder.sign("app")
    builder.sign("app", "sbom", oci=False)
    builder.sign("index", "att")
    child = next(child for child in world.manifests[_digest(world.images["index"])].children)
    builder.sign("index", child=world.manifests[child.digest])
    builder.sign("inner")
    builder.sign("outer")
    bill = builder.refer("app", "application/spdx+json")
    builder.refer("app", "application/vnd.in-toto+json")
    builder.refer("app", "application/vnd.example.signature", to=bill)
    builder.refer("index", "application/spdx+json")
    builder.refer("middle", "application/spdx+json")


def _digest(reference: Reference) -> Digest:
    assert reference.digest
    return reference.digest


def closure(store: Source, root: Digest, left_out: Iterable[Digest] = ()) -> dict[Digest, bytes]:
    """Read a manifest, all below it and their blobs (but those in `left_out`); return the bytes of the manifests.

    What the store does not have, or not as its digest says, is an error.
    """
    found: dict[Digest, bytes] = {}
    without = set(left_out)
    pending = [root]
    while pending:
        digest = pending.pop()
        if digest in found:
            continue
        manifest = store.read_manifest(digest)
        found[digest] = manifest.raw
        pending += [child.digest for child in manifest.children] if manifest.is_index else []
        for blob in () if manifest.is_index else (manifest.config, *manifest.layers):
            if blob.digest not in without:
                without.add(blob.digest)
                assert Digest.of(b"".join(store.read_blob(blob))) == blob.digest
    return found


def assert_whole(store: Source, world: World, *, artifacts: bool = False) -> None:
    """Raise AssertionError or StoreError unless a store has all of a world, byte for byte."""
    expected = {manifest.digest: manifest.raw for manifest in world.manifests.values()}
    if artifacts:
        expected |= {manifest.digest: manifest.raw for manifest in world.artifacts}
    found: dict[Digest, bytes] = {}
    for digest in expected:
        found |= closure(store, digest, world.left_out)
    assert found == expected
    assert all(is_bundle(store, bundle) for bundle in world.bundles.values())


def basic(username: str, password: str) -> str:
    """Return the `auth` of an entry in Docker's configuration."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()
