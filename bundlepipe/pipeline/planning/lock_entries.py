"""The entries of an images.yml that a lock changes: what each reference named, and what it will name."""

from __future__ import annotations

from itertools import zip_longest

from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.pipeline.planning.plan import PlannedEntry


def content_of(path: str) -> bytes:
    """Return what is seen of an images.yml; empty if there is none, or it cannot be read."""
    try:
        with open(anchored(path), "rb") as file:
            return file.read()
    except OSError:
        return b""


def changed_entries(path: str, before: bytes, after: bytes) -> list[PlannedEntry]:
    """Return the entries that differ between two states of an images.yml, by the references of the configuration."""
    if before == after:
        return []
    old, new = _digests(path, before), _digests(path, after)
    found: list[PlannedEntry] = []
    for name in sorted(old.keys() | new.keys()):
        left, right = set(old.get(name, ())), set(new.get(name, ()))
        pairs = zip_longest(sorted(left - right), sorted(right - left))
        found += [PlannedEntry(name, was, will_be) for was, will_be in pairs]
    return found


def _digests(path: str, content: bytes) -> dict[str, list[str]]:
    """Return the digests of an images.yml by reference: several for one that is looked up in several ways."""
    from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImagesLock

    try:
        images = ImagesLock.parse(content, path).images if content else ()
    except BundlepipeError:
        # The lock replaces it, or has reported it.
        return {}
    found: dict[str, list[str]] = {}
    for image in images:
        name = image.annotations.get(KBLD_ID) or str(image.image.repository)
        found.setdefault(name, []).append(str(image.digest))
    return found
