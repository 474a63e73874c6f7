"""Images made from files: layer, configuration and manifest, bit for bit as imgpkg makes them.

The DiffID (sha256 of the layer's tar) and the image ID (sha256 of the configuration) are functions
of the inputs alone and equal to imgpkg's; the manifest digest also depends on the compressor and is
reproducible only among images that bundlepipe built.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO

from msgspec import Struct

from bundlepipe.filesystem.inputs import Entry, Inputs, read_file, walk
from bundlepipe.filesystem.snapshots import Snapshot, directory_state, file_state
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers import gzip, tar
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, Descriptor, Manifest, docker_manifest

_CHUNK = 256 * 1024
# Go's JSON encoder escapes these so that its output is safe inside HTML and JavaScript.
_GO_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


class FilesImage(Struct, frozen=True):
    """The image ID of an image made from files, and the snapshot of the bytes it was computed from."""

    diff_id: Digest
    config: bytes
    snapshot: Snapshot

    @property
    def image_id(self) -> Digest:
        """The digest of the configuration: a bundle's image ID."""
        return Digest.of(self.config)


def config_json(diff_id: Digest, labels: Mapping[str, str]) -> bytes:
    """Return the image configuration that imgpkg writes for a layer and labels."""
    settings = {"Labels": dict(sorted(labels.items()))} if labels else {}
    document = {
        "architecture": "",
        "created": "0001-01-01T00:00:00Z",
        "history": [{"author": "imgpkg", "created": "0001-01-01T00:00:00Z", "created_by": "imgpkg"}],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "config": settings,
    }
    return escape_as_go(json.dumps(document, ensure_ascii=False, separators=(",", ":"))).encode()


def escape_as_go(text: str) -> str:
    """Return JSON text with the characters escaped that Go's encoder escapes and Python's does not."""
    return text.translate(_GO_ESCAPES)


def identify(
    inputs: Inputs, labels: Mapping[str, str], entries: Sequence[Entry] | None = None, *, takes_snapshot: bool = True
) -> FilesImage:
    """Compute the image ID for some inputs without compressing anything.

    `entries` are the inputs as `walk` found them, if the caller has walked them already. Without a
    snapshot, which takes the hash of every file, that of the image is empty. Raises InputError for
    inputs that imgpkg would refuse, or that change meanwhile.
    """
    packing = _Packing(inputs, entries, takes_snapshot)
    for _ in packing.chunks():
        pass
    return packing.image(labels)


def build(
    inputs: Inputs,
    labels: Mapping[str, str],
    layer: IO[bytes],
    entries: Sequence[Entry] | None = None,
    *,
    takes_snapshot: bool = True,
) -> tuple[FilesImage, Manifest]:
    """Write the compressed layer of some inputs to `layer`; return the image and its manifest.

    `entries`, the snapshot and errors are those of `identify`.
    """
    packing = _Packing(inputs, entries, takes_snapshot)
    hasher = hashlib.sha256()
    size = 0
    for chunk in gzip.compress(packing.chunks()):
        hasher.update(chunk)
        size += len(chunk)
        layer.write(chunk)
    image = packing.image(labels)
    layer_descriptor = Descriptor(DOCKER_LAYER, Digest.from_hasher(hasher), size)
    config_descriptor = Descriptor(DOCKER_CONFIG, image.image_id, len(image.config))
    return image, docker_manifest(config_descriptor, (layer_descriptor,))


class _Packing:
    """One pass over the inputs: the tar in chunks, its hash, and for a snapshot the hash of every file."""

    def __init__(self, inputs: Inputs, entries: Sequence[Entry] | None, takes_snapshot: bool) -> None:
        self._inputs = inputs
        self._entries = entries
        self._takes_snapshot = takes_snapshot
        self._hasher = hashlib.sha256()
        self._snapshot: Snapshot = {}

    def chunks(self) -> Iterator[bytes]:
        """Yield the tar in chunks large enough for hashing and compressing."""
        for chunk in _gather(self._parts()):
            self._hasher.update(chunk)
            yield chunk

    def image(self, labels: Mapping[str, str]) -> FilesImage:
        """Return the image, once all chunks are consumed."""
        diff_id = Digest.from_hasher(self._hasher)
        return FilesImage(diff_id, config_json(diff_id, labels), self._snapshot)

    def _parts(self) -> Iterator[bytes]:
        for entry in walk(self._inputs) if self._entries is None else self._entries:
            mode = self._inputs.mode(entry.status)
            if entry.is_directory:
                if self._takes_snapshot:
                    self._snapshot[entry.path] = directory_state(mode)
                yield tar.header(entry.name, mode, 0, tar.DIRECTORY)
            else:
                yield tar.header(entry.name, mode, entry.status.st_size, tar.REGULAR)
                yield from self._hashed(entry) if self._takes_snapshot else read_file(entry)
                yield tar.padding(entry.status.st_size)
        yield tar.END_OF_ARCHIVE

    def _hashed(self, entry: Entry) -> Iterator[bytes]:
        read_at_ns = time.time_ns()
        hasher = hashlib.sha256()
        for chunk in read_file(entry):
            hasher.update(chunk)
            yield chunk
        self._snapshot[entry.path] = file_state(self._inputs, entry, hasher.hexdigest(), read_at_ns)


def _gather(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join small parts; pass large ones on unchanged."""
    gathered: list[bytes] = []
    size = 0
    for part in parts:
        gathered.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    if gathered:
        yield b"".join(gathered)
