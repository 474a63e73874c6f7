"""manifest.json: what an imgpkg tar holds.

The form is imgpkg's, as Go's JSON encoder writes it. A reader takes archives of all
releases, and those of `kbld package`: `Tag`, `OrigRef` and `Labels` came late, kbld has none
of them, and lists may be null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from bundlepipe.errors import InvalidContent, InvalidDigest, InvalidReference
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.image import escape_as_go
from bundlepipe.oci.manifest import DOCKER_LAYER, Descriptor, Manifest
from bundlepipe.oci.reference import Reference

FILE_NAME = "manifest.json"
ROOT_BUNDLE_LABEL = "dev.carvel.imgpkg.copy.root-bundle"
# What an ImagesLock that was copied says of an image: a JSON list of entries with their place in the lock.
LOCK_ENTRIES_LABEL = "dev.bundlepipe.images-lock.entries"

# What has a DiffID: go-containerregistry's `MediaType.IsLayer`.
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
_DOCKER_SAVE_KEYS = {"Config", "RepoTags", "Layers"}


class LockEntry(NamedTuple):
    """An entry of an ImagesLock: its place there, from 0, and its annotations."""

    place: int
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class ArchivedManifest:
    """A manifest or index in an archive.

    `references` say where it was found, `origin` how a lock names it, `config` are the
    exact bytes of an image's configuration, `children` the members of an index.
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
        """Return the entries for it in the ImagesLock that was copied; InvalidContent, naming `what`, if they are none.

        There are none where something else was copied, or by imgpkg.
        """
        text = (self.labels or {}).get(LOCK_ENTRIES_LABEL)
        if text is None:
            return ()
        try:
            entries = tuple(LockEntry(each["place"], dict(each["annotations"])) for each in json.loads(text))
        except (ValueError, TypeError, KeyError, RecursionError):
            entries = None
        if entries is None or not all(map(_is_lock_entry, entries)):
            raise InvalidContent(
                f"{what}: the label {LOCK_ENTRIES_LABEL} of {self.references[0]} is no list of entries"
            )
        return entries

    def walk(self) -> Iterator[ArchivedManifest]:
        """Yield this one and everything below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def lock_entries_label(entries: Sequence[LockEntry]) -> dict[str, str]:
    """Return the label that tells of entries of an ImagesLock; none for none."""
    document = [{"place": each.place, "annotations": dict(sorted(each.annotations.items()))} for each in entries]
    return {LOCK_ENTRIES_LABEL: json.dumps(document, separators=(",", ":"))} if document else {}


def _is_lock_entry(entry: LockEntry) -> bool:
    texts = [*entry.annotations.keys(), *entry.annotations.values()]
    return type(entry.place) is int and all(isinstance(text, str) for text in texts)


def to_bytes(entries: Sequence[ArchivedManifest], *, as_kbld: bool = False) -> bytes:
    """Return manifest.json for some entries, sorted by digest; InvalidContent for a configuration that is no text.

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


def _entry(archived: ArchivedManifest, as_kbld: bool) -> dict[str, Any]:
    if archived.manifest.is_index:
        return {"ImageIndex": _index(archived, as_kbld), "Image": None}
    return {"ImageIndex": None, "Image": _image(archived, as_kbld)}


def _told(archived: ArchivedManifest, as_kbld: bool) -> dict[str, Any]:
    """Return what is told of an image or index beside what it is."""
    if as_kbld:
        return {}
    return {"Tag": archived.tag or "", "OrigRef": archived.origin or "", "Labels": archived.labels}


def _image(archived: ArchivedManifest, as_kbld: bool) -> dict[str, Any]:
    manifest = archived.manifest
    diff_ids = _diff_ids(archived.config)
    # kbld looks up a DiffID whatever the layer is.
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
    # What is told of an index is repeated at each of its members.
    told = {"tag": archived.tag, "origin": archived.origin, "labels": archived.labels}
    children = [replace(child, **told) for child in archived.children]  # type: ignore[arg-type]
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
    """Return the DiffIDs of an image's configuration; artifacts have configurations that know of none."""
    try:
        found = json.loads(config)["rootfs"]["diff_ids"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [str(diff_id) for diff_id in found] if isinstance(found, list) else []


def parse(content: bytes, what: str) -> tuple[ArchivedManifest, ...]:
    """Return the entries of manifest.json; InvalidContent, naming `what`, if it is none or its digests are wrong."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidContent(f"{what}: is not JSON") from None
    document = [] if document is None else document
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise InvalidContent(f"{what}: is not a list of images")
    if any(entry.keys() >= _DOCKER_SAVE_KEYS for entry in document):
        raise InvalidContent(f"{what}: was written by docker save, not by imgpkg: copy the image from a registry")
    try:
        return tuple(_parse_entry(entry, what) for entry in document)
    except (KeyError, TypeError, AttributeError, InvalidDigest, InvalidReference, UnicodeEncodeError) as error:
        raise InvalidContent(f"{what}: is not the manifest of an imgpkg tar: {type(error).__name__}: {error}") from None


def _parse_entry(entry: dict[str, Any], what: str) -> ArchivedManifest:
    if image := entry.get("Image"):
        return _parse_image(image, what)
    if index := entry.get("ImageIndex"):
        return _parse_index(index, what)
    raise InvalidContent(f"{what}: an entry is neither an image nor an index")


def _parse_image(value: dict[str, Any], what: str) -> ArchivedManifest:
    stated = value["Manifest"]
    manifest = _manifest(stated["Raw"], stated["MediaType"], stated["Digest"], what)
    config = value["Config"]["Raw"].encode()
    _verify(config, manifest.config, f"{what}: configuration of {manifest.digest}")
    return ArchivedManifest(manifest, *_about(value), config=config)


def _parse_index(value: dict[str, Any], what: str) -> ArchivedManifest:
    manifest = _manifest(value["Raw"], value["MediaType"], value["Digest"], what)
    children = [_parse_image(image, what) for image in value.get("Images") or ()]
    children += [_parse_index(index, what) for index in value.get("Indexes") or ()]
    known = {child.manifest.digest for child in children}
    missing = [child.digest for child in manifest.children if child.digest not in known]
    if missing:
        raise InvalidContent(f"{what}: index {manifest.digest} lacks its members {', '.join(missing)}")
    return ArchivedManifest(manifest, *_about(value), children=tuple(children))


def _about(value: dict[str, Any]) -> tuple[tuple[Reference, ...], str | None, str | None, Mapping[str, str] | None]:
    references = tuple(Reference.parse(text) for text in value["Refs"])
    if not references:
        raise KeyError("Refs")
    return references, value.get("Tag") or None, value.get("OrigRef") or None, value.get("Labels")


def _manifest(raw: str, media_type: str, digest: str, what: str) -> Manifest:
    manifest = Manifest.parse(raw.encode(), media_type, f"{what}: {digest}")
    if manifest.digest != digest:
        raise InvalidContent(f"{what}: manifest {digest} has other content: {manifest.digest}")
    return manifest


def _verify(content: bytes, blob: Descriptor, what: str) -> None:
    hasher = blob.digest.hasher()
    hasher.update(content)
    if Digest.from_hasher(hasher) != blob.digest:
        raise InvalidContent(f"{what} has other content than its digest {blob.digest} says")
