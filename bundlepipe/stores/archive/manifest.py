"""Read and write manifest.json, the table of contents of an imgpkg tar file.

The format is imgpkg's, as Go's JSON encoder writes it. Archives of all releases, and of `kbld
package`, are accepted: `Tag`, `OrigRef` and `Labels` were added later, kbld writes none of them,
and lists may be null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from bundlepipe.errors import InvalidContent, InvalidDigest, InvalidReference
from bundlepipe.limits import MOST_JSON_VALUES
from bundlepipe.oci.bounded_json import JsonFault, checked, loads, most_values
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.image import escape_as_go
from bundlepipe.oci.manifest import DOCKER_LAYER, Manifest
from bundlepipe.oci.reference import Reference, check_tag
from bundlepipe.stores.protocol import LockEntry

FILE_NAME = "manifest.json"
ROOT_BUNDLE_LABEL = "dev.carvel.imgpkg.copy.root-bundle"
# The label for the ImagesLock entries of an image: a JSON list of entries with their index in the lock.
LOCK_ENTRIES_LABEL = "dev.bundlepipe.images-lock.entries"

# Media types of layers with a DiffID: go-containerregistry's `MediaType.IsLayer`.
_LAYER_TYPES = (
    DOCKER_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
)
# The most missing members of an index that a message lists.
_MOST_TOLD = 20
_DOCKER_SAVE_KEYS = {"Config", "RepoTags", "Layers"}


class ArchivedManifest(Struct, frozen=True):
    """A manifest or index in an archive.

    `references` say where it was found, `origin` is its name in a lock, `config` are the exact
    bytes of an image's configuration, `children` the members of an index.
    """

    manifest: Manifest
    references: tuple[Reference, ...]
    tag: str | None = None
    origin: str | None = None
    labels: Mapping[str, str] | None = None
    config: bytes = b""
    children: tuple[ArchivedManifest, ...] = field(default=())

    @property
    def is_root(self) -> bool:
        """Whether this is the bundle that was copied."""
        return ROOT_BUNDLE_LABEL in (self.labels or {})

    def lock_entries(self, what: str) -> tuple[LockEntry, ...]:
        """Return its entries in the copied ImagesLock; InvalidContent, naming `what`, if they are invalid.

        Empty if something other than a lock was copied, or imgpkg made the copy.
        """
        text = (self.labels or {}).get(LOCK_ENTRIES_LABEL)
        if text is None:
            return ()
        try:
            entries = tuple(LockEntry(each["place"], dict(each["annotations"])) for each in loads(text))
        except (ValueError, TypeError, KeyError):
            entries = None
        if entries is None or not all(map(_is_lock_entry, entries)):
            raise InvalidContent(
                f"{what}: the label {LOCK_ENTRIES_LABEL} of {self.references[0]} is no list of entries"
            )
        return entries

    def walk(self) -> Iterator[ArchivedManifest]:
        """Yield this manifest and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def lock_entries_label(entries: Sequence[LockEntry]) -> dict[str, str]:
    """Return the label for entries of an ImagesLock; empty without entries."""
    document = [{"place": each.place, "annotations": dict(sorted(each.annotations.items()))} for each in entries]
    return {LOCK_ENTRIES_LABEL: json.dumps(document, separators=(",", ":"))} if document else {}


def _is_lock_entry(entry: LockEntry) -> bool:
    texts = [*entry.annotations.keys(), *entry.annotations.values()]
    return type(entry.place) is int and all(isinstance(text, str) for text in texts)


def to_bytes(entries: Sequence[ArchivedManifest], *, as_kbld: bool = False) -> bytes:
    """Return manifest.json for some entries, sorted by digest; InvalidContent for a configuration that is not text.

    With `as_kbld` it is that of `kbld package`: without tags, origins and labels.
    """
    ordered = sorted(entries, key=lambda entry: entry.manifest.digest)
    document = [_entry(entry, as_kbld) for entry in ordered]
    text = json.dumps(document or None, ensure_ascii=False, separators=(",", ":"))
    try:
        return escape_as_go(text).encode()
    except UnicodeEncodeError:
        digests = ", ".join(entry.manifest.digest for entry in ordered)
        raise InvalidContent(f"an imgpkg tar cannot hold half a character, as one of these does: {digests}") from None


def excess(content: bytes, entries: Sequence[ArchivedManifest]) -> str | None:
    """Return why `parse` would refuse the result of `to_bytes`, `has more than …`; None if it would not."""
    try:
        checked(content)
    except JsonFault as fault:
        return str(fault)
    values = sum(most_values(found.manifest.raw.decode()) for entry in entries for found in entry.walk())
    return f"has manifests of more than {MOST_JSON_VALUES} values" if values > MOST_JSON_VALUES else None


def _entry(archived: ArchivedManifest, as_kbld: bool) -> dict[str, Any]:
    if archived.manifest.is_index:
        return {"ImageIndex": _index(archived, as_kbld), "Image": None}
    return {"ImageIndex": None, "Image": _image(archived, as_kbld)}


def _told(archived: ArchivedManifest, as_kbld: bool) -> dict[str, Any]:
    """Return the fields that describe an image or index besides its content."""
    if as_kbld:
        return {}
    return {"Tag": archived.tag or "", "OrigRef": archived.origin or "", "Labels": archived.labels}


def _image(archived: ArchivedManifest, as_kbld: bool) -> dict[str, Any]:
    manifest = archived.manifest
    diff_ids = _diff_ids(archived.config)
    # kbld looks up a DiffID for every kind of layer.
    with_diff_ids = [layer.media_type in _LAYER_TYPES or as_kbld for layer in manifest.layers]
    return {
        "Refs": [str(reference) for reference in archived.references],
        "Layers": [
            {
                "MediaType": layer.media_type,
                "Digest": layer.digest,
                "DiffID": diff_ids[number] if with_diff_ids[number] and number < len(diff_ids) else "",
                "Size": layer.size,
            }
            for number, layer in enumerate(manifest.layers)
        ],
        "Config": {
            "Digest": manifest.config.digest,
            "Raw": _text(archived.config, f"the configuration {manifest.config.digest} of {archived.references[0]}"),
        },
        "Manifest": {
            "MediaType": manifest.media_type,
            "Digest": manifest.digest,
            "Raw": _text(manifest.raw, f"the manifest of {archived.references[0]}"),
        },
        **_told(archived, as_kbld),
    }


def _index(archived: ArchivedManifest, as_kbld: bool) -> dict[str, Any]:
    # The fields of an index are repeated at each of its members.
    told = {"tag": archived.tag, "origin": archived.origin, "labels": archived.labels}
    children = [replace(child, **told) for child in archived.children]
    images = [_image(child, as_kbld) for child in children if not child.manifest.is_index]
    indexes = [_index(child, as_kbld) for child in children if child.manifest.is_index]
    return {
        "Refs": [str(reference) for reference in archived.references],
        "Images": images or None,
        "Indexes": indexes or None,
        "MediaType": archived.manifest.media_type,
        "Digest": archived.manifest.digest,
        "Raw": _text(archived.manifest.raw, f"the index {archived.references[0]}"),
        **_told(archived, as_kbld),
    }


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidContent(f"{what} is not UTF-8 text, so a tar cannot hold it: copy it to oci:DIR instead") from None


def _diff_ids(config: bytes) -> list[str]:
    """Return the DiffIDs of an image's configuration; configurations of artifacts have none."""
    try:
        found = loads(config)["rootfs"]["diff_ids"]
    except (ValueError, TypeError, KeyError):
        return []
    return [str(diff_id) for diff_id in found] if isinstance(found, list) else []


def parse(content: bytes, what: str) -> tuple[ArchivedManifest, ...]:
    """Return the entries of manifest.json; InvalidContent, naming `what`, if it is invalid or has wrong digests."""
    try:
        document = loads(content)
    except JsonFault as fault:
        raise InvalidContent(f"{what}: {fault}") from None
    document = [] if document is None else document
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise InvalidContent(f"{what}: is not a list of images")
    if any(entry.keys() >= _DOCKER_SAVE_KEYS for entry in document):
        raise InvalidContent(f"{what}: was written by docker save, not by imgpkg: copy the image from a registry")
    try:
        reading = _Reading(what)
        return tuple(map(reading.entry, document))
    except (
        KeyError,
        TypeError,
        AttributeError,
        InvalidDigest,
        InvalidReference,
        RecursionError,
        UnicodeEncodeError,
    ) as error:
        raise InvalidContent(f"{what}: is not the manifest of an imgpkg tar: {type(error).__name__}: {error}") from None


class _Reading:
    """Converts the data of manifest.json to entries, and counts the values in the manifests that it holds as texts."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._values = 0

    def entry(self, entry: dict[str, Any]) -> ArchivedManifest:
        if image := entry.get("Image"):
            return self._image(image)
        if index := entry.get("ImageIndex"):
            return self._index(index)
        raise InvalidContent(f"{self._what}: an entry is neither an image nor an index")

    def _image(self, value: dict[str, Any]) -> ArchivedManifest:
        stated = value["Manifest"]
        manifest = self._manifest(stated["Raw"], stated["MediaType"], stated["Digest"])
        config = value["Config"]["Raw"].encode()
        promised = manifest.config.digest
        if promised.of_same_algorithm(config) != promised:
            what = f"{self._what}: configuration of {manifest.digest}"
            raise InvalidContent(f"{what} has other content than its digest {promised} says")
        return ArchivedManifest(manifest, *_about(value), config=config)

    def _index(self, value: dict[str, Any]) -> ArchivedManifest:
        manifest = self._manifest(value["Raw"], value["MediaType"], value["Digest"])
        children = [self._image(image) for image in value.get("Images") or ()]
        children += [self._index(index) for index in value.get("Indexes") or ()]
        known = {child.manifest.digest for child in children}
        missing = [child.digest for child in manifest.children if child.digest not in known]
        if missing:
            raise InvalidContent(f"{self._what}: index {manifest.digest} lacks its members {_some(missing)}")
        return ArchivedManifest(manifest, *_about(value), children=tuple(children))

    def _manifest(self, raw: str, media_type: str, digest: str) -> Manifest:
        self._values += most_values(raw)
        if self._values > MOST_JSON_VALUES:
            raise InvalidContent(f"{self._what}: the manifests in it have more than {MOST_JSON_VALUES} values")
        manifest = Manifest.parse(raw.encode(), media_type, f"{self._what}: {digest}")
        if manifest.digest != digest:
            raise InvalidContent(f"{self._what}: manifest {digest} has other content: {manifest.digest}")
        return manifest


def _some(digests: Sequence[Digest]) -> str:
    more = len(digests) - _MOST_TOLD
    return ", ".join(digests[:_MOST_TOLD]) + (f" and {more} more" if more > 0 else "")


def _about(value: dict[str, Any]) -> tuple[tuple[Reference, ...], str | None, str | None, Mapping[str, str] | None]:
    references = tuple(Reference.parse(text) for text in value["Refs"])
    if not references:
        raise KeyError("Refs")
    tag = value.get("Tag") or None
    if tag is not None:
        check_tag(tag, str(references[0]))
    return references, tag, value.get("OrigRef") or None, value.get("Labels")
