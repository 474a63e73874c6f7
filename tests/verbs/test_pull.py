"""Bundles that are not what they say: an error of the family, and the output as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundlepipe.errors import InvalidContent
from bundlepipe.oci.inputs import Inputs
from bundlepipe.oci.labels import BUNDLE_LABEL
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.homes import Homes
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.pull import pull
from bundlepipe.verbs.push import PushRequest, push

EMPTY_LOCK = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
LOCK = f"{EMPTY_LOCK}images:\n"


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    return Homes({"layout.localhost": RegistrySettings(layout=str(tmp_path / "registry"))})


def _write(directory: Path, files: dict[str, str]) -> Inputs:
    for path, content in files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return Inputs([str(directory)])


def _push(homes: Homes, directory: Path, name: str, files: dict[str, str], *, tag: str = "v1") -> Repository:
    repository = Repository("layout.localhost", name)
    push(PushRequest(_write(directory, files), repository.tagged(tag), is_bundle=True), homes)
    return repository


def test_a_label_without_a_lock_is_refused(homes: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = PushRequest(_write(tmp_path / "in", {"a": ""}), Repository("layout.localhost", "x").tagged("v1"), False)
    # Only another tool could make such an image.
    monkeypatch.setattr(PushRequest, "all_labels", {BUNDLE_LABEL: "true"})
    push(request, homes)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/before").touch()
    with pytest.raises(InvalidContent, match=r"layout\.localhost/x@sha256:\w+: \.imgpkg/images\.yml: cannot be read"):
        pull(request.destination, str(tmp_path / "out"), homes)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["before"]


def test_a_read_only_lock_is_rewritten(homes: Homes, tmp_path: Path) -> None:
    image = f"layout.localhost/elsewhere@sha256:{'ab' * 32}"
    files = {".imgpkg/images.yml": f"{LOCK}- image: {image}\n", "a": ""}
    _write(tmp_path / "in", files)
    (tmp_path / "in/.imgpkg/images.yml").chmod(0o400)
    repository = Repository("layout.localhost", "x")
    push(PushRequest(Inputs([str(tmp_path / "in")]), repository.tagged("v1"), is_bundle=True), homes)
    here = tmp_path / "registry/x/blobs/sha256" / ("ab" * 32)
    here.write_bytes(b"stands for the manifest of the image")
    pulled = pull(repository.tagged("v1"), str(tmp_path / "out"), homes)
    assert pulled.bundles[0].relocated
    assert f"image: layout.localhost/x@sha256:{'ab' * 32}" in (tmp_path / "out/.imgpkg/images.yml").read_text()


def test_a_locations_image_without_its_file_is_refused(homes: Homes, tmp_path: Path) -> None:
    repository = _push(homes, tmp_path / "in", "x", {".imgpkg/images.yml": EMPTY_LOCK})
    digest = homes.repository(repository).resolve("v1")
    tag = f"{digest.replace(':', '-')}.image-locations.imgpkg"
    push(PushRequest(_write(tmp_path / "other", {"a": ""}), repository.tagged(tag), is_bundle=False), homes)
    with pytest.raises(InvalidContent, match=r"image-locations\.yml: cannot be read"):
        pull(repository.tagged("v1"), str(tmp_path / "out"), homes)


def test_what_an_outer_bundle_put_where_a_nested_one_belongs_gives_way(homes: Homes, tmp_path: Path) -> None:
    inner = _push(homes, tmp_path / "inner", "inner", {".imgpkg/images.yml": EMPTY_LOCK, "true": "inner"})
    digest = homes.repository(inner).resolve("v1")
    nested = f".imgpkg/bundles/{digest.replace(':', '-')}"
    outer = {".imgpkg/images.yml": f"{LOCK}- image: {inner}@{digest}\n", f"{nested}/planted": "outer"}
    repository = _push(homes, tmp_path / "outer", "outer", outer)
    pull(repository.tagged("v1"), str(tmp_path / "out"), homes, recursive=True)
    assert sorted(path.name for path in (tmp_path / "out" / nested).iterdir()) == [".imgpkg", "true"]
