"""The image-locations image, which a copy stores with a bundle so that readers need not look up every image."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator

from bundlepipe.documents.imgpkg.image_locations import FILE_NAME, ImageLocations
from bundlepipe.errors import InvalidContent
from bundlepipe.filesystem.files import read_bounded
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.filesystem.temporary import temporary_room
from bundlepipe.limits import LARGEST_LOCATIONS
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.image import build
from bundlepipe.oci.layers.unpack import Limits, unpack
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.protocol import Source, find_manifest
from bundlepipe.verbs.shared.bundles import locations_tag

_LIMITS = Limits(size=2 * LARGEST_LOCATIONS, entries=16)


def read_locations(store: Source, digest: Digest) -> ImageLocations | None:
    """Return the content of a bundle's image-locations image; None if there is none.

    Raises InvalidContent or DocumentError for an invalid one, StoreError.
    """
    manifest = find_manifest(store, locations_tag(digest))
    if manifest is None:
        return None
    what = f"{store.name}:{locations_tag(digest)}: {FILE_NAME}"
    with _directory() as directory:
        layers = (store.read_blob(layer) for layer in manifest.layers)
        unpack(layers, directory, limits=_LIMITS, what=f"{store.name}@{manifest.digest}")
        try:
            with open(os.path.join(directory, FILE_NAME), "rb") as file:
                return ImageLocations.parse(read_bounded(file, what, LARGEST_LOCATIONS), what)
        except OSError as error:
            raise InvalidContent(f"{what}: cannot be read: {error.strerror}") from None


def make_locations(locations: ImageLocations) -> tuple[Manifest, dict[Digest, bytes]]:
    """Return the image-locations image as imgpkg makes it: its manifest, and its blobs."""
    with _directory() as directory:
        with open(os.path.join(directory, FILE_NAME), "wb") as file:
            file.write(locations.to_bytes())
        layer = io.BytesIO()
        image, manifest = build(Inputs([directory]), {}, layer)
    return manifest, {manifest.layers[0].digest: layer.getvalue(), manifest.config.digest: image.config}


@contextlib.contextmanager
def _directory() -> Iterator[str]:
    with temporary_room("where images of a bundle are"), tempfile.TemporaryDirectory(prefix="bundlepipe-") as directory:
        yield directory
