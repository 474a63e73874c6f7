"""How much of what is read into memory whole there may be, in bytes.

Documents come with images, tars and layouts that others made. Each of these limits is many
times what anybody was seen to have; whatever is beyond it is refused before it is read.
"""

from __future__ import annotations

from typing import Final

# images.yml, bundle.yml, locks, lock files, bundlepipe.yml: some 40,000 images.
LARGEST_DOCUMENT: Final = 8 << 20
# image-locations.yml, which says more of each image than the shortest images.yml.
LARGEST_LOCATIONS: Final = 16 << 20
# An image configuration; those of images with thousands of layers have some 100 KiB.
LARGEST_CONFIG: Final = 8 << 20
# The distribution specification asks registries to accept manifests of 4 MiB.
LARGEST_MANIFEST: Final = 4 << 20
# manifest.json of a tar, in which all manifests and configurations are: some 13,000 images.
LARGEST_ARCHIVE_MANIFEST: Final = 128 << 20
# index.json of a layout: some 200,000 tags and manifests.
LARGEST_LAYOUT_INDEX: Final = 64 << 20


def in_words(size: int) -> str:
    """Return a limit as messages show it."""
    return f"{size >> 20} MiB"
