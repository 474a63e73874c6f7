"""BundleLock: a reference to a bundle by digest, as `--lock-output` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from bundlepipe.documents.imgpkg import canonical, common
from bundlepipe.oci.reference import Reference

KIND = "BundleLock"


class BundleLock(Struct, frozen=True):
    """A bundle by digest, and the tag it was pushed or copied with, if any."""

    image: Reference
    tag: str | None = None

    @classmethod
    def parse(cls, content: bytes, path: str) -> BundleLock:
        """Parse a lock; DocumentError, calling the file `path`, with all its faults."""
        data, references = common.read(content, path, "bundle-lock", _bundle_image)
        return cls(references[0], data["bundle"].get("tag") or None)

    def to_bytes(self) -> bytes:
        """Return the document as imgpkg writes it; InvalidReference if the image has no digest."""
        from bundlepipe.documents.yaml.writer import write

        bundle = {"image": common.digest_text(self.image)}
        if self.tag:
            bundle["tag"] = self.tag
        return write({"apiVersion": canonical.API_VERSION, "kind": KIND, "bundle": bundle})


def _bundle_image(data: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    bundle = data.get("bundle") if isinstance(data, dict) else None
    if isinstance(bundle, dict) and isinstance(bundle.get("image"), str):
        yield ("bundle", "image"), bundle["image"]
