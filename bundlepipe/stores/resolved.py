"""Digests that tags named: noted while a plan is made, and used instead of asking again when it is carried out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from bundlepipe.events import Emit, ignore
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Root
from bundlepipe.stores.settings import RegistrySettings

# A lookup: the reference, its selection among tags, and its platform (texts, empty for none).
LookupKey = tuple[str, str, str]


class Resolved:
    """What was resolved, by lookup. May be used by several threads at once."""

    def __init__(self, known: Mapping[LookupKey, Digest] | None = None) -> None:
        self._lock = threading.Lock()
        self._digests = dict(known or {})

    def get(self, key: LookupKey) -> Digest | None:
        """Return the digest of a lookup; None if it was not resolved yet."""
        with self._lock:
            return self._digests.get(key)

    def keep(self, key: LookupKey, digest: Digest) -> None:
        """Note what a lookup resolved to."""
        with self._lock:
            self._digests.setdefault(key, digest)

    def items(self) -> list[tuple[LookupKey, Digest]]:
        """Return everything that was resolved, sorted."""
        with self._lock:
            return sorted(self._digests.items())


class ResolvedStores(Stores):
    """Stores in which a tag that images are read by is resolved once; without `resolved` as often as it is read."""

    def __init__(
        self, registries: Mapping[str, RegistrySettings], resolved: Resolved | None = None, *, emit: Emit = ignore
    ) -> None:
        super().__init__(registries, emit=emit)
        self._resolved = resolved

    def _named(self, reference: Reference) -> Iterator[Root]:
        for root in super()._named(reference):
            yield replace(root, identifier=str(self._digest(reference, root))) if self._resolved else root

    def _digest(self, reference: Reference, root: Root) -> str:
        if self._resolved is None or reference.digest:
            return root.identifier
        key = (str(reference), "", "")
        digest = self._resolved.get(key)
        if digest is None:
            digest = root.source.read_manifest(root.identifier).digest
            self._resolved.keep(key, digest)
        return digest
