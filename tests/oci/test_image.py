from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.errors import InputError
from bundlepipe.filesystem import inputs as inputs_module
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.filesystem.snapshots import differences, snapshot
from bundlepipe.oci import image as image_module
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.image import FilesImage, build, config_json, identify
from bundlepipe.oci.labels import BUNDLE_LABEL
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Manifest

TREES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "imgpkg-trees.json").read_text("utf-8"))
BUNDLE = {BUNDLE_LABEL: "true"}


@pytest.fixture(autouse=True)
def _in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tree(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make one of imgpkg's trees here, and give what is known of it."""
    known = TREES[request.param]
    opened: dict[str, int] = {}
    for entry in known["tree"]:
        if entry["kind"] == "dir":
            os.mkdir(entry["path"])
        else:
            Path(entry["path"]).write_text(entry["content"], "utf-8")
            opened[entry["path"]] = os.open(entry["path"], os.O_RDONLY)
    for entry in reversed(known["tree"]):
        os.chmod(entry["path"], int(entry["mode"], 8))

    real_open = os.open

    def open_as_root_would(path: str, flags: int) -> int:
        # A tree holds a file that not even its owner may read.
        try:
            return real_open(path, flags)
        except PermissionError:
            os.lseek(opened[path], 0, os.SEEK_SET)
            return os.dup(opened[path])

    monkeypatch.setattr(os, "open", open_as_root_would)
    yield known
    monkeypatch.undo()
    for descriptor in opened.values():
        os.close(descriptor)


def labels_of_kind(kind: str) -> dict[str, str]:
    return BUNDLE if kind == "bundle" else {}


def built(inputs: Inputs, labels: dict[str, str]) -> tuple[FilesImage, Manifest, bytes]:
    layer = io.BytesIO()
    image, manifest = build(inputs, labels, layer)
    return image, manifest, layer.getvalue()


@pytest.mark.parametrize("tree", TREES, indirect=True)
def test_a_tree_has_the_identity_that_imgpkg_gives_it(tree: Any) -> None:
    image = identify(Inputs(tree["inputs"]), labels_of_kind(tree["kind"]))
    assert {"diff_id": image.diff_id, "image_id": image.image_id} == tree["expect"]


@pytest.mark.parametrize("tree", TREES, indirect=True)
def test_what_is_built_of_a_tree_is_that_image(tree: Any) -> None:
    image, manifest, layer = built(Inputs(tree["inputs"]), labels_of_kind(tree["kind"]))
    assert {"diff_id": image.diff_id, "image_id": image.image_id} == tree["expect"]
    assert Digest.of(gzip.decompress(layer)) == tree["expect"]["diff_id"]
    assert manifest.config.digest == tree["expect"]["image_id"] == Digest.of(image.config)
    assert (manifest.config.media_type, manifest.config.size) == (DOCKER_CONFIG, len(image.config))
    (descriptor,) = manifest.layers
    assert (descriptor.media_type, descriptor.digest, descriptor.size) == (DOCKER_LAYER, Digest.of(layer), len(layer))
    assert Manifest.parse(manifest.raw, DOCKER_MANIFEST, "x") == manifest


@pytest.mark.parametrize("tree", TREES, indirect=True)
def test_the_layer_of_a_tree_is_an_archive_that_python_reads(tree: Any) -> None:
    _, _, layer = built(Inputs(tree["inputs"]), {})
    roots = [path for path in tree["inputs"] if os.path.isdir(path)]
    expected = [
        (os.path.relpath(entry["path"], root), entry.get("content"))
        for entry in tree["tree"]
        for root in [next((root for root in roots if f"{entry['path']}/".startswith(f"{root}/")), ".")]
    ]
    found: list[tuple[str, str | None]] = []
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            found.append((member.name, content.read().decode() if content else None))
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_the_configuration_is_written_as_imgpkg_writes_it() -> None:
    diff_id = Digest.of(b"")
    start = (
        '{"architecture":"","created":"0001-01-01T00:00:00Z",'
        '"history":[{"author":"imgpkg","created":"0001-01-01T00:00:00Z","created_by":"imgpkg"}],'
        f'"os":"","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}},'
    )
    assert config_json(diff_id, {}).decode() == start + '"config":{}}'
    labels = {"z": "1", BUNDLE_LABEL: "true", "a": "ü"}
    expected = '"config":{"Labels":{"a":"ü","dev.carvel.imgpkg.bundle":"true","z":"1"}}}'
    assert config_json(diff_id, labels).decode() == start + expected


def test_labels_are_escaped_as_go_escapes_them() -> None:
    config = config_json(Digest.of(b""), {"<&>": 'a"b\\c\n\t\r\x01\u2028\u2029\x7f/é🙂'}).decode()
    expected = r'{"\u003c\u0026\u003e":"a\"b\\c\n\t\r\u0001\u2028\u2029' + "\x7f/é🙂" + '"}'
    assert config.endswith(f'"config":{{"Labels":{expected}}}}}')


def test_the_order_of_labels_is_that_of_their_bytes() -> None:
    labels = {"ﬁ": "", "\U0001d11e": "", "Z": "", "a": "", "é": ""}
    document = json.loads(config_json(Digest.of(b""), labels))
    assert list(document["config"]["Labels"]) == sorted(labels, key=str.encode)


def make_tree() -> None:
    os.makedirs("in/empty")
    Path("in/a").write_bytes(os.urandom(700_000))
    Path("in/b").write_bytes(b"b" * 512)
    Path("in/c").write_bytes(b"")


def test_building_and_identifying_agree_and_remember_the_same() -> None:
    make_tree()
    inputs = Inputs(["in"])
    image, _, _ = built(inputs, BUNDLE)
    identified = identify(inputs, BUNDLE)
    assert (image.diff_id, image.config) == (identified.diff_id, identified.config)
    assert differences(image.snapshot, identified.snapshot) == []
    assert differences(image.snapshot, snapshot(inputs, {})) == []
    assert list(image.snapshot) == list(snapshot(inputs, {}))


def test_building_twice_gives_the_same_bytes() -> None:
    make_tree()
    first = built(Inputs(["in"]), BUNDLE)
    second = built(Inputs(["in"]), BUNDLE)
    assert first[1].raw == second[1].raw
    assert first[2] == second[2]


def test_the_identity_does_not_depend_on_how_content_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree()
    expected = built(Inputs(["in"]), {})
    for size in (1, 1000, 1 << 22):
        monkeypatch.setattr(image_module, "_CHUNK", size)
        monkeypatch.setattr(inputs_module, "READ_SIZE", size + 12_345)
        found = built(Inputs(["in"]), {})
        assert (found[0].diff_id, found[1].raw, found[2]) == (expected[0].diff_id, expected[1].raw, expected[2])


def test_labels_and_modes_and_empty_directories_are_part_of_the_identity() -> None:
    make_tree()
    identities = {identify(Inputs(["in"]), labels).image_id for labels in ({}, BUNDLE, {**BUNDLE, "a": "b"})}
    os.chmod("in/b", 0o755)
    identities.add(identify(Inputs(["in"]), {}).image_id)
    os.mkdir("in/new")
    identities.add(identify(Inputs(["in"]), {}).image_id)
    assert len(identities) == 5


def test_times_and_bits_of_group_and_others_are_not() -> None:
    make_tree()
    os.chmod("in/b", 0o600)
    before = identify(Inputs(["in"]), {}).image_id
    os.chmod("in/b", 0o666)
    os.chmod("in/empty", 0o700)
    os.utime("in/b", (0, 0))
    assert identify(Inputs(["in"]), {}).image_id == before


def test_preserved_permissions_are_true_bits_in_plain_ustar() -> None:
    make_tree()
    for path, mode in (("in", 0o755), ("in/empty", 0o1777), ("in/a", 0o4755), ("in/b", 0o640), ("in/c", 0o600)):
        os.chmod(path, mode)
    _, _, layer = built(Inputs(["in"], preserve_permissions=True), {})
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        modes = {member.name: member.mode for member in archive}
    assert modes == {".": 0o755, "empty": 0o1777, "a": 0o4755, "b": 0o640, "c": 0o600}
    assert b"PaxHeaders" not in gzip.decompress(layer)


def test_no_inputs_are_an_empty_archive() -> None:
    image, _, layer = built(Inputs([]), {})
    assert gzip.decompress(layer) == bytes(1024)
    assert image.diff_id == f"sha256:{hashlib.sha256(bytes(1024)).hexdigest()}"


def test_a_file_that_changes_while_it_is_packed_makes_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree()
    real = inputs_module.read_file

    def read_and_append(entry: inputs_module.Entry) -> Iterator[bytes]:
        with open(entry.path, "ab") as file:
            file.write(b"more")
        return real(entry)

    monkeypatch.setattr(image_module, "read_file", read_and_append)
    for make in (lambda: identify(Inputs(["in"]), {}), lambda: built(Inputs(["in"]), {})):
        with pytest.raises(InputError, match=r"^in/a: changed while it was read; run again$"):
            make()


def test_inputs_that_imgpkg_refuses_make_no_image() -> None:
    make_tree()
    os.symlink("a", "in/link")
    for make in (lambda: identify(Inputs(["in"]), {}), lambda: built(Inputs(["in"]), {})):
        with pytest.raises(InputError, match=r"^Expected file 'in/link' to be a regular file: it is a symbolic link"):
            make()
