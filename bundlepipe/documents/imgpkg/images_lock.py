"""ImagesLock: the images that a bundle needs, each by digest (`.imgpkg/images.yml`).

The format is imgpkg's. Reading accepts what imgpkg accepts: `images` and `annotations` may be
absent or null, annotations may be numbers, a reference may have a tag besides its digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from bundlepipe.documents.imgpkg import canonical, common
from bundlepipe.documents.yaml.core_schema import as_text
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference

API_VERSION = canonical.API_VERSION
KIND = "ImagesLock"

# The annotation with the reference as configuration has it. kbld needs it to put the image in its
# place.
KBLD_ID = "kbld.carvel.dev/id"


class ImageRef(Struct, frozen=True):
    """An entry: an image by digest, with annotations."""

    image: Reference
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> Digest:
        """The digest, which every entry of a parsed lock has."""
        assert self.image.digest
        return self.image.digest


class ImagesLock(Struct, frozen=True):
    """The entries of an ImagesLock, in their order."""

    images: tuple[ImageRef, ...] = ()

    @classmethod
    def parse(cls, content: bytes, path: str) -> ImagesLock:
        """Parse a lock; DocumentError, calling the file `path`, with all its faults.

        References are completed, and lose a tag besides the digest. Annotations that are not texts are converted as
        Go's YAML library does.
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
        """Return the document as imgpkg writes it, in order; InvalidReference for an image without a digest."""
        return lock_of_entries(map(_entry, self.images))


def lock_of_entries(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return a document with these entries, each with `image` and perhaps `annotations`, unchanged."""
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
