"""Read images from a tar file that `imgpkg copy --to-tar` wrote.

The first entry is manifest.json, with all manifests and configurations; the others are the distinct
layers. Only headers are read to find entries, so that opening an archive of any size is quick, and
layers are read in place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Generator, Iterator
from functools import cached_property, partial
from typing import IO, NamedTuple

from msgspec import Struct

from bundlepipe.errors import InvalidContent, InvalidReference, NotFound, StoreError, UnsafeArchive
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.files import read_at
from bundlepipe.limits import LARGEST_ARCHIVE_MANIFEST, in_words
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers.tar import padding, read_member
from bundlepipe.oci.manifest import Descriptor, Manifest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.archive import manifest as archive_manifest
from bundlepipe.stores.archive.manifest import ArchivedManifest
from bundlepipe.stores.protocol import Root, find_manifest, referrers_tag
from bundlepipe.stores.verification import verified

_HINT = (
    "This may be because when copying to a tarball, the "  # codespell:ignore
    "--include-non-distributable-layers flag should have been provided."
)
_REFERRERS_TAG = re.compile(r"(sha256)-([0-9a-f]{64})")


class Span(NamedTuple):
    """The offset and size of an entry's content in the file."""

    offset: int
    size: int


class _Content(Struct, frozen=True):
    entries: tuple[ArchivedManifest, ...]
    manifests: dict[Digest, ArchivedManifest]
    configs: dict[Digest, bytes]
    layers: dict[str, Span]


def layer_file_name(digest: Digest) -> str:
    """Return the name of a layer's entry in an archive, whatever the compression of the layer."""
    return f"{digest.algorithm}-{digest.encoded}.tar.gz"


class ArchiveStore:
    """The images in the archive at `path`; reads it on first use.

    Raises NotFound if there is no such file, InvalidContent if it is not an imgpkg tar file.
    """

    # An archive is used where nothing else is available.
    is_closed = True

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """`tar:FILE`."""
        return f"tar:{self.path}"

    @property
    def repository(self) -> None:
        """None: images in an archive do not belong to a registry yet."""
        return None

    @property
    def is_local(self) -> bool:
        """True."""
        return True

    @property
    def entries(self) -> tuple[ArchivedManifest, ...]:
        """The images and indexes that were copied to the archive; members of indexes are inside them."""
        return self._content.entries

    def roots(self) -> Iterator[Root]:
        """Return everything in the archive; NotFound immediately if there is no file."""
        if not os.path.exists(anchored(self.path)):
            raise self._absence()
        return self._roots()

    def _roots(self) -> Iterator[Root]:
        # A bundle that was copied with all its images has a label.
        has_root = any(entry.is_root for entry in self.entries)
        for entry in self.entries:
            reference = entry.references[0]
            match = _REFERRERS_TAG.fullmatch(entry.tag or "") if entry.manifest.is_index else None
            yield Root(
                source=self,
                identifier=entry.manifest.digest,
                tag=entry.tag,
                reference=reference,
                origin=_parsed(entry.origin) or reference,
                is_root=entry.is_root,
                entries=partial(entry.lock_entries, self.name),
                manifest=entry.manifest if match else None,
                subject=Digest.parse(f"{match[1]}:{match[2]}") if match else None,
                perhaps_shallow=not has_root,
            )

    def _absence(self) -> NotFound:
        return NotFound(f"{self.name}: there is no such file", drop_in=f"open {self.path}: no such file or directory")

    def archived(self, digest: Digest) -> ArchivedManifest:
        """Return what the archive records about a manifest; NotFound if it has no such manifest."""
        try:
            return self._content.manifests[digest]
        except KeyError:
            raise NotFound(f"{self.name}: there is no manifest {digest} in the tar") from None

    def resolve(self, tag: str) -> Digest:
        """Return the digest of the manifest with this tag; NotFound if there is none."""
        for entry in self.entries:
            if entry.tag == tag:
                return entry.manifest.digest
        raise NotFound(f"{self.name}: there is no tag '{tag}' in the tar")

    def read_manifest(self, identifier: str) -> Manifest:
        """Return the manifest of a tag or digest; NotFound if there is none."""
        digest = Digest.parse(identifier) if ":" in identifier else self.resolve(identifier)
        return self.archived(digest).manifest

    def has_manifest(self, digest: Digest) -> bool:
        """Return whether the manifest is in the archive."""
        return digest in self._content.manifests

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the verified content of a configuration or layer; NotFound if the archive does not have it."""
        config = self._content.configs.get(blob.digest)
        if config is not None:
            yield from verified(iter((config,)), blob, self.name)
            return
        span = self._content.layers.get(layer_file_name(blob.digest))
        if span is None:
            raise _absent_layer(blob, self.name)
        try:
            with open(anchored(self.path), "rb") as file:
                yield from verified(read_at(file.fileno(), *span), blob, self.name)
        except OSError as error:
            raise StoreError(f"{self.name}: cannot be read: {error.strerror}") from None

    def has_blob(self, blob: Descriptor) -> bool:
        """Return whether the archive has the configuration or layer."""
        return blob.digest in self._content.configs or layer_file_name(blob.digest) in self._content.layers

    def list_tags(self) -> Iterator[str]:
        """Yield the tags of the copied images."""
        return (entry.tag for entry in self.entries if entry.tag)

    def read_referrers(self, digest: Digest, tags: Collection[str] | None = None) -> Manifest | None:
        """Return the index with the tag for referrers of `digest`; None if there is none."""
        return find_manifest(self, referrers_tag(digest))

    @cached_property
    def _content(self) -> _Content:
        try:
            with open(anchored(self.path), "rb") as file:
                spans = scan(file, self.name)
                raw = _read_manifest_file(file, spans, self.name)
        except FileNotFoundError:
            raise self._absence() from None
        except IsADirectoryError as error:
            drop_in = f"read {self.path}: is a directory"
            raise StoreError(f"{self.name}: cannot be read: {error.strerror}", drop_in=drop_in) from None
        except OSError as error:
            raise StoreError(f"{self.name}: cannot be read: {error.strerror}") from None
        entries = archive_manifest.parse(raw, f"{self.name}: {archive_manifest.FILE_NAME}")
        everything = [found for entry in entries for found in entry.walk()]
        return _Content(
            entries,
            {found.manifest.digest: found for found in everything},
            {found.manifest.config.digest: found.config for found in everything if not found.manifest.is_index},
            spans,
        )


def scan(file: IO[bytes], what: str, *, may_be_cut: bool = False) -> dict[str, Span]:
    """Return the position of each regular file's content, by name, reading only headers.

    Raises InvalidContent, naming `what`, unless the archive is complete; with `may_be_cut` it may
    end anywhere, and complete entries count.
    """
    spans: dict[str, Span] = {}
    length = os.fstat(file.fileno()).st_size
    try:
        while (member := read_member(file.read)) is not None:
            span = Span(file.tell(), member.size)
            end = span.offset + span.size
            if end > length:
                raise UnsafeArchive("the archive is cut off")
            if member.is_file:
                spans.setdefault(member.name.decode(errors="replace").removeprefix("./"), span)
            file.seek(end + len(padding(span.size)))
    except UnsafeArchive as error:
        if not may_be_cut:
            text = f"{what}: {error}: it is not, or not all of, an imgpkg tar"
            raise InvalidContent(text, drop_in=None if file.read(1) else "unexpected EOF") from None
    return spans


def count_present_layers(path: str) -> int:
    """Return how many layers an archive, which may be cut off, has, and how many its images have in total.

    Raises InvalidContent if it is not an imgpkg tar file, StoreError if it cannot be read.
    """
    try:
        with open(anchored(path), "rb") as file:
            spans = scan(file, path, may_be_cut=True)
            raw = _read_manifest_file(file, spans, path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
    everything = (found for entry in archive_manifest.parse(raw, path) for found in entry.walk())
    images = (found.manifest for found in everything if not found.manifest.is_index)
    return sum(layer_file_name(layer.digest) in spans for image in images for layer in image.layers)


def _read_manifest_file(file: IO[bytes], spans: dict[str, Span], what: str) -> bytes:
    span = spans.get(archive_manifest.FILE_NAME)
    if span is None:
        raise InvalidContent(
            f"{what}: has no {archive_manifest.FILE_NAME}: it is not an imgpkg tar",
            drop_in=_absence_as_imgpkg(archive_manifest.FILE_NAME),
        )
    if span.size > LARGEST_ARCHIVE_MANIFEST:
        most = in_words(LARGEST_ARCHIVE_MANIFEST)
        raise InvalidContent(
            f"{what}: {archive_manifest.FILE_NAME} has {span.size} bytes, more than the {most} that are read"
        )
    file.seek(span.offset)
    return file.read(span.size)


def _parsed(text: str | None) -> Reference | None:
    try:
        return Reference.parse(text) if text else None
    except InvalidReference:
        return None


def _absent_layer(blob: Descriptor, archive: str) -> NotFound:
    name = layer_file_name(blob.digest)
    why = f". hint: {_HINT}" if blob.is_non_distributable else ": it leaves out layers of an earlier copy"
    return NotFound(f"{archive}: file {name} not found in tar{why}", drop_in=_absence_as_imgpkg(name))


def _absence_as_imgpkg(name: str) -> str:
    return f"file {name} not found in tar (hint: {_HINT})"
