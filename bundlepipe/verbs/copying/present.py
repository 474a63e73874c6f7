"""What a destination has already."""

from __future__ import annotations

from bundlepipe.concurrency.single_flight import Once
from bundlepipe.errors import AccessDenied, NotFound, StoreError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.protocol import Source, Store, find_manifest

# A list of tags costs a request for a thousand of them, an answer about one image a request too.
_MOST_TAGS = 5000


class Present:
    """What a destination has already, found with as few requests as can be."""

    def __init__(self, store: Store | None) -> None:
        self.store = store
        self.tags: frozenset[str] | None = frozenset()
        self._named: Once[Manifest | None] = Once()
        if store and not store.keeps_untagged:
            self.tags = tags_of(store)

    def find(self, tag: str, digest: Digest) -> Manifest | None:
        """Return the manifest `digest` if the destination keeps it, which may need a `tag` for that."""
        if self.store and self.store.keeps_untagged:
            return find_manifest(self.store, digest)
        manifest = self.named(tag)
        return manifest if manifest and manifest.digest == digest else None

    def named(self, tag: str) -> Manifest | None:
        """Return what a tag named when it was first asked for."""
        store = self.store
        if store is None or not (store.keeps_untagged or self.may_have(tag)):
            return None
        return self._named.get(tag, lambda: find_manifest(store, tag))

    def may_have(self, tag: str) -> bool:
        """Tell whether it cannot be ruled out that `tag` is there."""
        return self.tags is None or tag in self.tags


def tags_of(store: Source) -> frozenset[str] | None:
    """Return the tags of a repository, empty if there is no such repository; None if they are not to be had."""
    tags: set[str] = set()
    try:
        for tag in store.list_tags():
            if len(tags) == _MOST_TAGS:
                return None
            tags.add(tag)
    except NotFound:
        return frozenset()
    except (AccessDenied, StoreError):
        # Some registries do not list tags, or not for everyone: each is asked for by itself then.
        return None
    return frozenset(tags)
