"""Documents that are larger than any: refused in a line, before they are read."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from bundlepipe.cli.parsing.command import Run
from bundlepipe.cli.parsing.images import read_lock
from bundlepipe.cli.parsing.lock_words import read_bundle_lock, read_copied_lock
from bundlepipe.cli.tool import IMGPKG
from bundlepipe.documents.imgpkg.image_locations import FILE_NAME
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.documents.kbld.reading import parse_config, parse_image_map
from bundlepipe.documents.schemas import validator
from bundlepipe.documents.yaml import go_yaml
from bundlepipe.documents.yaml import reader as yaml_source
from bundlepipe.documents.yaml.composer import ComposedDocument, compose_text
from bundlepipe.documents.yaml.conflict_markers import conflict_faults
from bundlepipe.documents.yaml.construction import construct
from bundlepipe.documents.yaml.fault import MOST_FAULTS, Fault
from bundlepipe.documents.yaml.reader import load_one
from bundlepipe.documents.yaml.text import Text
from bundlepipe.errors import (
    BundlepipeError,
    DocumentError,
    InputError,
    IntegrityError,
    InvalidContent,
    StoreError,
    UnsafeArchive,
)
from bundlepipe.filesystem.inputs import Inputs, walk
from bundlepipe.limits import (
    LARGEST_ARCHIVE_MANIFEST,
    LARGEST_CONFIG,
    LARGEST_DOCUMENT,
    LARGEST_LOCATIONS,
    MOST_YAML_VALUES,
)
from bundlepipe.oci import bounded_json
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.labels import BUNDLE_LABEL, diff_ids_of, labels_of, platform_of
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Descriptor, Manifest, docker_manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.pipeline.tasks.lock_file import read_entries as lock_entries
from bundlepipe.stores.archive import manifest as archive_manifest
from bundlepipe.stores.archive import writer as archive_writer
from bundlepipe.stores.archive.manifest import ArchivedManifest
from bundlepipe.stores.archive.reader import ArchiveStore
from bundlepipe.stores.archive.writer import ArchiveWriter
from bundlepipe.stores.engine import archive as engine_archive
from bundlepipe.stores.http.answers import Answer, error_codes
from bundlepipe.stores.layout import store as layout
from bundlepipe.stores.layout.store import LayoutStore
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from bundlepipe.verbs.describing.describe import describe
from bundlepipe.verbs.images import texts as configuration
from bundlepipe.verbs.images.texts import search_as_kbld
from bundlepipe.verbs.outputs.kinds import is_configuration
from bundlepipe.verbs.pull import pull
from bundlepipe.verbs.shared.bundles import check_contents, locations_tag
from tests.support.archives import END, entry, gzipped, header
from tests.support.images import Layer, file_layer, put_bytes, put_document, put_image

LOCK = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
HUGE = 100 << 20
# What a run takes anyway, and the largest of the documents in question.
FAR_LESS = 40 << 20


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores({"layout.localhost": RegistrySettings(layout=str(tmp_path / "registry"))})


@contextmanager
def _in_little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < FAR_LESS
    finally:
        tracemalloc.stop()


def _huge_file(path: Path, size: int = HUGE, start: bytes = LOCK.encode()) -> str:
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
    return str(path)


def _huge_layer(name: str, size: int = LARGEST_DOCUMENT + 1, start: str = LOCK) -> Layer:
    return file_layer(name, start + "#" * (size - len(start)))


def _bundle(stores: Stores, layer: Layer, name: str = "app", config: bytes | None = None) -> Reference:
    """Store a bundle of one layer."""
    store = stores.repository(Repository("layout.localhost", name))
    store.put_blob(layer.descriptor, lambda: io.BytesIO(layer.data))
    document = {
        "config": {"Labels": {BUNDLE_LABEL: "true"}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    }
    described = put_bytes(store, config or json.dumps(document).encode(), DOCKER_CONFIG)
    manifest = put_document(
        store, DOCKER_MANIFEST, {"config": described.to_json(), "layers": [layer.descriptor.to_json()]}, "v1"
    )
    return Repository("layout.localhost", name).at(manifest.digest)


def _check_bundle(path: str) -> None:
    root = str(Path(path).parent.parent)
    check_contents(list(walk(Inputs([root]))), [root])


@pytest.mark.parametrize("read", [read_lock, _check_bundle, lock_entries], ids=["command", "push", "lock file"])
def test_a_huge_document_in_a_file_is_refused(tmp_path: Path, read: Callable[[str], object]) -> None:
    (tmp_path / ".imgpkg").mkdir()
    path = _huge_file(tmp_path / ".imgpkg/images.yml")
    with _in_little_memory(), pytest.raises(InputError, match=r"images\.yml: has more than 8 MiB, the most that"):
        read(path)


def test_a_huge_lock_on_standard_input_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(_huge_file(tmp_path / "lock.yml")) as file:
        monkeypatch.setattr("sys.stdin", file)
        with _in_little_memory(), pytest.raises(InputError, match="standard input: has more than 8 MiB"):
            read_lock("-")


def test_the_largest_document_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lock.yml"
    path.write_text(LOCK + "#" * (LARGEST_DOCUMENT - len(LOCK)))
    assert read_lock(str(path)) == ImagesLock()


def test_a_huge_lock_in_a_bundle_is_refused(stores: Stores, tmp_path: Path) -> None:
    bundle = _bundle(stores, _huge_layer(".imgpkg/images.yml", HUGE))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/before").touch()
    with _in_little_memory(), pytest.raises(BundlepipeError, match=r"images\.yml: has more than 8 MiB"):
        pull(bundle, str(tmp_path / "out"), stores)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["before"]
    says = r"'\.imgpkg/images\.yml' has 104857600 bytes, more than the 8 MiB that such a document may have"
    with _in_little_memory(), pytest.raises(UnsafeArchive, match=says):
        copy(CopyRequest(source=bundle, destination=Repository("layout.localhost", "copy")), stores)
    with _in_little_memory(), pytest.raises(UnsafeArchive, match=says):
        describe(bundle, stores)


def test_a_huge_bundle_yml_is_refused(stores: Stores) -> None:
    archive = entry(b".imgpkg/images.yml", LOCK.encode()) + entry(b".imgpkg/bundle.yml", bytes(LARGEST_DOCUMENT + 1))
    bundle = _bundle(stores, Layer(gzipped(archive + END), Digest.of(archive + END)))
    with _in_little_memory(), pytest.raises(UnsafeArchive, match=r"'\.imgpkg/bundle\.yml' has 8388609 bytes"):
        describe(bundle, stores)


def test_huge_image_locations_are_refused(stores: Stores, tmp_path: Path) -> None:
    bundle = _bundle(stores, file_layer(".imgpkg/images.yml", LOCK))
    assert bundle.digest
    store = stores.repository(Repository("layout.localhost", "app"))
    locations = put_image(store, _huge_layer(FILE_NAME, LARGEST_LOCATIONS + 1), tag=locations_tag(bundle.digest))
    assert locations.layers
    with _in_little_memory(), pytest.raises(BundlepipeError, match=r"image-locations\.yml: has more than 16 MiB"):
        pull(bundle, str(tmp_path / "out"), stores)
    with _in_little_memory(), pytest.raises(UnsafeArchive, match=r"'image-locations\.yml' has 16777217 bytes"):
        describe(bundle, stores)


def test_a_huge_configuration_is_refused(stores: Stores, tmp_path: Path) -> None:
    layer = file_layer(".imgpkg/images.yml", LOCK)
    bundle = _bundle(stores, layer, config=b"{}" + b" " * LARGEST_CONFIG)
    with (
        _in_little_memory(),
        pytest.raises(IntegrityError, match="claims 8388610 bytes, more than the 8388608"),
    ):
        pull(bundle, str(tmp_path / "out"), stores)


def test_a_huge_manifest_of_a_tar_is_refused(tmp_path: Path) -> None:
    size = LARGEST_ARCHIVE_MANIFEST + 1
    path = _huge_file(tmp_path / "a.tar", size + 4096, header(b"manifest.json", size))
    with (
        _in_little_memory(),
        pytest.raises(InvalidContent, match=r"manifest\.json has 67108865 bytes, more than"),
    ):
        _ = ArchiveStore(path).entries


def test_no_tar_is_written_that_would_be_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_writer, "LARGEST_ARCHIVE_MANIFEST", 1)
    with pytest.raises(StoreError, match=r"a\.tar: manifest\.json would have more than"):
        ArchiveWriter(str(tmp_path / "a.tar"), [], {}, resume=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", [bounded_json, archive_manifest], ids=["values", "values of manifests"])
def test_no_tar_is_written_of_more_values_than_are_read(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = tuple(Descriptor(DOCKER_LAYER, Digest.of(b"%d" % number), 1) for number in range(100))
    manifest = docker_manifest(Descriptor(DOCKER_CONFIG, Digest.of(b"{}"), 2), layers)
    reference = Repository("layout.localhost", "app").at(manifest.digest)
    archived = ArchivedManifest(manifest, (reference,), config=b"{}")
    assert archive_manifest.parse(archive_manifest.to_bytes([archived]), "a.tar") == (archived,)
    monkeypatch.setattr(module, "MOST_JSON_VALUES", 500)
    with pytest.raises(StoreError, match=r"a\.tar: manifest\.json has .*more than 500 values.*: copy into"):
        ArchiveWriter(str(tmp_path / "a.tar"), [archived], {}, resume=False)
    with pytest.raises(InvalidContent, match="more than 500 values"):
        archive_manifest.parse(archive_manifest.to_bytes([archived]), "a.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_huge_index_of_a_layout_is_refused(tmp_path: Path) -> None:
    _huge_file(tmp_path / "index.json", HUGE, b"{}")
    with pytest.raises(StoreError, match=r"index\.json: has more than the 32 MiB that are read"):
        LayoutStore(str(tmp_path)).resolve("v1")


@pytest.mark.parametrize(
    "content",
    [
        "images: [" + "a," * 6000 + "]\n",
        "images:\n" + "- a\n" * 6000,
        "images: []\n" + "---\n" * 6000,
        "images: []\n" + ("---\n" + "- a\n" * 3000) * 2,
    ],
    ids=["flow", "block", "empty documents", "documents"],
)
def test_a_document_of_very_many_values_is_refused(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a few bytes a value would take hundreds of bytes for each."""
    monkeypatch.setattr(yaml_source, "MOST_YAML_VALUES", 5000)
    with pytest.raises(DocumentError, match="more than 5000 values, too many for one document"):
        ImagesLock.parse((LOCK + content).encode(), "images.yml")


@pytest.mark.parametrize("entry", ["- a\n", "- image: x\n"], ids=["of its form", "of its references"])
def test_of_very_many_faults_the_first_are_told(entry: str) -> None:
    with pytest.raises(DocumentError) as raised:
        ImagesLock.parse((LOCK + "images:\n" + entry * 5000).encode(), "images.yml")
    problems = raised.value.problems
    assert (len(problems), problems[-1]) == (201, "images.yml: there are further faults")
    assert problems[0].startswith("images.yml:4:")


def test_of_very_many_faults_not_all_are_looked_for() -> None:
    faults: list[Fault] = []
    text = Text("- !!int a\n" * 1500 + "- {b: 1, b: 2}\n" * 1500)
    (document,) = compose_text(text.content, None)
    construct(document.root, text, faults)
    assert len(faults) == MOST_FAULTS
    unknown = load_one(LOCK.encode() + b"".join(b"k%d: 1\n" % number for number in range(1500)), "images.yml")
    assert len(validator.faults(unknown, "images-lock")) == MOST_FAULTS
    assert len(conflict_faults("<<<<<<< a\n" * 1500, "mend it")) == MOST_FAULTS


def test_a_fault_far_down_takes_no_list_of_all_lines() -> None:
    text = Text("\n" * 1_000_000)
    tracemalloc.start()
    try:
        assert text.position(1_000_000) == (1_000_001, 1)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_the_configuration_of_whoever_runs_kbld_may_have_any_number_of_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_source, "MOST_YAML_VALUES", 3)
    monkeypatch.setattr(go_yaml, "MOST_YAML_VALUES", 3)
    digest = "sha256:" + "0" * 64
    rules = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\noverrides: [{image: b, newImage: c, preresolved: true}]\n"
    content = f"image: a\n---\n{rules}---\n{LOCK}images: [{{image: a.invalid/b@{digest}}}]\n".encode()
    assert len(parse_config(content, "config.yml", sole=False).overrides) == 2
    assert go_yaml.parsing_problem(content.decode(), "file 'config.yml'") is None
    assert len(parse_image_map(b'{"a": "b", "c": "d", "e": "f"}', "map.json")) == 3
    path = tmp_path / "out.yml"
    path.write_bytes(content)
    assert is_configuration(str(path))


@pytest.mark.parametrize("read", [read_bundle_lock, read_copied_lock])
def test_a_lock_of_very_many_values_is_worded_without_them(
    read: Callable[[Run, str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What imgpkg says of it is looked for within the same bounds."""
    composed: list[int | None] = []

    def recorded(text: str, most_values: int | None) -> Iterator[ComposedDocument]:
        composed.append(most_values)
        return compose_text(text, most_values)

    monkeypatch.setattr(yaml_source, "compose_text", recorded)
    monkeypatch.setattr(go_yaml, "compose_text", recorded)
    path = tmp_path / "lock.yml"
    path.write_text("a: b\n")
    with pytest.raises(DocumentError):
        read(Run(IMGPKG), str(path))
    assert composed
    assert set(composed) == {MOST_YAML_VALUES}


def test_texts_of_the_users_own_configuration_have_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not looked at would keep its images as they are, and nobody would be told."""
    composed: list[int | None] = []

    def recorded(text: str, most_values: int | None) -> Iterator[ComposedDocument]:
        composed.append(most_values)
        return compose_text(text, most_values)

    monkeypatch.setattr(go_yaml, "compose_text", recorded)
    rules = (
        "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nsearchRules:\n"
        "- keyMatcher: {name: text}\n  updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: image}}]}}\n"
    )
    content = f"{rules}---\ntext: |\n  image: nginx\n"
    found = search_as_kbld([configuration.Text("app.yml", content.encode())])
    assert [image.value for image in found.images] == ["nginx"]
    assert set(composed) == {None}


def test_json_of_very_many_values_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_json, "MOST_JSON_VALUES", 5000)
    many = b"[" + b"{}," * 6000 + b"{}]"
    says = "has more than 5000 values, too many for one document"
    with pytest.raises(InvalidContent, match=f"app: the manifest {says}"):
        Manifest.parse(b'{"layers":' + many + b"}", DOCKER_MANIFEST, "app")
    for read in (labels_of, platform_of, diff_ids_of):
        with pytest.raises(InvalidContent, match=f"app: the image configuration {says}"):
            read(b'{"rootfs":' + many + b"}", "app")
    with pytest.raises(InvalidContent, match="is not a container image"):
        engine_archive.diff_ids_of(b'{"rootfs":{"diff_ids":[]},"x":' + many + b"}", "app")
    (tmp_path / "index.json").write_bytes(b'{"manifests":' + many + b"}")
    with pytest.raises(StoreError, match=f"index.json: {says}"):
        LayoutStore(str(tmp_path)).resolve("v1")
    archive = tmp_path / "a.tar"
    archive.write_bytes(entry(b"manifest.json", many) + END)
    with pytest.raises(InvalidContent, match=f"manifest.json: {says}"):
        _ = ArchiveStore(str(archive)).entries
    assert error_codes(Answer("GET", "http://a.invalid", 400, {}, b'{"errors":' + many + b"}")) == frozenset()


def test_no_index_of_a_layout_is_written_that_would_be_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LayoutStore(str(tmp_path))
    put_image(store, file_layer("a", "1"), tag="v1")
    before = (tmp_path / "index.json").read_bytes()
    monkeypatch.setattr(layout, "LARGEST_LAYOUT_INDEX", len(before))
    with pytest.raises(StoreError, match=r"index\.json: would have more than the"):
        put_image(store, file_layer("a", "2"), tag="v2")
    assert (tmp_path / "index.json").read_bytes() == before
    assert list(LayoutStore(str(tmp_path)).list_tags()) == ["v1"]
