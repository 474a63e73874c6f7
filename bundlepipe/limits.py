"""Limits, in bytes and in values, for documents that are read into memory whole.

Documents come with images, tar files and layouts that others made. Each limit is many times what
any known document has. Too many bytes are refused before reading, too many values while reading:
together the limits keep any document below some 250 MB of memory.
"""

from __future__ import annotations

from typing import Final

# images.yml, bundle.yml, locks, lock files, bundlepipe.yml: some 40,000 images.
LARGEST_DOCUMENT: Final = 8 << 20
# image-locations.yml, with more text for each image than the shortest images.yml.
LARGEST_LOCATIONS: Final = 16 << 20
# An image configuration; those of images with thousands of layers have some 100 KiB.
LARGEST_CONFIG: Final = 8 << 20
# The distribution specification asks registries to accept manifests of 4 MiB.
LARGEST_MANIFEST: Final = 4 << 20
# manifest.json of a tar file, with all manifests and configurations: some 6,500 images.
LARGEST_ARCHIVE_MANIFEST: Final = 64 << 20
# index.json of a layout: some 90,000 tags and manifests.
LARGEST_LAYOUT_INDEX: Final = 32 << 20
# Plans and reports of runs, which are users' own: some 20,000 bundles.
LARGEST_PLAN: Final = 128 << 20
# In a YAML file, keys included: 8 MiB of ImagesLock have some 300,000. Each takes up to 600 bytes of memory.
MOST_YAML_VALUES: Final = 300_000
# In a JSON document, keys included: the largest manifest.json has some 900,000. Each takes up to 100 bytes of memory.
MOST_JSON_VALUES: Final = 1_000_000
# A JSON document as text in memory, where a character beyond ASCII can take four bytes.
LARGEST_JSON_TEXT: Final = 96 << 20


def in_words(size: int) -> str:
    """Return a limit as messages show it."""
    return f"{size >> 20} MiB"
