"""The OCI layout home: a repository kept as an OCI image layout in a directory.

Format: OCI image specification 1.1, "Image Layout". Manifests keep their bytes and media
types, Docker's included. Any number of processes may write at once: blobs appear by
rename, and index.json is replaced under a lock on the directory.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Generator, Iterator
from typing import Any

from bundlepipe.errors import InvalidDigest, NotFound, StoreError
from bundlepipe.files import incoming, locked, remove_abandoned, write_if_changed
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import LARGEST_MANIFEST, Descriptor, Manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.store import (
    OpenContent,
    Source,
    find_manifest,
    put_tagged_referrers,
    referrers_tag,
    verified,
    verify_manifest,
)

_REF_NAME = "org.opencontainers.image.ref.name"
_LAYOUT_FILE = "oci-layout"
_INDEX_FILE = "index.json"
_LAYOUT_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK = 1 << 20


class LayoutStore:
    """A repository kept in `directory`, which need not exist before the first write."""

    def __init__(self, directory: str, repository: Repository | None = None) -> None:
        self.directory = directory
        self._repository = repository

    @property
    def name(self) -> str:
        """`registry/repository` where the layout backs a registry host, else `oci:DIR`."""
        return str(self._repository) if self._repository else f"oci:{self.directory}"

    @property
    def repository(self) -> Repository | None:
        """The repository that the layout stands for, if it backs a registry host."""
        return self._repository

    @property
    def is_local(self) -> bool:
        """True."""
        return True

    @property
    def keeps_untagged(self) -> bool:
        """True: nothing here removes a blob, and each further entry of index.json is in the way of others' tools."""
        return True

    def resolve(self, tag: str) -> Digest:
        """Return the digest that index.json gives for `tag`; NotFound if there is none."""
        return self._tagged(tag).digest

    def read_manifest(self, identifier: str) -> Manifest:
        """Return the manifest of a tag or digest; NotFound if there is none."""
        digest, media_type = self._locate(identifier)
        raw = self._read_manifest_bytes(digest)
        what = f"{self.name}@{digest}"
        verify_manifest(raw, digest, what)
        return Manifest.parse(raw, media_type, what)

    def sole_manifest(self) -> Manifest:
        """Return the only manifest of the layout: what `oci:DIR` without tag means; StoreError if there are several."""
        digests = {entry["digest"] for entry in self._entries()}
        if len(digests) != 1:
            tags = ", ".join(sorted(self.list_tags())) or "none has a tag"
            raise StoreError(f"{self.name} holds {len(digests)} images: say which with {self.name}:TAG ({tags})")
        return self.read_manifest(digests.pop())

    def has_manifest(self, digest: Digest) -> bool:
        """Tell whether the manifest is among the blobs."""
        return os.path.isfile(self._blob_path(digest))

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the verified content of a blob; NotFound if it is not here."""
        with self._translated(f"blob {blob.digest}"), open(self._blob_path(blob.digest), "rb") as file:
            yield from verified(iter(lambda: file.read(_CHUNK), b""), blob, self.name)

    def has_blob(self, blob: Descriptor) -> bool:
        """Tell whether a blob of this digest and size is here."""
        try:
            return os.stat(self._blob_path(blob.digest)).st_size == blob.size
        except FileNotFoundError:
            return False

    def put_blob(self, blob: Descriptor, open_content: OpenContent) -> bool:
        """Store a blob unless it is here, verifying it on the way, and tell whether it had to be."""
        if self.has_blob(blob):
            return False
        with self._translated("write"), open_content() as content:
            path = self._blob_path(blob.digest)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with incoming(os.path.dirname(path)) as file:
                for chunk in verified(iter(lambda: content.read(_CHUNK), b""), blob, self.name):
                    file.write(chunk)
                file.flush()
                os.replace(file.name, path)
        return True

    def mount_blob(self, blob: Descriptor, source: Source) -> bool:
        """Take a blob over from another layout by a hard link; False if the file system has none to give."""
        if not isinstance(source, LayoutStore) or not source.has_blob(blob):
            return False
        path = self._blob_path(blob.digest)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.link(source._blob_path(blob.digest), path)
        except OSError:
            return False
        return True

    def put_manifest(self, manifest: Manifest, tag: str | None = None) -> None:
        """Store a manifest and list it in index.json, under `tag` if given."""
        self.put_blob(manifest.descriptor, lambda: io.BytesIO(manifest.raw))
        with self._translated("write"), locked(self.directory):
            write_if_changed(os.path.join(self.directory, _LAYOUT_FILE), _LAYOUT_VERSION)
            index = self._read_index() or {"schemaVersion": 2, "manifests": []}
            index["manifests"] = _with_entry(index["manifests"], manifest.descriptor, tag)
            write_if_changed(os.path.join(self.directory, _INDEX_FILE), json.dumps(index).encode())
            remove_abandoned(os.path.dirname(self._blob_path(manifest.digest)))
            remove_abandoned(self.directory)

    def list_tags(self) -> Iterator[str]:
        """Yield the tags in the order of index.json."""
        for entry in self._entries():
            tag = _tag_of(entry)
            if tag is not None:
                yield tag

    def read_referrers(self, digest: Digest) -> Manifest | None:
        """Return the index with the tag for referrers of `digest`; None if there is none."""
        return find_manifest(self, referrers_tag(digest))

    def put_referrers(self, index: Manifest, subject: Digest) -> None:
        """Add the manifests of an index to those that the tag for referrers of `subject` lists."""
        put_tagged_referrers(self, index, subject)

    def _locate(self, identifier: str) -> tuple[Digest, str | None]:
        if ":" not in identifier:
            tagged = self._tagged(identifier)
            return tagged.digest, tagged.media_type
        digest = Digest.parse(identifier)
        for entry in self._entries():
            if entry["digest"] == digest:
                return digest, entry.get("mediaType")
        return digest, None

    def _tagged(self, tag: str) -> Descriptor:
        for entry in self._entries():
            if _tag_of(entry) == tag:
                return Descriptor.from_json(entry, f"{self.name}: {_INDEX_FILE}")
        raise NotFound(f"{self.name}:{tag}: not found in the layout {self.directory}")

    def _entries(self) -> list[dict[str, Any]]:
        index = self._read_index()
        if index is None:
            raise NotFound(f"{self.name}: there is no OCI image layout in {self.directory}")
        entries: list[dict[str, Any]] = index["manifests"]
        return entries

    def _read_index(self) -> dict[str, Any] | None:
        path = os.path.join(self.directory, _INDEX_FILE)
        try:
            with open(path, "rb") as file:
                index = json.load(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise StoreError(f"{path}: is not JSON, so {self.directory} is not an OCI image layout") from None
        if not isinstance(index, dict) or not _are_entries(index.setdefault("manifests", [])):
            raise StoreError(f"{path}: is not the index of an OCI image layout")
        return index

    def _read_manifest_bytes(self, digest: Digest) -> bytes:
        with self._translated(f"manifest {digest}"), open(self._blob_path(digest), "rb") as file:
            raw = file.read(LARGEST_MANIFEST + 1)
        if len(raw) > LARGEST_MANIFEST:
            raise StoreError(f"{self.name}: manifest {digest} is larger than {LARGEST_MANIFEST} bytes")
        return raw

    def _blob_path(self, digest: Digest) -> str:
        return os.path.join(self.directory, "blobs", digest.algorithm, digest.encoded)

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{self.name}: {what} not found in the layout {self.directory}") from None
        except OSError as error:
            raise StoreError(f"{self.name}: {error.filename or self.directory}: {error.strerror}") from None


def _tag_of(entry: dict[str, Any]) -> str | None:
    annotations = entry.get("annotations") or {}
    tag = annotations.get(_REF_NAME)
    return tag if isinstance(tag, str) else None


def _are_entries(entries: object) -> bool:
    if not isinstance(entries, list):
        return False
    try:
        return all(isinstance(entry, dict) and Digest.parse(str(entry.get("digest"))) for entry in entries)
    except InvalidDigest:
        return False


def _with_entry(entries: list[dict[str, Any]], manifest: Descriptor, tag: str | None) -> list[dict[str, Any]]:
    """Return the entries of an index with one for `manifest`; what others wrote into theirs is kept."""
    if tag is None:
        if any(entry["digest"] == manifest.digest for entry in entries):
            return entries
        return [*entries, manifest.to_json()]
    others = [entry for entry in entries if _tag_of(entry) != tag]
    return [*others, {**manifest.to_json(), "annotations": {_REF_NAME: tag}}]
