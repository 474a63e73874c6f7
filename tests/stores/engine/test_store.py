"""The Docker Engine as a home: its names, what it saves, what it loads, and what it says when something is wrong."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zstandard

from bundlepipe.errors import (
    AccessDenied,
    IntegrityError,
    InvalidContent,
    InvalidReference,
    NotFound,
    StoreError,
    Unreachable,
)
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import DOCKER_LAYER, Descriptor
from bundlepipe.stores.engine import archive as engine_archive
from bundlepipe.stores.engine import client as client_module
from bundlepipe.stores.engine.archive import SavedImage, load_stream
from bundlepipe.stores.engine.client import engine_client, engine_errors, engine_words
from bundlepipe.stores.engine.store import EngineStore, engine_platform, find_image, load_image
from bundlepipe.stores.location import parse_location
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from tests.support.engine import EngineImages, archive, engine_images, image_id, located
from tests.support.images import file_layer, put_image, put_index
from tests.support.services import Registry, require

DIGEST = "sha256:" + "a1" * 32
LAYERS = [archive({"base": b"base" * 1000}), archive({"top": b"top"})]


@pytest.fixture
def images() -> Iterator[EngineImages]:
    with engine_images() as made:
        yield made


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("app:dev", "app:dev"),
        ("app", "app:latest"),
        ("docker.io/library/app:dev", "app:dev"),
        ("team/app:dev", "team/app:dev"),
        ("localhost:5000/team/app:1", "localhost:5000/team/app:1"),
        (f"app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:dev@{DIGEST}", f"app@{DIGEST}"),
        (DIGEST, DIGEST),
    ],
)
def test_a_location_names_an_image_as_docker_does(text: str, name: str) -> None:
    location = located(text)
    assert location.name == name
    assert str(parse_location(str(location))) == f"docker-daemon:{name}"


@pytest.mark.parametrize("text", ["", "App:dev", "app:-", "sha256:12", "a1" * 32, ":dev"])
def test_what_names_no_image_is_no_location(text: str) -> None:
    with pytest.raises(InvalidReference) as error:
        parse_location(f"docker-daemon:{text}")
    assert "\n" not in str(error.value)


def _config(layers: Sequence[bytes]) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [Digest.of(layer) for layer in layers]}
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()


def _tar(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as writer:
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            writer.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            writer.addfile(info, io.BytesIO(content))
    return file.getvalue()


def _as_engine_20(layers: Sequence[bytes]) -> bytes:
    config = _config(layers)
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": f"{Digest.of(config).encoded}.json", "RepoTags": None, "Layers": names}]
    first = {layer: name for name, layer in reversed(list(zip(names, layers, strict=True)))}
    links = {name: f"../{first[layer]}" for name, layer in zip(names, layers, strict=True) if first[layer] != name}
    contents = {name: layer for layer, name in first.items()}
    files = {f"{Digest.of(config).encoded}.json": config, "0/VERSION": b"1.0", "0/json": b"{}", **contents}
    return _tar({**files, "manifest.json": json.dumps(manifest).encode()}, links)


def _as_engine_25(layers: Sequence[bytes], *, stored: Sequence[bytes] | None = None) -> bytes:
    config, stored = _config(layers), stored or layers
    names = [f"blobs/sha256/{Digest.of(blob).encoded}" for blob in stored]
    config_name = f"blobs/sha256/{Digest.of(config).encoded}"
    manifest = [{"Config": config_name, "RepoTags": ["app:dev"], "Layers": names}]
    documents = {"index.json": b"{}", "manifest.json": json.dumps(manifest).encode(), "oci-layout": b"{}"}
    return _tar({config_name: config, **dict(zip(names, stored, strict=True)), **documents})


def _saved(content: bytes) -> SavedImage:
    return SavedImage(iter([content[:1000], content[1000:]]), "docker-daemon:app:dev")


def test_every_kind_of_engine_saves_the_same_image() -> None:
    kinds = [
        _as_engine_20(LAYERS),
        _as_engine_25(LAYERS),
        _as_engine_25(LAYERS, stored=[gzip.compress(LAYERS[0]), zstandard.compress(LAYERS[1])]),
    ]
    saved = [_saved(content) for content in kinds]
    assert len({image.manifest.digest for image in saved}) == 1
    for image in saved:
        assert image.manifest.config.digest == Digest.of(_config(LAYERS))
        layers = [gzip.decompress(b"".join(image.read_blob(layer))) for layer in image.manifest.layers]
        assert layers == LAYERS


def test_a_layer_that_is_there_twice_is_saved_as_a_link() -> None:
    image = _saved(_as_engine_20([LAYERS[0], LAYERS[1], LAYERS[0]]))
    first, second, third = image.manifest.layers
    assert first == third != second


def test_an_image_without_layers_is_an_image() -> None:
    assert _saved(_as_engine_25([])).manifest.layers == ()


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (_as_engine_20(LAYERS)[:4000], IntegrityError, "a broken tar"),
        (b"", IntegrityError, "a broken tar"),
        (_tar({"hello": b"hello"}), InvalidContent, "lacks what its manifest.json promises"),
        (_as_engine_25(LAYERS, stored=[LAYERS[1], LAYERS[0]]), IntegrityError, "other layers"),
        (_as_engine_20(LAYERS).replace(b'"amd64"', b'"arm64"'), IntegrityError, "as image"),
    ],
    ids=["truncated", "empty", "other tar", "other layers", "other configuration"],
)
def test_what_is_not_what_was_promised_is_refused(content: bytes, kind: type[StoreError], message: str) -> None:
    with pytest.raises(kind, match=message) as error:
        _saved(content)
    assert str(error.value).startswith("docker-daemon:app:dev: ")


def test_an_image_of_the_engine_is_read_as_any_other(images: EngineImages) -> None:
    name = images.build({"hello": b"hello", "world": b"world"}, "LABEL a=b")
    store = EngineStore(located(name))
    manifest = store.manifest
    assert manifest.config.digest == image_id(name)
    assert Digest.of(b"".join(store.read_blob(manifest.config))) == manifest.config.digest
    assert [sum(map(len, store.read_blob(layer))) for layer in manifest.layers] == [
        layer.size for layer in manifest.layers
    ]
    assert store.resolve("dev") == store.read_manifest("dev").digest == store.read_manifest(manifest.digest).digest
    assert EngineStore(located(image_id(name))).manifest == manifest
    with pytest.raises(NotFound):
        store.read_manifest("other")


def test_an_image_that_is_not_there_is_not_found(images: EngineImages) -> None:
    location = located(images.name())
    assert find_image(location) is None
    with pytest.raises(NotFound, match="the Docker Engine has no such image"):
        Stores().locate(location)


def _load(name: str, config: bytes, *blobs: bytes) -> None:
    layers = [(Descriptor(DOCKER_LAYER, Digest.of(blob), len(blob)), iter([blob[:2], blob[2:]])) for blob in blobs]
    load_image(load_stream(config, layers, [name]), f"docker-daemon:{name}")


def test_layers_of_every_compression_are_loaded(images: EngineImages) -> None:
    name = images.name()
    layers = [*LAYERS, archive({"plain": b"plain"}), LAYERS[0]]
    first = gzip.compress(layers[0])
    _load(name, _config(layers), first, zstandard.compress(layers[1]), layers[2], first)
    assert image_id(name) == Digest.of(_config(layers))
    assert _saved(b"".join(engine_client().get_image(name))).config == _config(layers)


@pytest.mark.parametrize(
    ("blob", "message"),
    [(gzip.compress(LAYERS[1]), "invalid diffID"), (gzip.compress(LAYERS[0])[:-20], "unexpected EOF")],
    ids=["another layer", "truncated"],
)
def test_what_the_engine_does_not_like_of_a_layer_is_an_error(images: EngineImages, blob: bytes, message: str) -> None:
    name = images.name()
    with pytest.raises(StoreError, match=message) as error:
        _load(name, _config(LAYERS[:1]), blob)
    assert str(error.value).startswith(f"docker-daemon:{name}: the Docker Engine did not load it: ")
    assert find_image(located(name)) is None


def test_the_engine_tells_its_platform() -> None:
    require("docker")
    assert engine_platform().os == "linux"


@pytest.mark.parametrize("address", ["unix:///nowhere/docker.sock", "tcp://user:pass@127.0.0.1:1", "tcp://127.0.0.1:1"])
def test_an_engine_that_is_not_there_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(Unreachable, match=r"^cannot reach the Docker Engine at \S+ \(.+\): start it, or set") as error:
        engine_client()
    assert "\n" not in str(error.value) and "pass" not in str(error.value)


def test_a_socket_that_may_not_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = PermissionError(13, "Permission denied")
    assert isinstance(client_module._unreachable("unix:///var/run/docker.sock", refused), AccessDenied)


def test_a_context_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    with pytest.raises(StoreError, match="no docker context 'elsewhere'"):
        engine_client()


def test_the_current_context_says_where_the_engine_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    identity = Digest.of(b"far").encoded
    meta = tmp_path / "contexts" / "meta" / identity / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoint = {"Host": f"unix://{tmp_path}/far.sock", "SkipTLSVerify": False}
    meta.write_text(json.dumps({"Name": "far", "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    with pytest.raises(Unreachable, match=r"at unix://\S+/far\.sock "):
        engine_client()


def test_words_of_the_engine_show_no_secrets() -> None:
    words = engine_words("Get https://u:p@cdn.example/layer?X-Signature=abc: refused\nretry")
    assert words == "Get https://cdn.example/layer refused retry"


def test_what_is_no_error_of_the_engine_passes() -> None:
    with pytest.raises(KeyError), engine_errors("docker-daemon:app:dev"):
        raise KeyError


@pytest.fixture
def resolving(registry: Registry) -> Stores:
    """Stores in which the Engine resolves the tags of `registry`."""
    require("docker")
    return Stores({registry.host: RegistrySettings(resolve="engine")})


def test_the_engine_resolves_tags_where_it_is_told_to(resolving: Stores, registry: Registry) -> None:
    repository = registry.repository()
    direct = Stores().repository(repository, writes=True)
    image = put_image(direct, file_layer("a", "a"), tag="v1")
    index = put_index(direct, [image], tag="all", architectures=["amd64"])
    store = resolving.repository(repository)
    assert store.resolve("v1") == image.digest
    assert store.resolve("all") == index.digest
    assert store.read_manifest("all") == index
    with pytest.raises(NotFound, match=rf"^{repository}:other, asked for by the Docker Engine: .*unknown"):
        store.resolve("other")


def test_what_only_the_engine_reaches_is_told_apart(
    resolving: Stores, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = registry.repository()
    image = put_image(Stores().repository(repository, writes=True), file_layer("b", "b"), tag="v1")
    monkeypatch.setattr("bundlepipe.stores.registry.store.RegistryStore.read_manifest", _unreachable)
    store = resolving.repository(repository)
    assert store.resolve("v1") == image.digest
    with pytest.raises(Unreachable, match=f"no route: the Docker Engine resolves .* to {image.digest}"):
        store.read_manifest("v1")


def _unreachable(*_: object) -> None:
    raise Unreachable("no route")


class _BreakingEngine(BaseHTTPRequestHandler):
    """Answers questions, and hangs up in the middle of everything else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.endswith("/get"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"200\r\n" + bytes(100))
            self.close_connection = True
            return
        answer = json.dumps({"ApiVersion": "1.41", "Id": DIGEST}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_POST(self) -> None:
        self.rfile.read(10)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that http.server gives it)
        """Keep quiet."""


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An Engine that does not finish what it begins: no real one does that on request."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _BreakingEngine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        yield
        engine_client().close()
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("breaking")
def test_an_engine_that_breaks_off_is_told_in_one_line() -> None:
    with pytest.raises(StoreError, match=r"^docker-daemon:app:dev: ") as saving:
        Stores().locate(located("app:dev"))
    layer = [(Descriptor(DOCKER_LAYER, Digest.of(b"a"), 1 << 24), iter([bytes(1 << 20)] * 16))]
    with pytest.raises(Unreachable, match=r"^docker-daemon:app:dev: the Docker Engine broke off: ") as loading:
        load_image(load_stream(b"{}", layer, ["app:dev"]), "docker-daemon:app:dev")
    assert "\n" not in f"{saving.value}{loading.value}"
    assert "broke off" in str(saving.value)


def test_documents_of_any_number_in_what_is_saved_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_archive, "_LARGEST_DOCUMENTS", 5000)
    content = _tar({f"{number}.json": b"{}" + b" " * 998 for number in range(6)})
    with pytest.raises(InvalidContent, match="docker-daemon:app:dev: the documents in the tar have more than"):
        _saved(content)
