"""kill -9 at random moments of a copy: nothing half done, and what had arrived is not sent again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import ArchiveLocation, parse_location
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Store, find_manifest
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from tests.support.images import closure, file_layer, layers_of, put_bundle, put_image, put_index, random_layer
from tests.support.proxy import Proxy
from tests.support.services import Registry

ROUNDS = 6
COPY = """
import os, sys
from bundlepipe.events import BlobDone, ImageDone
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.location import ArchiveLocation, parse_location
from bundlepipe.verbs.copying.copy import CopyRequest, copy

def tell(event):
    if isinstance(event, BlobDone):
        os.write(1, f"blob {event.digest}\\n".encode())
    elif isinstance(event, ImageDone):
        os.write(1, f"image {event.image}\\n".encode())

source, destination = sys.argv[1:]
place = parse_location(destination)
if not isinstance(place, ArchiveLocation):
    place = place.repository
os.write(1, b"started\\n")
copy(CopyRequest(source=parse_location(source), destination=place), Stores(), emit=tell)
os.write(1, b"done\\n")
"""


def _run(source: str, destination: str, lines: int | None = None, delay: float = 0) -> list[str]:
    """Copy in a process of its own, killed some time after it printed as many lines; return all that it printed."""
    command = [sys.executable, "-c", COPY, source, destination]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    printed = [process.stdout.readline() for _ in range(lines or 0)]
    if lines is not None:
        time.sleep(delay)
        process.kill()
    rest, _ = process.communicate(timeout=120)
    assert lines is not None or process.returncode == 0
    return [line.strip() for line in (*printed, *rest.splitlines())]


def _arrived(lines: list[str]) -> set[str]:
    """Return the blobs that a copy said to have brought."""
    return {line.removeprefix("blob ") for line in lines if line.startswith("blob ")}


def _moved(proxy: Proxy, method: str) -> set[str]:
    """Return the blobs that went through a proxy whole or in part, by digest."""
    paths = [seen.path for seen in proxy.requests if seen.method == method and "/blobs/" in seen.path]
    return {"sha256:" + path.replace("%3A", ":").rpartition("sha256:")[2] for path in paths}


@pytest.fixture
def source(registry: Registry, proxy: Proxy) -> tuple[Reference, list[Manifest]]:
    """A bundle of an index and images of 40 layers in all, seen through the proxy."""
    stores = Stores()
    repository = Repository(proxy.host, registry.repository("source").path)
    store = stores.repository(repository, writes=True)
    images = [
        put_image(store, *(random_layer(30_000, 4 * number + layer) for layer in range(4))) for number in range(10)
    ]
    index = put_index(store, images[:2])
    named = [repository.at(manifest.digest) for manifest in (index, *images[2:])]
    root = repository.tagged("v1")
    return root, [*images, index, put_bundle(stores, root, named)]


def test_a_killed_copy_to_a_tar_goes_on_where_it_was(
    source: tuple[Reference, list[Manifest]], proxy: Proxy, tmp_path: Path
) -> None:
    root, manifests = source
    (tmp_path / "out").mkdir()
    archive = tmp_path / "out/bundle.tar"
    whole = ArchiveLocation(str(tmp_path / "whole.tar"))
    copy(CopyRequest(source=root, destination=whole), Stores())
    image_layers = {str(digest) for digest in layers_of(manifests[:-1])}
    chance = random.Random(5)
    arrived: set[str] = set()
    for number in range(ROUNDS):
        proxy.forget()
        lines = _run(str(root), f"tar:{archive}", lines=1 + number * 6, delay=chance.random() * 0.05)
        assert not arrived & _moved(proxy, "GET")
        arrived |= _arrived(lines) & image_layers
        assert not archive.exists() or archive.read_bytes() == Path(whole.path).read_bytes()
        if archive.exists():
            break
    assert arrived
    proxy.forget()
    lines = _run(str(root), f"tar:{archive}")
    assert lines[-1] == "done"
    assert not arrived & _moved(proxy, "GET")
    assert archive.read_bytes() == Path(whole.path).read_bytes()
    assert os.listdir(archive.parent) == ["bundle.tar"]


def test_a_killed_copy_to_a_registry_goes_on_where_it_was(
    source: tuple[Reference, list[Manifest]], registry: Registry, proxy: Proxy, make_proxy: Callable[[str], Proxy]
) -> None:
    root, manifests = source
    receiving = make_proxy(registry.host)
    destination = Repository(receiving.host, registry.repository("copy").path)
    stores = Stores()
    store = stores.repository(destination)
    image_layers = {str(digest) for digest in layers_of(manifests[:-1])}
    chance = random.Random(6)
    arrived: set[str] = set()
    for number in range(ROUNDS):
        proxy.forget()
        receiving.forget()
        lines = _run(str(root), str(destination), lines=1 + number * 9, delay=chance.random() * 0.05)
        assert not arrived & _moved(proxy, "GET")
        assert not arrived & _moved(receiving, "PUT")
        arrived |= _arrived(lines) & image_layers
        _assert_no_claim_without_content(store, manifests, lines)
    assert arrived
    proxy.forget()
    receiving.forget()
    assert _run(str(root), str(destination))[-1] == "done"
    assert not arrived & _moved(proxy, "GET")
    assert not arrived & _moved(receiving, "PUT")
    assert store.resolve("v1") == manifests[-1].digest
    for manifest in manifests:
        assert closure(store, manifest.digest)[manifest.digest] == manifest.raw


def _assert_no_claim_without_content(store: Store, manifests: list[Manifest], lines: list[str]) -> None:
    """Raise AssertionError or StoreError unless all that is found by a tag, or was said to be done, is complete."""
    said = {line.rpartition("@")[2] for line in lines if line.startswith("image ")}
    for manifest in manifests:
        if manifest.digest in said or store.has_manifest(manifest.digest):
            assert closure(store, manifest.digest)
    if find_manifest(store, "v1"):
        assert all(store.has_manifest(manifest.digest) for manifest in manifests)


def test_a_partial_tar_of_something_else_is_no_harm(
    source: tuple[Reference, list[Manifest]], registry: Registry, proxy: Proxy, tmp_path: Path
) -> None:
    root, manifests = source
    archive = tmp_path / "bundle.tar"
    arrived = _arrived(_run(str(root), f"tar:{archive}", lines=20))
    assert not archive.exists()
    image_layers = {str(digest) for digest in layers_of(manifests[:-1])}
    # A later release: the same images and one more.
    stores = Stores()
    store = stores.repository(root.repository, writes=True)
    further = put_image(store, file_layer("further", "further"))
    named = [root.repository.at(manifest.digest) for manifest in (*manifests[10:11], *manifests[2:10], further)]
    later = put_bundle(stores, root.repository.tagged("v2"), named, {"release": "2"})
    proxy.forget()
    assert _run(f"{root.repository}:v2", f"tar:{archive}")[-1] == "done"
    assert not arrived & image_layers & _moved(proxy, "GET")
    clean = tmp_path / "clean.tar"
    copy(CopyRequest(source=root.repository.tagged("v2"), destination=ArchiveLocation(str(clean))), stores)
    assert archive.read_bytes() == clean.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.tar", "clean.tar"]
    archived, manifest = stores.locate(parse_location(f"tar:{archive}"))
    assert manifest.digest == later.digest
    assert closure(archived, later.digest)


@pytest.mark.parametrize("damage", [b"", b"x" * 700, bytes(100_000)])
def test_a_damaged_partial_tar_is_no_harm(
    damage: bytes, source: tuple[Reference, list[Manifest]], tmp_path: Path
) -> None:
    root, _ = source
    archive, clean = tmp_path / "bundle.tar", tmp_path / "clean.tar"
    copy(CopyRequest(source=root, destination=ArchiveLocation(str(clean))), Stores())
    _run(str(root), f"tar:{archive}", lines=30)
    partial = tmp_path / ".bundle.tar.partial"
    content = partial.read_bytes()
    partial.write_bytes(content[:50_000] + damage + content[50_000 + len(damage) :] if damage else content[:50_000])
    copy(CopyRequest(source=root, destination=ArchiveLocation(str(archive))), Stores())
    assert archive.read_bytes() == clean.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.tar", "clean.tar"]


def test_two_copies_at_once_both_arrive(
    source: tuple[Reference, list[Manifest]], registry: Registry, make_proxy: Callable[[str], Proxy]
) -> None:
    root, manifests = source
    destination = Repository(make_proxy(registry.host).host, registry.repository("copy").path)
    command = [sys.executable, "-c", COPY, str(root), str(destination)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].splitlines()[-1] for process in processes] == [b"done", b"done"]
    store = Stores().repository(destination)
    assert store.resolve("v1") == manifests[-1].digest
    for manifest in manifests:
        assert closure(store, manifest.digest)
