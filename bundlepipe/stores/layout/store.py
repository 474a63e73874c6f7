"""A store in a directory: one repository as an OCI image layout.

Format: OCI image specification 1.1, "Image Layout". Manifests keep their bytes and media types,
including Docker's. Any number of processes may write at once: blobs appear by rename, and
index.json is replaced under a lock on the directory.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import threading
from collections.abc import Collection, Generator, Iterable, Iterator
from typing import Any

from bundlepipe.errors import InvalidDigest, NotFound, StoreError
from bundlepipe.filesystem.base_directory import anchored, as_given
from bundlepipe.filesystem.files import incoming, locked, remove_abandoned, write_if_changed
from bundlepipe.limits import LARGEST_LAYOUT_INDEX, LARGEST_MANIFEST, in_words
from bundlepipe.oci.bounded_json import JsonFault, checked, loads
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor, Manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.protocol import (
    OpenContent,
    Root,
    Source,
    find_manifest,
    put_tagged_referrers,
    referrers_tag,
)
from bundlepipe.stores.settings import local_reference
from bundlepipe.stores.verification import verified, verify_manifest

_REF_NAME = "org.opencontainers.image.ref.name"
_LAYOUT_FILE = "oci-layout"
_INDEX_FILE = "index.json"
_LAYOUT_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK = 1 << 20
# Internal tags of copies, attachments of cosign, referrers.
_MADE_OF_A_DIGEST = re.compile(r"sha256-[0-9a-f]{64}")


class _Index:
    """The data of index.json: the digest of each tag, the media type of each digest."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.tags: dict[str, Digest] = {}
        self.types: dict[Digest, str | None] = {}
        for entry in document["manifests"]:
            digest, tag = Digest(entry["digest"]), _tag_of(entry)
            self.types.setdefault(digest, entry.get("mediaType"))
            if tag is not None:
                self.tags.setdefault(tag, digest)

    def lists(self, manifest: Descriptor, tag: str | None) -> bool:
        """Return whether there is an entry for a manifest, with the tag if given."""
        return self.tags.get(tag) == manifest.digest if tag else manifest.digest in self.types

    def add(self, manifest: Descriptor, tag: str | None) -> None:
        """List a manifest and move the tag to it; other tools' fields in entries are kept."""
        if self.lists(manifest, tag):
            return
        if tag in self.tags:
            self.document["manifests"] = [entry for entry in self.document["manifests"] if _tag_of(entry) != tag]
        annotations = {"annotations": {_REF_NAME: tag}} if tag else {}
        self.document["manifests"].append({**manifest.to_json(), **annotations})
        self.types.setdefault(manifest.digest, manifest.media_type)
        if tag:
            self.tags[tag] = manifest.digest


class LayoutStore:
    """A repository kept in `directory`, which need not exist before the first write."""

    is_closed = False
    is_complete = False

    def __init__(self, directory: str, repository: Repository | None = None) -> None:
        self.directory = directory
        self._repository = repository
        self._last_read: tuple[tuple[int, ...], _Index] | None = None
        self._waiting: list[tuple[Descriptor, str | None]] = []
        self._adding = threading.Lock()

    @property
    def name(self) -> str:
        """`registry/repository` if the layout backs a registry host, else `oci:DIR`."""
        return str(self._repository) if self._repository else f"oci:{self.directory}"

    @property
    def repository(self) -> Repository | None:
        """The repository that the layout backs in a registry host, if any."""
        return self._repository

    @property
    def is_local(self) -> bool:
        """True."""
        return True

    @property
    def keeps_untagged(self) -> bool:
        """True: blobs are never removed here, and additional entries in index.json would disturb other tools."""
        return True

    def roots(self, identifier: str | None) -> Iterator[Root]:
        """Yield the image of a tag or digest, or without one the only image; NotFound, StoreError."""
        digest, tag = (self._locate(identifier)[0], identifier) if identifier else self.sole_image()
        yield Root(
            source=self,
            identifier=digest,
            tag=None if ":" in (tag or "") else tag,
            reference=local_reference(os.path.basename(os.path.abspath(anchored(self.directory))), digest),
        )

    def resolve(self, tag: str) -> Digest:
        """Return the digest that index.json gives for `tag`; NotFound if there is none."""
        return self._tagged(tag)

    def read_manifest(self, identifier: str) -> Manifest:
        """Return the manifest of a tag or digest; NotFound if there is none."""
        digest, media_type = self._locate(identifier)
        raw = self._read_manifest_bytes(digest)
        what = f"{self.name}@{digest}"
        verify_manifest(raw, digest, what)
        return Manifest.parse(raw, media_type, what)

    def sole_image(self) -> tuple[Digest, str | None]:
        """Return the digest and tag of `oci:DIR` without a tag; StoreError if that may be several images.

        It is the only image with a tag, not counting tags that tools make of digests, or else the only listed one.
        An image with several tags is returned without one.
        """
        index = self._index()
        tags = {tag: digest for tag, digest in index.tags.items() if not _MADE_OF_A_DIGEST.search(tag)}
        digests = list(dict.fromkeys(tags.values() or index.types))
        if len(digests) != 1:
            names = ", ".join(sorted(tags)) or "none has a tag"
            raise StoreError(f"{self.name} holds {len(digests)} images: say which with {self.name}:TAG ({names})")
        return digests[0], next(iter(tags)) if len(tags) == 1 else None

    def has_manifest(self, digest: Digest) -> bool:
        """Return whether the manifest is among the blobs."""
        return os.path.isfile(self._blob_path(digest))

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the verified content of a blob; NotFound if it is not here."""
        with self._translated(f"blob {blob.digest}"), open(self._blob_path(blob.digest), "rb") as file:
            yield from verified(iter(lambda: file.read(_CHUNK), b""), blob, self.name)

    def has_blob(self, blob: Descriptor) -> bool:
        """Return whether a blob of this digest and size is in the layout."""
        try:
            return os.stat(self._blob_path(blob.digest)).st_size == blob.size
        except FileNotFoundError:
            return False

    def put_blob(self, blob: Descriptor, open_content: OpenContent) -> bool:
        """Store a blob unless it exists, verifying it, and return whether it was stored."""
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
        """Hard-link a blob from another layout; False if it exists already, or cannot be linked."""
        if not isinstance(source, LayoutStore) or not source.has_blob(blob) or self.has_blob(blob):
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
        with self._translated("write"):
            index = self._read_index()
            if index and index.lists(manifest.descriptor, tag):
                return
            with self._adding:
                self._waiting.append((manifest.descriptor, tag))
            with locked(self.directory):
                self._list_waiting()

    def _list_waiting(self) -> None:
        """Write the entries of all waiting threads: a thread that waited for the lock may find its own written."""
        with self._adding:
            waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            self._list(waiting)
        except BaseException:
            # The other threads must not assume that their entries are written.
            with self._adding:
                self._waiting[:0] = waiting
            self._last_read = None
            raise
        remove_abandoned(os.path.join(self.directory, "blobs", waiting[0][0].digest.algorithm))
        remove_abandoned(self.directory)

    def _list(self, waiting: Iterable[tuple[Descriptor, str | None]]) -> None:
        if not self._has_layout_file():
            write_if_changed(os.path.join(self.directory, _LAYOUT_FILE), _LAYOUT_VERSION)
        index = self._read_index() or _Index({"schemaVersion": 2, "manifests": []})
        for descriptor, tag in waiting:
            index.add(descriptor, tag)
        content = json.dumps(index.document).encode()
        if len(content) > LARGEST_LAYOUT_INDEX:
            most = in_words(LARGEST_LAYOUT_INDEX)
            raise StoreError(f"{as_given(self._index_path)}: would have more than the {most} that are read")
        try:
            checked(content)
        except JsonFault as fault:
            raise StoreError(f"{as_given(self._index_path)}: {fault}, which could not be read again") from None
        write_if_changed(self._index_path, content)
        self._last_read = (_stamp(os.stat(self._index_path)), index)

    def list_tags(self) -> Iterator[str]:
        """Yield the tags in the order of index.json."""
        return iter(list(self._index().tags))

    def read_referrers(self, digest: Digest, tags: Collection[str] | None = None) -> Manifest | None:
        """Return the index with the tag for referrers of `digest`; None if there is none."""
        return find_manifest(self, referrers_tag(digest))

    def put_referrers(self, index: Manifest, subject: Digest) -> bool:
        """Add the manifests of an index to the tag for referrers of `subject`."""
        return put_tagged_referrers(self, index, subject)

    def _locate(self, identifier: str) -> tuple[Digest, str | None]:
        index = self._index()
        digest = Digest.parse(identifier) if ":" in identifier else self._tagged(identifier)
        return digest, index.types.get(digest)

    def _tagged(self, tag: str) -> Digest:
        digest = self._index().tags.get(tag)
        if digest is None:
            raise NotFound(f"{self.name}:{tag}: not found in the layout {self.directory}")
        return digest

    def _index(self) -> _Index:
        index = self._read_index()
        if index is None:
            raise NotFound(f"{self.name}: there is no OCI image layout in {self.directory}")
        return index

    @property
    def _index_path(self) -> str:
        return os.path.join(anchored(self.directory), _INDEX_FILE)

    def _read_index(self) -> _Index | None:
        """Return index.json, None if there is none; it is read again only if it was replaced."""
        try:
            with open(self._index_path, "rb") as file:
                status = os.fstat(file.fileno())
                stamp = _stamp(status)
                if self._last_read and self._last_read[0] == stamp:
                    return self._last_read[1]
                if status.st_size > LARGEST_LAYOUT_INDEX:
                    most = in_words(LARGEST_LAYOUT_INDEX)
                    raise StoreError(f"{as_given(self._index_path)}: has more than the {most} that are read")
                document = loads(file.read(LARGEST_LAYOUT_INDEX))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"{as_given(self._index_path)}: cannot be read: {error.strerror}") from None
        except JsonFault as fault:
            raise StoreError(
                f"{as_given(self._index_path)}: {fault}, so {self.directory} is not an OCI image layout"
            ) from None
        if not isinstance(document, dict) or not ("manifests" in document or self._has_layout_file()):
            raise StoreError(f"{as_given(self._index_path)}: is not the index of an OCI image layout")
        if not _are_entries(document.setdefault("manifests", [])):
            raise StoreError(f"{as_given(self._index_path)}: is not the index of an OCI image layout")
        index = _Index(document)
        self._last_read = (stamp, index)
        return index

    def _has_layout_file(self) -> bool:
        return os.path.isfile(os.path.join(self.directory, _LAYOUT_FILE))

    def _read_manifest_bytes(self, digest: Digest) -> bytes:
        with self._translated(f"manifest {digest}"), open(self._blob_path(digest), "rb") as file:
            raw = file.read(LARGEST_MANIFEST + 1)
        if len(raw) > LARGEST_MANIFEST:
            raise StoreError(f"{self.name}: manifest {digest} is larger than {LARGEST_MANIFEST} bytes")
        return raw

    def _blob_path(self, digest: Digest) -> str:
        return os.path.join(anchored(self.directory), "blobs", digest.algorithm, digest.encoded)

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{self.name}: {what} not found in the layout {self.directory}") from None
        except OSError as error:
            raise StoreError(f"{self.name}: {as_given(error.filename or self.directory)}: {error.strerror}") from None


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


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """Return a value that changes whenever a file is replaced."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
