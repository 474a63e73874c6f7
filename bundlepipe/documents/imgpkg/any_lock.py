"""Parse a lock of either kind, ImagesLock or BundleLock, by its `kind`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bundlepipe.documents.imgpkg import bundle_lock, images_lock
from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.errors import DocumentError

if TYPE_CHECKING:
    from bundlepipe.documents.yaml.reader import YamlDocument


def parse_lock(content: bytes, path: str) -> BundleLock | ImagesLock:
    """Parse a lock of either kind; DocumentError, calling the file `path`, with all its faults."""
    from bundlepipe.documents.yaml.reader import load_one

    parse = _parser_of(load_one(content, path))
    return parse(content, path)


def _parser_of(document: YamlDocument) -> Callable[[bytes, str], BundleLock | ImagesLock]:
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    if kind == images_lock.KIND:
        return ImagesLock.parse
    if kind == bundle_lock.KIND or kind is None:
        return BundleLock.parse
    expected = f"expected {bundle_lock.KIND} or {images_lock.KIND}"
    raise DocumentError([document.problem(("kind",), f"'{kind}' is not the kind of a lock, {expected}")])


def parse_of_bundle(content: bytes, path: str) -> ImagesLock:
    """Parse the images.yml of a bundle that others may have made; DocumentError as of `ImagesLock.parse`.

    Accepts what imgpkg accepts: keys in another case, and further documents, which it does not
    read.
    """
    try:
        return ImagesLock.parse(content, path)
    except DocumentError:
        from bundlepipe.documents.imgpkg.go_locks import images_lock

        try:
            return images_lock(content, path)
        except DocumentError:
            # The first error has the position.
            pass
        raise
