"""Find artifacts attached to images (signatures, attestations, referrers) that belong to a copy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bundlepipe.concurrency.single_flight import Once
from bundlepipe.oci.manifest import DOCKER_CONFIG, OCI_CONFIG, Descriptor, Manifest, index_of
from bundlepipe.stores.protocol import Source, find_manifest, referrers_tag
from bundlepipe.verbs.copying.items import Item, Scope, Wanted
from bundlepipe.verbs.copying.present import tags_of
from bundlepipe.verbs.shared.bundles import COSIGN_SUFFIXES, SIGNATURE_SUFFIX

_ATTACHMENT_TAG = re.compile(r"sha256-[0-9a-f]{64}(\.sig|\.att|\.sbom)?")
# Types of artifacts that cosign attaches as referrers: sigstore bundles since its release 3, before that, on
# request, those otherwise attached by tags. Source: cosign, "Cosign Bundle Specification".
_COSIGN_TYPES = ("application/vnd.dev.sigstore.", "application/vnd.dev.cosign.")
# What lists give for artifacts of unknown type: that of an empty configuration.
_NO_TYPES = (None, "", OCI_CONFIG, DOCKER_CONFIG, "application/vnd.oci.empty.v1+json")


def is_attachment(tag: str) -> bool:
    """Return whether a tag is one that cosign, or the referrers fallback, uses for artifacts attached to an image."""
    return _ATTACHMENT_TAG.fullmatch(tag) is not None


class Attachments:
    """Finds artifacts attached to images, within `scope`; the tags of a repository are listed once."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._tags: Once[frozenset[str] | None] = Once()

    def of(self, item: Item) -> Iterator[Wanted]:
        """Yield the artifacts to find with an item."""
        if self._scope.cosign:
            for suffix in (SIGNATURE_SUFFIX,) if self._scope.as_imgpkg else COSIGN_SUFFIXES:
                tag = f"{item.digest.algorithm}-{item.digest.encoded}{suffix}"
                if self._has_tag(item.source, tag):
                    yield Wanted(identifier=tag, places=(item.source,), reference=item.reference, tag=tag)
        if index := self._referrers(item):
            yield Wanted(
                identifier=index.digest,
                places=(item.source,),
                reference=item.reference,
                tag=referrers_tag(item.digest),
                manifest=index,
                subject=item.digest,
            )

    def _referrers(self, item: Item) -> Manifest | None:
        """Return the index of an image's referrers that belong to the copy; None if there are none."""
        if not (self._scope.cosign or self._scope.referrers):
            return None
        index = item.source.read_referrers(item.digest, self._tags_of(item.source) if self._scope.cosign else None)
        # Images are also pinned by the tag for referrers.
        own = {item.digest, *(child.digest for child in item.manifest.children if item.manifest.is_index)}
        if index is None or index.digest in own:
            return None
        if self._scope.referrers:
            return index
        attached = {child.digest: _as_attached(item.source, child) for child in index.children}
        return index_of(index, {digest: known for digest, known in attached.items() if known is not None})

    def _has_tag(self, source: Source, tag: str) -> bool:
        tags = self._tags_of(source)
        return tag in tags if tags is not None else find_manifest(source, tag) is not None

    def _tags_of(self, source: Source) -> frozenset[str] | None:
        return self._tags.get(source.name, lambda: tags_of(source))


def _as_attached(source: Source, referrer: Descriptor) -> dict[str, Any] | None:
    """Return the fields to add to a referrer's descriptor; None if cosign did not attach it.

    Some lists give the type of the configuration as that of the artifact: then the type comes from the
    manifest, and the destination's list gets it.
    """
    kind, known = referrer.artifact_type, {}
    if kind in _NO_TYPES:
        manifest = find_manifest(source, referrer.digest)
        kind = manifest.artifact_type if manifest else None
        known = {"artifactType": kind, **({"annotations": manifest.annotations} if manifest else {})}
    return known if kind and kind.startswith(_COSIGN_TYPES) else None
