"""Bundles that are not what they say: an error of the family, and the output as it was."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

import pytest

from bundlepipe.errors import IntegrityError, InvalidContent
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.filesystem.snapshots import Snapshot, snapshot
from bundlepipe.oci.labels import BUNDLE_LABEL
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, Descriptor
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.layout.store import LayoutStore
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.outputs.pulled import is_as_pulled, record_pulled
from bundlepipe.verbs.pull import pull
from bundlepipe.verbs.push import PushRequest, push
from tests.support.images import Layer, file_layer, put_bytes, put_document

EMPTY_LOCK = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
LOCK = f"{EMPTY_LOCK}images:\n"


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores({"layout.localhost": RegistrySettings(layout=str(tmp_path / "registry"))})


def _write(directory: Path, files: dict[str, str]) -> Inputs:
    for path, content in files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return Inputs([str(directory)])


def _push(stores: Stores, directory: Path, name: str, files: dict[str, str], *, tag: str = "v1") -> Repository:
    repository = Repository("layout.localhost", name)
    push(PushRequest(_write(directory, files), repository.tagged(tag), is_bundle=True), stores)
    return repository


def test_a_label_without_a_lock_is_refused(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = PushRequest(_write(tmp_path / "in", {"a": ""}), Repository("layout.localhost", "x").tagged("v1"), False)
    # Only another tool could make such an image.
    monkeypatch.setattr(PushRequest, "all_labels", {BUNDLE_LABEL: "true"})
    push(request, stores)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/before").touch()
    with pytest.raises(InvalidContent, match=r"layout\.localhost/x@sha256:\w+: \.imgpkg/images\.yml: cannot be read"):
        pull(request.destination, str(tmp_path / "out"), stores)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["before"]


def test_a_read_only_lock_is_rewritten(stores: Stores, tmp_path: Path) -> None:
    image = f"layout.localhost/elsewhere@sha256:{'ab' * 32}"
    files = {".imgpkg/images.yml": f"{LOCK}- image: {image}\n", "a": ""}
    _write(tmp_path / "in", files)
    (tmp_path / "in/.imgpkg/images.yml").chmod(0o400)
    repository = Repository("layout.localhost", "x")
    push(PushRequest(Inputs([str(tmp_path / "in")]), repository.tagged("v1"), is_bundle=True), stores)
    here = tmp_path / "registry/x/blobs/sha256" / ("ab" * 32)
    here.write_bytes(b"stands for the manifest of the image")
    pulled = pull(repository.tagged("v1"), str(tmp_path / "out"), stores)
    assert pulled.bundles[0].relocated
    assert f"image: layout.localhost/x@sha256:{'ab' * 32}" in (tmp_path / "out/.imgpkg/images.yml").read_text()


def test_a_locations_image_without_its_file_is_refused(stores: Stores, tmp_path: Path) -> None:
    repository = _push(stores, tmp_path / "in", "x", {".imgpkg/images.yml": EMPTY_LOCK})
    digest = stores.repository(repository).resolve("v1")
    tag = f"{digest.replace(':', '-')}.image-locations.imgpkg"
    push(PushRequest(_write(tmp_path / "other", {"a": ""}), repository.tagged(tag), is_bundle=False), stores)
    with pytest.raises(InvalidContent, match=r"image-locations\.yml: cannot be read"):
        pull(repository.tagged("v1"), str(tmp_path / "out"), stores)


def test_what_an_outer_bundle_put_where_a_nested_one_belongs_gives_way(stores: Stores, tmp_path: Path) -> None:
    inner = _push(stores, tmp_path / "inner", "inner", {".imgpkg/images.yml": EMPTY_LOCK, "true": "inner"})
    digest = stores.repository(inner).resolve("v1")
    nested = f".imgpkg/bundles/{digest.replace(':', '-')}"
    outer = {".imgpkg/images.yml": f"{LOCK}- image: {inner}@{digest}\n", f"{nested}/planted": "outer"}
    repository = _push(stores, tmp_path / "outer", "outer", outer)
    pulled = pull(repository.tagged("v1"), str(tmp_path / "out"), stores, recursive=True)
    assert sorted(path.name for path in (tmp_path / "out" / nested).iterdir()) == [".imgpkg", "true"]
    assert _contents(pulled.snapshot) == _contents(snapshot(Inputs([str(tmp_path / "out")], exclude=()), {}))


@pytest.mark.parametrize("output", ["out", "./out/", "../here/out"])
def test_the_snapshot_is_that_of_the_directory(
    output: str, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    inner = _push(stores, tmp_path / "inner", "inner", {".imgpkg/images.yml": EMPTY_LOCK, "a/true": "inner"})
    digest = stores.repository(inner).resolve("v1")
    outer = {".imgpkg/images.yml": f"{LOCK}- image: {inner}@{digest}\n", "b/c/d": "outer"}
    repository = _push(stores, tmp_path / "outer", "inner", outer, tag="outer")
    pulled = pull(repository.tagged("outer"), output, stores, recursive=True)
    assert [bundle.relocated for bundle in pulled.bundles] == [True, True]
    now = snapshot(Inputs([os.path.normpath(output)], exclude=()), {})
    assert _contents(pulled.snapshot) == _contents(now)
    record_pulled(output, pulled.snapshot)
    assert is_as_pulled(output)


def _contents(states: Snapshot) -> dict[str, tuple[int, str | None]]:
    return {path: (state.mode, state.sha256) for path, state in states.items()}


ONE, TWO = file_layer("a", "one"), file_layer("a", "two")


def _put(
    stores: Stores, layers: Sequence[Layer], config: object, config_type: str = DOCKER_CONFIG, name: str = "app"
) -> Reference:
    store = stores.repository(Repository("layout.localhost", name))
    for layer in layers:
        store.put_blob(layer.descriptor, partial(io.BytesIO, layer.data))
    described = put_bytes(store, json.dumps(config).encode(), config_type)
    manifest = put_document(
        store,
        DOCKER_MANIFEST,
        {"config": described.to_json(), "layers": [layer.descriptor.to_json() for layer in layers]},
        None,
    )
    return Repository("layout.localhost", name).at(manifest.digest)


def _saying(*diff_ids: object, **more: object) -> dict[str, object]:
    return {"rootfs": {"type": "layers", "diff_ids": list(diff_ids)}, **more}


def test_exchanged_layers_are_refused_where_imgpkg_lays_them_out(stores: Stores, tmp_path: Path) -> None:
    image = _put(stores, [ONE, TWO], _saying(TWO.diff_id, ONE.diff_id))
    says = (
        f"{image}: layer 1: {ONE.digest} has the DiffID {ONE.diff_id}, where the image configuration says {TWO.diff_id}"
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out/before").touch()
    with pytest.raises(IntegrityError, match=re.escape(says)):
        pull(image, str(tmp_path / "out"), stores)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["before"]


def test_a_nested_bundle_with_another_layer_is_refused(stores: Stores, tmp_path: Path) -> None:
    lock = file_layer(".imgpkg/images.yml", EMPTY_LOCK)
    inner = _put(stores, [lock], _saying(ONE.diff_id, config={"Labels": {BUNDLE_LABEL: "true"}}), name="inner")
    outer = _push(stores, tmp_path / "outer", "outer", {".imgpkg/images.yml": f"{LOCK}- image: {inner}\n"})
    with pytest.raises(
        IntegrityError, match=re.escape(f"{inner}: layer 1: {lock.digest} has the DiffID {lock.diff_id}")
    ):
        pull(outer.tagged("v1"), str(tmp_path / "out"), stores, recursive=True)
    pull(outer.tagged("v1"), str(tmp_path / "out"), stores)


@pytest.mark.parametrize("diff_ids", [[ONE.diff_id], [ONE.diff_id, TWO.diff_id, TWO.diff_id]], ids=["few", "many"])
def test_a_configuration_that_counts_other_layers_is_refused(
    stores: Stores, tmp_path: Path, diff_ids: list[str]
) -> None:
    image = _put(stores, [ONE, TWO], _saying(*diff_ids))
    says = f"{image}: the image configuration has the DiffIDs of {len(diff_ids)} layers, and the manifest has 2"
    with pytest.raises(InvalidContent, match=re.escape(says)):
        pull(image, str(tmp_path / "out"), stores)


@pytest.mark.parametrize("diff_ids", [[ONE.diff_id, 5], ["sha256:12", TWO.diff_id], 7, "sha256:12"])
def test_diff_ids_that_are_none_are_refused(stores: Stores, tmp_path: Path, diff_ids: object) -> None:
    image = _put(stores, [ONE, TWO], {"rootfs": {"type": "layers", "diff_ids": diff_ids}})
    with pytest.raises(InvalidContent, match=r"'rootfs\.diff_ids' of the image configuration is not a list of digests"):
        pull(image, str(tmp_path / "out"), stores)


@pytest.mark.parametrize(
    ("config", "config_type"),
    [
        ({}, OCI_CONFIG),
        ({"rootfs": None}, OCI_CONFIG),
        ({"rootfs": {"type": "layers", "diff_ids": None}}, DOCKER_CONFIG),
        (_saying(), DOCKER_CONFIG),
        ({"rootfs": "text"}, DOCKER_CONFIG),
        ([], "application/vnd.oci.empty.v1+json"),
        (_saying(TWO.diff_id), "application/vnd.cncf.helm.config.v1+json"),
    ],
)
def test_what_says_nothing_of_its_layers_is_laid_out(
    stores: Stores, tmp_path: Path, config: object, config_type: str
) -> None:
    """Artifacts are such images, and imgpkg lays them out."""
    pull(_put(stores, [ONE, TWO], config, config_type), str(tmp_path / "out"), stores)
    assert (tmp_path / "out/a").read_text() == "two"


@pytest.mark.parametrize("count", [1, 2])
def test_no_blob_is_read_twice(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    layers = [ONE, TWO][:count]
    image = _put(stores, layers, _saying(*(layer.diff_id for layer in layers)))
    read: list[str] = []
    read_blob = LayoutStore.read_blob

    def noted(store: LayoutStore, blob: Descriptor) -> Generator[bytes, None, None]:
        read.append(blob.digest)
        return read_blob(store, blob)

    monkeypatch.setattr(LayoutStore, "read_blob", noted)
    pull(image, str(tmp_path / "out"), stores)
    assert len(read) == len(set(read)) == count + 1
