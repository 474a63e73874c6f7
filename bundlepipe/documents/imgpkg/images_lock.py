"""ImagesLock: the images that a bundle needs, each by digest (`.imgpkg/images.yml`).

The form is imgpkg's. A reader takes what imgpkg takes: `images` and `annotations` may be
absent or null, annotations may be numbers, a tag may stand beside a digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bundlepipe.documents.imgpkg import common
from bundlepipe.documents.yaml.core_schema import as_text
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference

API_VERSION = common.API_VERSION
KIND = "ImagesLock"

# The annotation with the reference as it stands in the configuration. kbld needs it to
# put the image in its place.
KBLD_ID = "kbld.carvel.dev/id"


@dataclass(frozen=True)
class ImageRef:
    """An entry: an image by digest, and texts about it."""

    image: Reference
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> Digest:
        """The digest, which every entry of a parsed lock has."""
        assert self.image.digest
        return self.image.digest


@dataclass(frozen=True)
class ImagesLock:
    """The entries of an ImagesLock, in their order."""

    images: tuple[ImageRef, ...] = ()

    @classmethod
    def parse(cls, content: bytes, path: str) -> ImagesLock:
        """Return the lock that a file holds; DocumentError, calling the file `path`, with all that is wrong with it.

        References are spelled out, and lose a tag that stands beside the digest.
        Annotations that are no texts become those that Go's YAML library makes of them.
        """
        data, references = common.read(content, path, "images-lock", common.listed_images)
        entries = data.get("images") or []
        return cls(
            tuple(
                ImageRef(reference, _texts(entry.get("annotations") or {}))
                for reference, entry in zip(references, entries, strict=True)
            )
        )

    def to_bytes(self) -> bytes:
        """Return the document as imgpkg writes it, entries in their order; InvalidReference for one without digest."""
        return lock_of_entries(map(_entry, self.images))


def lock_of_entries(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the document that has these entries, each with `image` and perhaps `annotations`, as they are."""
    from bundlepipe.documents.yaml.writer import write

    document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND}
    images = list(entries)
    if images:
        document["images"] = images
    return write(document)


def _texts(annotations: Mapping[str, Any]) -> dict[str, str]:
    return {name: as_text(value) for name, value in annotations.items()}


def _entry(image: ImageRef) -> dict[str, Any]:
    entry: dict[str, Any] = {"image": common.digest_text(image.image)}
    if image.annotations:
        entry["annotations"] = image.annotations
    return entry
