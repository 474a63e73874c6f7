"""Descriptors, manifests and indexes: the documents that name blobs by digest.

Formats: OCI image specification 1.1 ("Descriptor", "Image Manifest", "Image Index") and
Docker's Image Manifest Version 2, Schema 2. A manifest keeps the exact bytes it came
with, since they are its identity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard

from msgspec import Struct
from msgspec.structs import asdict, replace

from bundlepipe.errors import InvalidContent, InvalidDigest, quoted
from bundlepipe.oci.bounded_json import JsonFault, loads
from bundlepipe.oci.digest import Digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
# Layers that may not be redistributed, as with Windows: they are downloaded from their `urls`.
NON_DISTRIBUTABLE_TYPES = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
)

MANIFEST_TYPES = (DOCKER_MANIFEST, OCI_MANIFEST)
INDEX_TYPES = (DOCKER_LIST, OCI_INDEX)
ACCEPTED_TYPES = (*MANIFEST_TYPES, *INDEX_TYPES)

_PLATFORM_PART = re.compile(r"[A-Za-z0-9._-]+")


class Platform(Struct, frozen=True):
    """The platform of an image in an index, as `os/architecture[/variant][:os.version]`."""

    os: str
    architecture: str
    variant: str | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse `os/architecture[/variant][:os.version]` (kbld's `--platform`)."""
        name, _, version = text.partition(":")
        parts = name.split("/")
        if len(parts) not in (2, 3) or not all(map(_PLATFORM_PART.fullmatch, parts)):
            raise InvalidContent(f"{quoted(text)} is not a platform: expected OS/ARCHITECTURE[/VARIANT][:OS.VERSION]")
        return cls(parts[0], parts[1], parts[2] if len(parts) == 3 else None, version or None)

    def matches(self, wanted: Platform | PlatformSelection) -> bool:
        """Return whether this platform has everything that `wanted` names."""
        return PlatformSelection(**asdict(wanted)).matches(self)

    def __str__(self) -> str:
        variant = f"/{self.variant}" if self.variant else ""
        version = f":{self.os_version}" if self.os_version else ""
        return f"{self.os}/{self.architecture}{variant}{version}"


class PlatformSelection(Struct, frozen=True):
    """What to require of an image in an index to select it; None and the empty tuple match anything.

    An empty text matches a platform without that field.
    """

    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> PlatformSelection:
        """Parse `os/architecture[/variant][:os.version]`; the first two may be empty.

        Raises InvalidContent for other texts.
        """
        name, _, version = text.partition(":")
        parts = name.split("/")
        if not 2 <= len(parts) <= 3:
            reason = "expected format os/arch[/variant]" if len(parts) < 2 else "too many slashes"
            raise InvalidContent(f"Parsing platform '{text}': {reason}")
        return cls(parts[0], parts[1], "".join(parts[2:]) or None, version or None)

    def exact(self) -> PlatformSelection:
        """Return a copy that rejects platforms with an os or architecture that is not named here."""
        return replace(self, os=self.os or "", architecture=self.architecture or "")

    def matches(self, platform: Platform) -> bool:
        """Return whether a platform has everything that is named here."""
        return (
            self.os in (None, platform.os)
            and self.architecture in (None, platform.architecture)
            and self.variant in (None, platform.variant)
            and self.os_version in (None, platform.os_version)
            and set(self.os_features) <= set(platform.os_features)
            and set(self.features) <= set(platform.features)
        )

    def __str__(self) -> str:
        """Return `os: linux, architecture: arm64`, with the field names of configuration."""
        values = {
            name: value if isinstance(value, str) else " ".join(value) for name, value in asdict(self).items() if value
        }
        return ", ".join(f"{name.replace('os_', 'os.')}: {value}" for name, value in values.items()) or "any"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor of a blob or manifest: media type, digest, size in bytes; for referrers also the artifact type."""

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    platform: Platform | None = None
    annotations: dict[str, str] = field(default_factory=dict, compare=False)
    artifact_type: str | None = field(default=None, compare=False)

    @property
    def is_non_distributable(self) -> bool:
        """Whether this is a layer that may not be redistributed."""
        return self.media_type in NON_DISTRIBUTABLE_TYPES

    @classmethod
    def from_json(cls, value: Any, what: str) -> Descriptor:
        """Parse a descriptor from a decoded JSON value; InvalidContent, naming `what`, if it is invalid."""
        if not isinstance(value, dict):
            raise InvalidContent(f"{what}: expected a descriptor, found {type(value).__name__}")
        media_type, digest, size = value.get("mediaType", ""), value.get("digest"), value.get("size")
        if not isinstance(media_type, str) or not isinstance(digest, str) or type(size) is not int or size < 0:
            raise InvalidContent(f"{what}: a descriptor needs mediaType, digest and a size of 0 or more")
        try:
            parsed = Digest.parse(digest)
        except InvalidDigest as error:
            raise InvalidContent(f"{what}: {error}") from None
        urls, annotations = value.get("urls") or [], value.get("annotations") or {}
        artifact_type = value.get("artifactType")
        if not _is_list_of_texts(urls):
            raise InvalidContent(f"{what}: 'urls' is not a list of strings")
        if not _is_mapping_of_texts(annotations):
            raise InvalidContent(f"{what}: 'annotations' is not a mapping of strings")
        return cls(
            media_type,
            parsed,
            size,
            tuple(urls),
            _platform(value.get("platform"), what),
            annotations,
            artifact_type if isinstance(artifact_type, str) else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the descriptor as a JSON object, in the key order of Docker's and OCI's own tools."""
        value: dict[str, Any] = {"mediaType": self.media_type, "size": self.size, "digest": str(self.digest)}
        if self.urls:
            value["urls"] = list(self.urls)
        if self.annotations:
            value["annotations"] = self.annotations
        return value


def _platform(value: Any, what: str) -> Platform | None:
    if value is None:
        return None
    keys = ("os", "architecture", "variant", "os.version")
    texts = {key: value.get(key) or "" for key in keys} if isinstance(value, dict) else None
    if not _is_mapping_of_texts(texts):
        raise InvalidContent(f"{what}: 'platform' does not name a platform")
    features = [value.get(key) or [] for key in ("os.features", "features")]
    if not all(map(_is_list_of_texts, features)):
        raise InvalidContent(f"{what}: the features of 'platform' are not lists of strings")
    return Platform(
        texts["os"], texts["architecture"], texts["variant"] or None, texts["os.version"] or None, *map(tuple, features)
    )


def _is_list_of_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_mapping_of_texts(value: Any) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


class Manifest(Struct, frozen=True, dict=True):
    """An image manifest or an index: its exact bytes and the data in them."""

    media_type: str
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes, media_type: str | None, what: str) -> Manifest:
        """Parse a manifest from `raw`.

        `media_type` is what the store declared (None if it has no such record, as in a layout's
        blob directory). Raises InvalidContent, naming `what`, for schema 1, for an unknown media
        type and for bytes that do not match their type.
        """
        try:
            document = loads(raw)
        except JsonFault as fault:
            raise InvalidContent(f"{what}: the manifest {fault}") from None
        if not isinstance(document, dict):
            raise InvalidContent(f"{what}: the manifest is not a JSON object")
        if document.get("schemaVersion") == 1:
            raise InvalidContent(
                f"{what}: manifests of Docker's schema 1 are not supported; push the image again with a current tool"
            )
        declared = document.get("mediaType") or media_type or _guess_media_type(document)
        if declared not in ACCEPTED_TYPES:
            raise InvalidContent(f"{what}: unsupported manifest media type {quoted(str(declared), 100)}")
        manifest = cls(declared, raw)
        foreign_key = "layers" if manifest.is_index else "manifests"
        if foreign_key in document:
            raise InvalidContent(f"{what}: '{foreign_key}' has no place in a manifest of type '{declared}'")
        vars(manifest)["_document"] = document
        if manifest.is_index:
            manifest.children  # noqa: B018  (reads, and so checks, every descriptor)
        else:
            manifest.config, manifest.layers  # noqa: B018
        # Some ten times as large as the bytes, and rarely needed again.
        del vars(manifest)["_document"]
        return manifest

    @cached_property
    def _document(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.raw)
        return value

    @cached_property
    def digest(self) -> Digest:
        """The sha256 digest of the exact bytes."""
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of this manifest."""
        return Descriptor(self.media_type, self.digest, len(self.raw))

    @property
    def is_index(self) -> bool:
        """Whether this is an OCI index or a Docker manifest list."""
        return self.media_type in INDEX_TYPES

    @cached_property
    def config(self) -> Descriptor:
        """The descriptor of the image configuration (image manifests only)."""
        return Descriptor.from_json(self._document.get("config"), "config of the manifest")

    @cached_property
    def layers(self) -> tuple[Descriptor, ...]:
        """The descriptors of the layers, base first (image manifests only)."""
        return self._descriptors("layers")

    @cached_property
    def children(self) -> tuple[Descriptor, ...]:
        """The descriptors of the manifests of an index, in its order."""
        return self._descriptors("manifests")

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of the manifest."""
        annotations = self._document.get("annotations")
        return annotations if _is_mapping_of_texts(annotations) else {}

    @property
    def artifact_type(self) -> str | None:
        """The artifact type: the declared one, or else the type of the configuration (OCI 1.1)."""
        stated = self._document.get("artifactType")
        if isinstance(stated, str) and stated:
            return stated
        return None if self.is_index else self.config.media_type

    def _descriptors(self, key: str) -> tuple[Descriptor, ...]:
        values = self._document.get(key) or []
        if not isinstance(values, list):
            raise InvalidContent(f"manifest: '{key}' is not a list")
        return tuple(Descriptor.from_json(value, f"{key}[{n}] of the manifest") for n, value in enumerate(values))


def _guess_media_type(document: dict[str, Any]) -> str:
    """Distinguish an OCI manifest from an OCI index if the media type is missing (allowed before 1.1)."""
    if "manifests" in document:
        return OCI_INDEX
    return OCI_MANIFEST if "config" in document else "none"


def docker_manifest(config: Descriptor, layers: tuple[Descriptor, ...]) -> Manifest:
    """Return the Docker schema-2 manifest that imgpkg (go-containerregistry) writes for an image."""
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return Manifest(DOCKER_MANIFEST, json.dumps(document, separators=(",", ":")).encode())


def index_of(index: Manifest, known: Mapping[Digest, Mapping[str, Any]]) -> Manifest | None:
    """Return an OCI index with only the entries that are known, using what is known; None if there are none."""
    entries = json.loads(index.raw)["manifests"]
    entries = [{**entry, **known[entry["digest"]]} for entry in entries if entry["digest"] in known]
    if not entries:
        return None
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Manifest.parse(json.dumps(document, separators=(",", ":")).encode(), OCI_INDEX, "part of an index")


def merged_index(indexes: Sequence[Manifest]) -> Manifest:
    """Return an OCI index of everything that several indexes list, each digest once; a single index unchanged."""
    if len(indexes) == 1:
        return indexes[0]
    entries = {entry["digest"]: entry for index in indexes for entry in json.loads(index.raw)["manifests"]}
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entries[key] for key in sorted(entries)]}
    return Manifest.parse(json.dumps(document, separators=(",", ":")).encode(), OCI_INDEX, "merged index")
