"""A resolver that notes what it resolves, and asks no registry about what was resolved before: for plans."""

from __future__ import annotations

from typing import Protocol

from bundlepipe.oci.digest import Digest
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.images.resolver import Lookup, LookupResult, Resolver

# A lookup: the reference, its selection among tags, and its platform (texts, empty for none).
LookupKey = tuple[str, str, str]


class KnownDigests(Protocol):
    """What was resolved, by lookup; used by several threads at once."""

    def get(self, key: LookupKey) -> Digest | None:
        """Return the digest of a lookup; None if it was not resolved yet."""
        ...

    def keep(self, key: LookupKey, digest: Digest) -> None:
        """Note what a lookup resolved to."""
        ...


class KeepingResolver(Resolver):
    """Resolves what is not in `resolved`, and adds it there."""

    def __init__(self, stores: Stores, resolved: KnownDigests) -> None:
        super().__init__(stores)
        self._resolved = resolved

    def look_up(self, lookup: Lookup) -> LookupResult:
        """Return the result that is known, without the index that it was selected from, or else look it up."""
        key = _key(lookup)
        known = self._resolved.get(key)
        if known:
            return LookupResult(lookup.reference.with_digest(known))
        found = super().look_up(lookup)
        if not lookup.is_resolved and found.image.digest:
            self._resolved.keep(key, Digest(found.image.digest))
        return found


def _key(lookup: Lookup) -> LookupKey:
    return (
        str(lookup.reference),
        str(lookup.tags) if lookup.tags else "",
        str(lookup.platform) if lookup.platform else "",
    )
