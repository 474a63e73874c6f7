"""The layout home: which image is meant, who writes at once, what is refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundlepipe.errors import IntegrityError, NotFound, StoreError
from bundlepipe.oci import bounded_json
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.layout.store import LayoutStore
from bundlepipe.verbs.shared.bundles import internal_tag, locations_tag
from tests.support.images import cosign_tag, fallback_tag, file_layer, put_image, put_images


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(str(tmp_path / "layout"))


def _digests(store: LayoutStore, count: int) -> list[Digest]:
    return [image.digest for image in put_images(store, count)]


def _tag(store: LayoutStore, digest: Digest, *tags: str) -> None:
    for tag in tags:
        store.put_manifest(store.read_manifest(digest), tag)


def test_the_only_image_needs_no_tag(store: LayoutStore) -> None:
    (only,) = _digests(store, 1)
    assert store.sole_image() == (only, None)
    _tag(store, only, "v1")
    assert store.sole_image() == (only, "v1")
    _tag(store, only, "v2")
    assert store.sole_image() == (only, None)


def test_the_image_with_a_tag_of_its_own_is_meant(store: LayoutStore) -> None:
    bundle, image = _digests(store, 2)
    _tag(store, image, locations_tag(bundle), cosign_tag(bundle), fallback_tag(bundle), internal_tag(bundle))
    _tag(store, bundle, "v1")
    assert store.sole_image() == (bundle, "v1")


@pytest.mark.parametrize("tags", [(), ("v1", "v2")])
def test_which_of_several_images_has_to_be_said(store: LayoutStore, tags: tuple[str, ...]) -> None:
    digests = _digests(store, 2)
    for digest, tag in zip(digests, tags, strict=False):
        _tag(store, digest, tag)
    choice = ", ".join(tags) or "none has a tag"
    with pytest.raises(StoreError, match=rf"holds 2 images: say which with .*:TAG \({choice}\)"):
        store.sole_image()


def test_what_other_tools_wrote_into_the_index_stays(store: LayoutStore) -> None:
    (first,) = _digests(store, 1)
    path = Path(store.directory, "index.json")
    index = json.loads(path.read_text())
    index["annotations"] = {"of": "another tool"}
    index["manifests"][0]["platform"] = {"os": "linux", "architecture": "amd64"}
    path.write_text(json.dumps(index))
    _tag(store, first, "v1")
    again = json.loads(path.read_text())
    assert again["annotations"] == {"of": "another tool"}
    assert again["manifests"][0]["platform"] == {"os": "linux", "architecture": "amd64"}
    assert LayoutStore(store.directory).resolve("v1") == first


def test_a_tag_names_one_image(store: LayoutStore) -> None:
    first, second = _digests(store, 2)
    _tag(store, first, "v1")
    _tag(store, second, "v1")
    assert LayoutStore(store.directory).resolve("v1") == second
    assert LayoutStore(store.directory).read_manifest(first).digest == first


def test_threads_and_other_stores_list_their_images_together(store: LayoutStore) -> None:
    def put(number: int) -> Manifest:
        writer = store if number % 2 else LayoutStore(store.directory)
        image = put_image(writer, file_layer("file", f"{number}"))
        writer.put_manifest(image, f"v{number}")
        return image

    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(put, range(40)))
    fresh = LayoutStore(store.directory)
    assert {tag: fresh.resolve(tag) for tag in fresh.list_tags()} == {
        f"v{number}": image.digest for number, image in enumerate(images)
    }


def test_an_altered_manifest_or_blob_is_found_out(store: LayoutStore) -> None:
    image = put_image(store, file_layer("file", "content"))
    (layer,) = image.layers
    for digest in (image.digest, layer.digest):
        path = Path(store.directory, "blobs/sha256", digest.encoded)
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match="arrived with other content"):
        store.read_manifest(image.digest)
    with pytest.raises(IntegrityError, match="arrived with other content"):
        list(store.read_blob(layer))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "index.json: is not JSON"),
        ("[]", "index.json: is not the index of an OCI image layout"),
        ('{"manifests": [{"digest": "../../etc/passwd"}]}', "index.json: is not the index of an OCI image layout"),
    ],
)
def test_what_is_no_index_is_an_error(store: LayoutStore, content: str, message: str) -> None:
    _digests(store, 1)
    Path(store.directory, "index.json").write_text(content)
    with pytest.raises(StoreError, match=message):
        store.resolve("v1")


def test_an_index_of_something_else_is_not_written_into(store: LayoutStore) -> None:
    index = Path(store.directory, "index.json")
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_text('{"name": "a web page"}')
    with pytest.raises(StoreError, match=r"index\.json: is not the index of an OCI image layout"):
        put_image(store, file_layer("file", "content"), tag="v1")
    assert index.read_text() == '{"name": "a web page"}'


def test_what_is_not_there_is_not_found(store: LayoutStore) -> None:
    with pytest.raises(NotFound, match="there is no OCI image layout in"):
        store.resolve("v1")
    _digests(store, 1)
    with pytest.raises(NotFound, match="v1: not found in the layout"):
        store.resolve("v1")


def test_an_index_that_could_not_be_read_again_is_not_written(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_image(store, file_layer("a", "a"), tag="a")
    monkeypatch.setattr(bounded_json, "MOST_JSON_VALUES", 15)
    with pytest.raises(StoreError, match=r"index\.json: has more than 15 values, .*, which could not be read again"):
        put_image(store, file_layer("b", "b"), tag="b")
    monkeypatch.undo()
    assert list(store.list_tags()) == ["a"]
