"""ImageLocations: which images of a bundle are in the bundle's own repository.

After a copy, imgpkg stores it as the only file of a separate image, so that a pull need not look up
every image.
"""

from __future__ import annotations

from msgspec import Struct

from bundlepipe.documents.imgpkg import canonical, common
from bundlepipe.oci.reference import Reference

KIND = "ImageLocations"
FILE_NAME = "image-locations.yml"


class ImageLocation(Struct, frozen=True):
    """An image as the bundle's images.yml names it, and whether it is a bundle."""

    image: Reference
    is_bundle: bool


class ImageLocations(Struct, frozen=True):
    """The images of a bundle that are in its repository."""

    locations: tuple[ImageLocation, ...] = ()

    @classmethod
    def parse(cls, content: bytes, path: str) -> ImageLocations:
        """Parse a file, ignoring unknown keys; DocumentError with all its faults."""
        data, references = common.read(content, path, "image-locations", common.listed_images)
        entries = data.get("images") or []
        return cls(
            tuple(
                ImageLocation(reference, bool(entry.get("isBundle")))
                for reference, entry in zip(references, entries, strict=True)
            )
        )

    def to_bytes(self) -> bytes:
        """Return the document byte for byte as imgpkg writes it, sorted by image.

        Raises InvalidReference for an image without a digest.
        """
        from bundlepipe.documents.yaml.writer import write

        images = [
            {"image": common.digest_text(location.image), "isBundle": location.is_bundle} for location in self.locations
        ]
        images.sort(key=lambda entry: str(entry["image"]))
        return write({"apiVersion": canonical.API_VERSION, "kind": KIND, "images": images or None})
