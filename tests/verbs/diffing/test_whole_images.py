"""Images differ in more than files: configurations, links, and what only the digests tell."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bundlepipe.cli.printing.differences import text
from bundlepipe.cli.printing.differences.markdown import to_markdown
from bundlepipe.documents.schemas.validator import schema_text
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from bundlepipe.verbs.diffing.diff import diff
from bundlepipe.verbs.diffing.difference import Difference
from bundlepipe.verbs.diffing.sides import Directory
from bundlepipe.verbs.diffing.to_json import to_json
from bundlepipe.verbs.pull import pull
from tests.support.archives import END, directory, entry, hard_link, symlink
from tests.support.engine import engine_images, located
from tests.support.images import Layer, file_layer, put_bytes, put_document
from tests.support.services import Registry

FILE = file_layer("app/run", "#!/bin/sh\n")
Put = Callable[..., Reference]


@pytest.fixture
def put(registry: Registry) -> Put:
    """Store an image of layers and fields of its configuration."""
    stores = Stores()
    repository = registry.repository("whole")
    store = stores.repository(repository, writes=True)

    def put_one(
        *layers: Layer, oci: bool = False, annotations: dict[str, str] | None = None, **fields: Any
    ) -> Reference:
        for layer in layers:
            store.put_blob(layer.descriptor, partial(io.BytesIO, layer.data))
        rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
        config = json.dumps({"architecture": "amd64", "os": "linux", **fields, "rootfs": rootfs}).encode()
        document: dict[str, Any] = {
            "config": put_bytes(store, config, OCI_CONFIG if oci else DOCKER_CONFIG).to_json(),
            "layers": [(layer.as_oci() if oci else layer).descriptor.to_json() for layer in layers],
        }
        if annotations:
            document["annotations"] = annotations
        manifest = put_document(store, OCI_MANIFEST if oci else DOCKER_MANIFEST, document)
        return repository.at(manifest.digest)

    return put_one


def layer(archive: bytes, level: int = 1) -> Layer:
    return Layer(gzip.compress(archive, level, mtime=0), Digest.of(archive))


def told(difference: Difference) -> list[str]:
    """Return what a difference says of its only pair, between the first and last line, in all forms."""
    document = to_json(difference)
    jsonschema.validate(document, json.loads(schema_text("diff")))
    assert document["same"] is difference.is_empty
    lines = text.rendered(text.patch(difference), color=False, escapes=False).splitlines()[1:-1]
    assert lines == text.rendered(text.summary(difference), color=False, escapes=False).splitlines()[1:-1]
    return [line.removeprefix("  ") for line in lines]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ({"config": {"User": "root"}}, {"config": {"User": "app"}}, 'changed: config.User="root" -> "app"'),
        ({}, {"config": {"Entrypoint": ["/run", "-x"]}}, 'added: config.Entrypoint=["/run", "-x"]'),
        ({"config": {"ExposedPorts": {"80/tcp": {}}}}, {}, "removed: config.ExposedPorts.80/tcp={}"),
        ({}, {"architecture": "arm64"}, 'changed: architecture="amd64" -> "arm64"'),
        ({}, {"created": "a\nb"}, 'added: created="a\\nb"'),
    ],
)
def test_configurations(put: Put, old: dict[str, Any], new: dict[str, Any], line: str) -> None:
    difference = diff(put(FILE, **old), put(FILE, **new), Stores())
    assert not difference.is_empty
    assert told(difference) == [f"configuration {line}"]
    assert "1 setting changed" in text.totals(difference)
    assert "configuration" in to_markdown(difference)


def test_labels_and_layers_are_no_settings(put: Put) -> None:
    old = put(FILE, config={"Labels": {"team": "web"}})
    new = put(FILE, file_layer("b", "b"), config={"Labels": {"team": "api"}})
    (pair,) = diff(old, new, Stores()).pairs
    assert (len(pair.labels), len(pair.files), pair.configuration) == (1, 1, [])


def test_long_values_are_cut_in_text_alone(put: Put) -> None:
    difference = diff(put(FILE), put(FILE, history=[{"created_by": "x" * 1000}]), Stores())
    (line,) = told(difference)
    assert line.startswith('configuration added: history=[{"created_by": "xxx') and len(line) < 240
    assert to_json(difference)["pairs"][0]["configuration"][0]["new"] == [{"created_by": "x" * 1000}]


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            symlink(b"bin/sh", b"busybox"),
            symlink(b"bin/sh", b"../dash"),
            ["link changed: bin/sh: symbolic link to busybox -> symbolic link to ../dash"],
        ),
        (b"", hard_link(b"twin", b"app"), ["link added: twin: hard link to app"]),
        (symlink(b"a\nb", b"x\x1b"), b"", ['link removed: "a\\nb": symbolic link to "x\\033"']),
        (
            symlink(b"bin", b"usr/bin"),
            directory(b"bin"),
            ["link removed: bin: symbolic link to usr/bin", "Empty directory added: bin"],
        ),
        # A directory with nothing but a link is not empty.
        (directory(b"d"), symlink(b"d/s", b"x"), ["link added: d/s: symbolic link to x"]),
    ],
)
def test_links(put: Put, old: bytes, new: bytes, lines: list[str]) -> None:
    sides = [put(FILE, layer(archive + END)) for archive in (old, new)]
    difference = diff(sides[0], sides[1], Stores())
    assert not difference.is_empty
    found = to_json(difference)
    jsonschema.validate(found, json.loads(schema_text("diff")))
    shown = text.rendered(text.patch(difference), color=False, escapes=False).splitlines()
    assert [line.removeprefix("  ") for line in shown[1:-1]] == lines
    assert "1 link changed" in shown[-1]
    assert all(len(line.text) > 1 for line in text.names(difference))


def test_a_pulled_image_lacks_its_links(put: Put, tmp_path: Path) -> None:
    image = put(FILE, layer(symlink(b"link", b"app") + END), config={"User": "app"})
    pull(image, str(tmp_path / "pulled"), Stores())
    assert told(diff(image, Directory(str(tmp_path / "pulled")), Stores())) == [
        "link removed: link: symbolic link to app"
    ]


def owned(owner: int) -> Layer:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("file")
        info.uid = owner
        archive.addfile(info)
    return layer(buffer.getvalue())


def test_digests_that_nothing_else_explains(put: Put) -> None:
    words = "digests differ, in what is not compared: owners, times or other attributes of files, for example"
    for old, new in (
        (put(owned(0)), put(owned(1))),
        (put(FILE, config={}), put(FILE, config={"User": ""})),
        (put(FILE), put(FILE, annotations={"a": "b"})),
    ):
        difference = diff(old, new, Stores())
        assert not difference.is_empty and difference.pairs[0].differs_otherwise
        assert told(difference) == [words]
        assert "digests differ, in what is not compared" in to_markdown(difference)


def test_an_image_of_the_engine(put: Put) -> None:
    """The Engine keeps configurations, and no manifests."""
    stores, one = Stores(), put(FILE, config={"User": "app"})
    with engine_images() as images:
        name = located(images.name())
        copy(CopyRequest(source=one, destination=name), stores)
        images.also(name.name)
        assert diff(one, name, stores).is_empty
        other = diff(put(FILE, config={"User": "root"}), name, stores)
        assert told(other) == ['configuration changed: config.User="root" -> "app"']


def test_another_compression_or_format_is_no_difference(put: Put) -> None:
    archive = entry(b"a", b"a" * 1000) + END
    one = put(layer(archive, 1))
    for other in (put(layer(archive, 9)), put(layer(archive, 1), oci=True)):
        difference = diff(one, other, Stores())
        assert difference.pairs[0].old != difference.pairs[0].new
        assert difference.is_empty and to_json(difference)["same"] is True
        assert not list(text.patch(difference))
