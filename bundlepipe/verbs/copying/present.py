"""The manifests and tags that a destination already has."""

from __future__ import annotations

from bundlepipe.concurrency.single_flight import Once
from bundlepipe.errors import AccessDenied, NotFound, StoreError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.protocol import Source, Store, find_manifest

# One request lists a thousand tags, or asks about one image.
_MOST_TAGS = 5000


class Present:
    """The manifests at a destination, found with as few requests as possible."""

    def __init__(self, store: Store | None) -> None:
        self.store = store
        self.tags: frozenset[str] | None = frozenset()
        self._named: Once[Manifest | None] = Once()
        if store and not store.keeps_untagged:
            self.tags = tags_of(store)

    def find(self, tag: str, digest: Digest) -> Manifest | None:
        """Return the manifest `digest` if the destination keeps it, for which it may need the `tag`."""
        if self.store and self.store.keeps_untagged:
            return find_manifest(self.store, digest)
        manifest = self.named(tag)
        return manifest if manifest and manifest.digest == digest else None

    def named(self, tag: str) -> Manifest | None:
        """Return the manifest that a tag named when it was first requested."""
        store = self.store
        if store is None or not (store.keeps_untagged or self.may_have(tag)):
            return None
        return self._named.get(tag, lambda: find_manifest(store, tag))

    def may_have(self, tag: str) -> bool:
        """Return False only if `tag` is known to be absent."""
        return self.tags is None or tag in self.tags


def tags_of(store: Source) -> frozenset[str] | None:
    """Return the tags of a repository, empty if it does not exist; None if they are not available."""
    tags: set[str] = set()
    try:
        for tag in store.list_tags():
            if len(tags) == _MOST_TAGS:
                return None
            tags.add(tag)
    except NotFound:
        return frozenset()
    except (AccessDenied, StoreError):
        # Some registries do not list tags, or not for everyone: each tag is then requested
        # separately.
        return None
    return frozenset(tags)
