"""What bundlepipe pushes, other clients read, and what they write, bundlepipe reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.image import config_json
from bundlepipe.oci.labels import BUNDLE_LABEL
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import LayoutLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Store
from bundlepipe.verbs.pull import pull
from bundlepipe.verbs.push import Pushed, PushRequest, push
from tests.support.services import Registry, program, require

TREES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/imgpkg-trees.json").read_text())
LOCK = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages: []\n"


def _write_tree(directory: Path, tree: list[dict[str, str]]) -> None:
    for entry in tree:
        path = directory / entry["path"]
        if entry["kind"] == "dir":
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.write_text(entry["content"])
    for entry in reversed(tree):
        (directory / entry["path"]).chmod(int(entry["mode"], 8))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The directory of a bundle with an executable, an empty directory and names beyond ASCII."""
    directory = tmp_path / "bundle"
    (directory / ".imgpkg").mkdir(parents=True)
    (directory / ".imgpkg/images.yml").write_text(LOCK)
    (directory / "empty").mkdir()
    (directory / "deep/er").mkdir(parents=True)
    (directory / "deep/er/café.yml").write_text("kind: Service\n")
    (directory / ("n" * 120 + ".yml")).write_text("kind: Long\n")
    script = directory / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return directory


def _push(directory: Path, repository: Repository, stores: Stores, *, is_bundle: bool = True) -> Pushed:
    return push(PushRequest(Inputs([str(directory)]), repository.tagged("v1"), is_bundle), stores)


def _listing(directory: Path) -> dict[str, tuple[str, bytes]]:
    """Return kind, permission of the owner, and content of everything below a directory."""
    return {
        str(path.relative_to(directory)): (
            "directory" if path.is_dir() else oct(path.stat().st_mode & 0o700),
            b"" if path.is_dir() else path.read_bytes(),
        )
        for path in directory.rglob("*")
    }


def _run(service: str, *arguments: object, cwd: Path | None = None) -> str:
    command = [program(service), *map(str, arguments)]
    finished = subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize("name", TREES)
def test_a_real_push_has_the_identity_that_imgpkg_gives(name: str, registry: Registry, tmp_path: Path) -> None:
    tree = TREES[name]
    _write_tree(tmp_path, tree["tree"])
    is_bundle = tree["kind"] == "bundle"
    inputs = Inputs([str(tmp_path / path) for path in tree["inputs"]])
    repository = registry.repository()
    stores = Stores()
    pushed = push(PushRequest(inputs, repository.tagged("v1"), is_bundle), stores)
    manifest = stores.repository(repository).read_manifest("v1")
    assert manifest.config.digest == pushed.image.image_id == tree["expect"]["image_id"]
    assert pushed.image.diff_id == tree["expect"]["diff_id"]
    labels = {BUNDLE_LABEL: "true"} if is_bundle else {}
    assert Digest.of(config_json(Digest(tree["expect"]["diff_id"]), labels)) == tree["expect"]["image_id"]


def test_skopeo_inspects_and_copies_what_was_pushed(bundle: Path, registry: Registry, tmp_path: Path) -> None:
    require("skopeo")
    repository = registry.repository()
    stores = Stores()
    pushed = _push(bundle, repository, stores)
    source = f"docker://{repository}:v1"
    inspected = json.loads(_run("skopeo", "inspect", "--tls-verify=false", source))
    assert inspected["Digest"] == pushed.reference.digest
    assert inspected["Labels"] == {BUNDLE_LABEL: "true"}

    for options in ([], ["--preserve-digests"]):
        layout = tmp_path / f"layout{len(options)}"
        _run("skopeo", "copy", "--src-tls-verify=false", *options, source, f"oci:{layout}:v1")
        output = tmp_path / f"output{len(options)}"
        pulled = pull(LayoutLocation(str(layout), "v1"), str(output), stores)
        assert (pulled.digest == pushed.reference.digest) == bool(options)
        assert _listing(output) == _listing(bundle)


def test_the_engine_pulls_what_was_pushed(bundle: Path, registry: Registry) -> None:
    require("docker")
    import docker

    repository = registry.repository()
    pushed = _push(bundle, repository, Stores())
    engine = docker.from_env()
    image = engine.images.pull(str(repository), tag="v1")
    try:
        assert image.id == pushed.image.image_id
        assert image.labels == {BUNDLE_LABEL: "true"}
    finally:
        engine.images.remove(f"{repository}:v1", force=True)
        engine.close()


def test_our_layouts_keep_manifests_and_skopeo_converts_them(bundle: Path, registry: Registry, tmp_path: Path) -> None:
    for service in ("skopeo", "umoci"):
        require(service)
    stores = Stores()
    remote = registry.repository()
    pushed = _push(bundle, remote, stores)
    local = Repository("layout.localhost", str(os.path.relpath(tmp_path / "ours", "build/registry")))
    kept = push(PushRequest(Inputs([str(bundle)]), local.tagged("v1"), True), stores)
    assert stores.repository(local).read_manifest("v1").raw == stores.repository(remote).read_manifest("v1").raw
    assert kept.reference.digest == pushed.reference.digest

    _run("skopeo", "copy", f"oci:{tmp_path / 'ours'}", f"oci:{tmp_path / 'converted'}:v1")
    _run("umoci", "raw", "unpack", "--rootless", "--image", f"{tmp_path / 'converted'}:v1", tmp_path / "tree")
    assert _listing(tmp_path / "tree") == _listing(bundle)


def _copy_image(source: Store, digest: Digest, destination: Store) -> None:
    manifest = source.read_manifest(digest)
    for blob in (manifest.config, *manifest.layers):
        content = b"".join(source.read_blob(blob))
        import io

        destination.put_blob(blob, lambda content=content: io.BytesIO(content))  # type: ignore[misc]
    destination.put_manifest(manifest)


def _bundle_of(directory: Path, images: list[Reference]) -> None:
    (directory / ".imgpkg").mkdir(parents=True, exist_ok=True)
    entries = "".join(f"- image: {image}\n" for image in images)
    lock = f"apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n{entries}"
    (directory / ".imgpkg/images.yml").write_text(lock)


@pytest.fixture
def nested(registry: Registry, tmp_path: Path) -> tuple[Stores, Repository, list[Pushed]]:
    """An outer bundle of an inner bundle and an image; the inner one names the image too."""
    stores = Stores()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("hello")
    image = _push(tmp_path / "site", registry.repository("site"), stores, is_bundle=False)
    _bundle_of(tmp_path / "inner", [image.reference])
    inner = _push(tmp_path / "inner", registry.repository("inner"), stores)
    _bundle_of(tmp_path / "outer", [image.reference, inner.reference])
    repository = registry.repository("outer")
    return stores, repository, [image, inner, _push(tmp_path / "outer", repository, stores)]


def test_one_missing_image_leaves_images_yml_untouched(
    nested: tuple[Stores, Repository, list[Pushed]], tmp_path: Path
) -> None:
    stores, repository, (image, _, _) = nested
    _copy_image(
        stores.repository(image.reference.repository), _digest(image), stores.repository(repository, writes=True)
    )
    pulled = pull(repository.tagged("v1"), str(tmp_path / "out"), stores, recursive=True)
    assert [bundle.relocated for bundle in pulled.bundles] == [False, False]
    assert (tmp_path / "out/.imgpkg/images.yml").read_text() == (tmp_path / "outer/.imgpkg/images.yml").read_text()


def test_images_in_the_bundles_own_repository_are_relocated_nested_ones_too(
    nested: tuple[Stores, Repository, list[Pushed]], tmp_path: Path
) -> None:
    stores, repository, (image, inner, _) = nested
    own = stores.repository(repository, writes=True)
    for pushed in (image, inner):
        _copy_image(stores.repository(pushed.reference.repository), _digest(pushed), own)
    output = tmp_path / "out"
    pulled = pull(repository.tagged("v1"), str(output), stores, recursive=True)
    nested_directory = f".imgpkg/bundles/{_digest(inner).replace(':', '-')}"
    assert [(bundle.path, bundle.relocated) for bundle in pulled.bundles] == [(".", True), (nested_directory, True)]
    lock = (output / ".imgpkg/images.yml").read_text()
    assert f"image: {repository}@{_digest(image)}" in lock and f"image: {repository}@{_digest(inner)}" in lock
    assert f"image: {repository}@{_digest(image)}" in (output / nested_directory / ".imgpkg/images.yml").read_text()


def test_the_locations_image_answers_for_all_images(
    nested: tuple[Stores, Repository, list[Pushed]], tmp_path: Path, registry: Registry
) -> None:
    stores, repository, (image, inner, outer) = nested
    own = stores.repository(repository, writes=True)
    for pushed in (image, inner):
        _copy_image(stores.repository(pushed.reference.repository), _digest(pushed), own)
    locations = tmp_path / "locations"
    locations.mkdir()
    (locations / "image-locations.yml").write_text(
        "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nimages:\n"
        f"- image: {image.reference}\n  isBundle: false\n- image: {inner.reference}\n  isBundle: true\n"
        "kind: ImageLocations\n"
    )
    tag = f"{_digest(outer).replace(':', '-')}.image-locations.imgpkg"
    push(PushRequest(Inputs([str(locations)]), repository.tagged(tag), False), stores)
    # With the origins gone, only the bundle's own repository can answer.
    content = registry.directory / "content/docker/registry/v2/repositories"
    for pushed in (image, inner):
        shutil.rmtree(content / pushed.reference.repository.path)
    pulled = pull(repository.tagged("v1"), str(tmp_path / "out"), stores, recursive=True)
    assert [bundle.relocated for bundle in pulled.bundles] == [True, True]
    assert {bundle.store_name for bundle in pulled.bundles} == {str(repository)}


def _digest(pushed: Pushed) -> Digest:
    assert pushed.reference.digest
    return pushed.reference.digest
