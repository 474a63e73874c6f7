"""What `docker save` writes and `docker load` reads: a tar of configuration, layers and a list of them, manifest.json.

Formats: Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset Format",
and what Engines write since 25, which is an OCI image layout with a manifest.json beside it.
Observed: entries come in any order, a layer that is there twice is a link, and the
containerd image store holds layers as they are in a registry.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import posixpath
import tarfile
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import IO

from msgspec import Struct

from bundlepipe.errors import IntegrityError, InvalidContent, NotFound
from bundlepipe.filesystem.files import read_at
from bundlepipe.filesystem.temporary import temporary_file, temporary_room
from bundlepipe.limits import in_words
from bundlepipe.oci.bounded_json import loads
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers import gzip, tar
from bundlepipe.oci.layers.chunks import ChunkFile
from bundlepipe.oci.layers.decompress import decompress, is_zstd, with_start
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, Descriptor, Manifest, docker_manifest
from bundlepipe.stores.verification import verified

_MANIFEST_FILE = "manifest.json"
_LEGACY_LAYER = "/layer.tar"
_BLOBS = "blobs/"
_LARGEST_DOCUMENT = 8 << 20
# Of all documents together: one image has a handful.
_LARGEST_DOCUMENTS = 32 << 20
_CHUNK = 256 * 1024
_MODE = 0o644


class _Layer(Struct, frozen=True):
    """A layer: the digest of its archive, its compressed blob, and where that begins in the temporary file."""

    diff_id: Digest
    blob: Descriptor
    offset: int


class SavedImage:
    """An image as a registry has it, made of what `docker save` writes: the same image gives the same manifest.

    `chunks` are the tar, and `what` names the image in messages. Layers are compressed while
    they arrive and wait in a temporary file. Raises IntegrityError unless configuration and
    layers are what their digests promise, InvalidContent for another kind of tar,
    StoreError where there is no room, and whatever `chunks` raises.
    """

    def __init__(self, chunks: Iterable[bytes], what: str) -> None:
        self._what = what
        self._file = temporary_file("layers")
        weakref.finalize(self, self._file.close)
        self._documents: dict[str, bytes] = {}
        self._size_of_documents = 0
        self._layers: dict[str, _Layer] = {}
        self._links: dict[str, str] = {}
        try:
            with temporary_room("layers"):
                self._read(chunks)
        except tarfile.TarError as error:
            raise IntegrityError(f"{what}: the Docker Engine saved a broken tar: {error}") from None
        self.config, layers = self._contents()
        self._blobs = {layer.blob.digest: layer for layer in layers}
        descriptor = Descriptor(DOCKER_CONFIG, Digest.of(self.config), len(self.config))
        self.manifest: Manifest = docker_manifest(descriptor, tuple(layer.blob for layer in layers))

    def has_blob(self, blob: Descriptor) -> bool:
        """Tell whether this is the configuration or a layer of the image."""
        return blob.digest in self._blobs or blob.digest == self.manifest.config.digest

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the verified content of a blob; NotFound if it is none of this image."""
        if blob.digest == self.manifest.config.digest:
            yield self.config
            return
        layer = self._blobs.get(blob.digest)
        if layer is None:
            raise NotFound(f"{self._what}: there is no blob {blob.digest} in the image")
        yield from verified(read_at(self._file.fileno(), layer.offset, layer.blob.size), blob, self._what)

    def _read(self, chunks: Iterable[bytes]) -> None:
        stream = io.BufferedReader(ChunkFile(chunks), _CHUNK)
        with contextlib.closing(stream), tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = posixpath.normpath(member.name)
                content = archive.extractfile(member) if member.isreg() else None
                if content:
                    self._take(name, member.size, content)
                elif member.issym() or member.islnk():
                    directory = posixpath.dirname(name) if member.issym() else ""
                    self._links[name] = posixpath.normpath(posixpath.join(directory, member.linkname))
        self._file.flush()

    def _take(self, name: str, size: int, content: IO[bytes]) -> None:
        """Keep a document, compress a layer; blobs are told apart by their content, since their names say nothing."""
        head = content.read(tar.BLOCK)
        is_document = head[:1] in (b"{", b"[") and b"\0" not in head and size <= _LARGEST_DOCUMENT
        if name.endswith(_LEGACY_LAYER) or (name.startswith(_BLOBS) and not is_document):
            self._layers[name] = self._compress(head, content)
        elif is_document:
            self._documents[name] = head + content.read()
            self._size_of_documents += size
            if self._size_of_documents > _LARGEST_DOCUMENTS:
                most = in_words(_LARGEST_DOCUMENTS)
                raise InvalidContent(f"{self._what}: the documents in the tar have more than the {most} that are read")

    def _compress(self, head: bytes, content: IO[bytes]) -> _Layer:
        archive_hasher, blob_hasher = hashlib.sha256(), hashlib.sha256()
        offset = self._file.tell()

        def chunks() -> Iterator[bytes]:
            yield head
            while chunk := content.read(_CHUNK):
                yield chunk

        def archive() -> Iterator[bytes]:
            for chunk in decompress(chunks()):
                archive_hasher.update(chunk)
                yield chunk

        for chunk in gzip.compress(archive()):
            blob_hasher.update(chunk)
            self._file.write(chunk)
        blob = Descriptor(DOCKER_LAYER, Digest.from_hasher(blob_hasher), self._file.tell() - offset)
        return _Layer(Digest.from_hasher(archive_hasher), blob, offset)

    def _contents(self) -> tuple[bytes, list[_Layer]]:
        """Return the configuration and the layers, base first, that manifest.json names."""
        try:
            (entry,) = loads(self._documents[_MANIFEST_FILE])
            config_name = str(entry["Config"])
            config = self._documents[self._target(config_name)]
            layers = [self._layers[self._target(name)] for name in entry["Layers"] or ()]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidContent(
                f"{self._what}: what the Docker Engine saved lacks what its {_MANIFEST_FILE} promises: {error}"
            ) from None
        expected = posixpath.basename(config_name).removesuffix(".json")
        if Digest.of(config).encoded != expected:
            raise IntegrityError(f"{self._what}: the Docker Engine saved {Digest.of(config)} as image {expected}")
        promised = diff_ids_of(config, self._what)
        if [layer.diff_id for layer in layers] != promised:
            raise IntegrityError(f"{self._what}: the Docker Engine saved other layers than its configuration names")
        return config, layers

    def _target(self, name: str) -> str:
        """Return the entry that a name stands for; links in a saved image are one step long."""
        name = posixpath.normpath(name)
        return self._links.get(name, name)


def diff_ids_of(config: bytes, what: str) -> list[str]:
    """Return the digests of the layers' archives that an image configuration names; InvalidContent if it is none."""
    try:
        found = loads(config)["rootfs"]["diff_ids"] or []
    except (KeyError, TypeError, ValueError):
        found = None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise InvalidContent(f"{what}: is not a container image: its configuration has no rootfs with diff_ids")
    return found


def load_stream(
    config: bytes, layers: Sequence[tuple[Descriptor, Iterator[bytes]]], names: Sequence[str]
) -> Iterator[bytes]:
    """Yield what `docker load` takes: an image and the names it gets.

    `layers` are base first and gzip, zstd or not compressed; each is taken when its turn
    comes. The Engine inflates gzip and compares every layer with its DiffID itself; zstd it
    knows since 23 only, so that is inflated here.
    """
    config_name = f"{Digest.of(config).encoded}.json"
    layer_names = [f"{blob.digest.encoded}.tar" for blob, _ in layers]
    manifest = [{"Config": config_name, "RepoTags": list(names), "Layers": layer_names}]
    yield from _entry(_MANIFEST_FILE, json.dumps(manifest).encode())
    yield from _entry(config_name, config)
    written: set[str] = set()
    for name, (blob, chunks) in zip(layer_names, layers, strict=True):
        if name not in written:
            written.add(name)
            yield from _layer_entry(name, blob.size, chunks)
    yield tar.END_OF_ARCHIVE


def _entry(name: str, content: bytes) -> Iterator[bytes]:
    yield tar.header(name, _MODE, len(content), tar.REGULAR) + content + tar.padding(len(content))


def _layer_entry(name: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    first, stream = with_start(chunks)
    if not is_zstd(first):
        yield tar.header(name, _MODE, size, tar.REGULAR)
        yield from stream
        yield tar.padding(size)
        return
    with temporary_file("layers") as file:
        with temporary_room("layers"):
            for block in decompress(stream):
                file.write(block)
            file.flush()
        size = file.tell()
        yield tar.header(name, _MODE, size, tar.REGULAR)
        yield from read_at(file.fileno(), 0, size)
        yield tar.padding(size)
