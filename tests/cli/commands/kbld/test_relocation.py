"""package, unpackage and relocate of kbld: what cannot be compared with the program itself."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.archive.manifest import FILE_NAME
from bundlepipe.stores.archive.reader import ArchiveStore
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.opening import Stores
from tests.support.command import Command
from tests.support.images import file_layer, put_image, put_index
from tests.support.proxy import Proxy
from tests.support.services import Registry


def put(repository: Repository) -> Reference:
    """Put an index of two images, which have a layer in common, into a repository."""
    store = Stores().repository(repository, writes=True)
    base = file_layer("base", "base")
    return repository.at(put_index(store, [put_image(store, base, file_layer("own", name)) for name in "ab"]).digest)


@pytest.fixture
def image(command: Command, registry: Registry) -> Reference:
    """An index that configuration names."""
    reference = put(registry.repository("app"))
    (command.directory / "app.yml").write_text(f"image: {reference}  # the app\n")
    return reference


def test_documents_are_edited_in_place_and_not_annotated(
    command: Command, registry: Registry, image: Reference
) -> None:
    there = registry.repository("there")
    done = command("kbld", "relocate", "-f", "app.yml", "-r", f"{there}")
    assert done.stdout == f"---\nimage: {there}@{image.digest}  # the app\n"
    assert list(Stores().repository(there).list_tags()) == [f"kbld-{str(image.digest).replace(':', '-')}"]


def test_what_is_there_is_not_sent_again(command: Command, registry: Registry, proxy: Proxy) -> None:
    image = put(Repository(proxy.host, registry.repository("app").path))
    there = Repository(proxy.host, registry.repository("there").path)
    (command.directory / "app.yml").write_text(f"image: {image}\n")
    line = ["kbld", "relocate", "-f", "app.yml", "-r", f"{there}"]
    first = command(*line)
    assert first.stdout == f"---\nimage: {there}@{image.digest}\n"
    proxy.forget()
    assert command(*line).stdout == first.stdout
    assert {seen.method for seen in proxy.requests} <= {"GET", "HEAD"}
    assert not [seen for seen in proxy.requests if "/blobs/" in seen.path and seen.path.startswith(f"/v2/{there.path}")]


def test_a_package_that_fails_leaves_what_is_there(command: Command, registry: Registry, image: Reference) -> None:
    old = command.directory / "app.tar"
    old.write_text("old\n")
    assert image.digest
    store = Stores().repository(image.repository)
    member = store.read_manifest(store.read_manifest(image.digest).children[0].digest)
    registry.blob_file(member.layers[0].digest).unlink()
    failed = command("kbld", "package", "-f", "app.yml", "-o", "app.tar").failed
    assert member.layers[0].digest in failed
    assert old.read_text() == "old\n"


def test_a_tar_has_each_layer_once_and_tells_nothing_of_imgpkg(
    command: Command, registry: Registry, image: Reference
) -> None:
    command("kbld", "package", "-f", "app.yml", "-o", "app.tar")
    with tarfile.open(command.directory / "app.tar") as tar:
        names = tar.getnames()
        content = tar.extractfile(FILE_NAME)
        assert content
        index = json.load(content)[0]["ImageIndex"]
    assert names == [FILE_NAME, *sorted(names[1:])]
    assert len(names) == 4
    keys = ["Refs", "Images", "Indexes", "MediaType", "Digest", "Raw"]
    assert (list(index), list(index["Images"][0])) == (keys, ["Refs", "Layers", "Config", "Manifest"])
    there = registry.repository("there")
    command.silently("imgpkg", "copy", "--tar", "app.tar", "--to-repo", f"{there}")
    _, manifest = Stores().locate(ArchiveLocation(str(command.directory / "app.tar")))
    assert manifest.digest == image.digest
    assert Stores().repository(there).has_manifest(manifest.digest)


def test_tars_of_docker_save(command: Command, registry: Registry) -> None:
    manifest = json.dumps([{"Config": "x.json", "RepoTags": ["app:1"], "Layers": []}]).encode()
    with tarfile.open(command.directory / "app.tar", "w") as tar:
        entry = tarfile.TarInfo(FILE_NAME)
        entry.size = len(manifest)
        tar.addfile(entry, io.BytesIO(manifest))
    failed = command("kbld", "unpackage", "-i", "app.tar", "-r", f"{registry.repository('there')}").failed
    assert "was written by docker save" in failed


@pytest.mark.parametrize("name", ["unpackage", "relocate"])
def test_nothing_at_once(command: Command, name: str) -> None:
    """With which kbld waits for itself."""
    failed = command("kbld", name, "-r", "r.example/app", "-f", "app.yml", "--concurrency", "0").failed
    assert "0 is not in the range x>=1" in failed


@pytest.mark.parametrize(("alias", "name"), [("pkg", "package"), ("unpkg", "unpackage")])
def test_aliases(command: Command, alias: str, name: str) -> None:
    assert command("kbld", alias, "--help").output == command("kbld", name, "--help").output


@pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])
def test_other_names_have_none_of_them(command: Command, tool: str) -> None:
    assert "package" in command(tool, "package").failed


@pytest.mark.parametrize("number", ["0x10", "0b11", "010", "1_0"])
def test_numbers_are_as_go_writes_them(command: Command, image: Reference, number: str) -> None:
    assert image.digest
    done = command("kbld", "package", "-f", "app.yml", "-o", "app.tar", "--concurrency", number)
    assert done.status == 0, done


def test_what_an_index_lists_again_and_again_is_read_once(command: Command, registry: Registry, proxy: Proxy) -> None:
    repository = Repository(proxy.host, registry.repository("app").path)
    store = Stores().repository(repository, writes=True)
    image = put_image(store, file_layer("a", "a"))
    index = put_index(store, [image])
    for _ in range(4):
        index = put_index(store, [index, index])
    (command.directory / "app.yml").write_text(f"image: {repository.at(index.digest)}\n")
    proxy.forget()
    assert command("kbld", "package", "-f", "app.yml", "-o", "app.tar").status == 0
    assert len([seen for seen in proxy.requests if "/manifests/" in seen.path]) == 6
    (archived,) = ArchiveStore(str(command.directory / "app.tar")).entries
    assert sum(not each.manifest.is_index for each in archived.walk()) == 16


def test_indexes_without_end_are_refused(command: Command, registry: Registry) -> None:
    repository = registry.repository("app")
    store = Stores().repository(repository, writes=True)
    index = put_index(store, [put_image(store, file_layer("a", "a"))])
    for _ in range(20):
        index = put_index(store, [index, index])
    (command.directory / "app.yml").write_text(f"image: {repository.at(index.digest)}\n")
    assert "lists more than 100000 manifests" in command("kbld", "package", "-f", "app.yml", "-o", "app.tar").failed
    for _ in range(20):
        index = put_index(store, [index])
    (command.directory / "app.yml").write_text(f"image: {repository.at(index.digest)}\n")
    assert "lies below more than 32 indexes" in command("kbld", "package", "-f", "app.yml", "-o", "app.tar").failed


def test_imgpkgs_hint_is_not_kblds(command: Command, registry: Registry, image: Reference) -> None:
    with tarfile.open(command.directory / "other.tar", "w"):
        pass
    line = ["kbld", "unpackage", "-f", "app.yml", "-i", "other.tar", "-r", str(registry.repository("there"))]
    assert command(*line).failed.endswith("kbld: Error: file manifest.json not found in tar\n")
