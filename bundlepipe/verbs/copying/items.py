"""Values of a copy's search: wanted manifests, found items, and the scope."""

from __future__ import annotations

from msgspec import Struct, field

from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.protocol import LockEntry, OpenContent, Source


class Wanted(Struct, frozen=True, kw_only=True):
    """A manifest to find.

    `identifier` is a digest or tag, `places` are the possible sources, in order of preference. `origin` is
    its name in a lock and `named_by` the bundle that has the lock; `reference` is where it came from if it
    is not in a registry now. `also` are others that name it, with sources of their own. A member of an
    index is not `listed`. An index of referrers has its `manifest` and `subject`. A bundle that may have
    been copied as an image alone is `perhaps_shallow`: that is so if not all its images are with it.
    `entries` are those of the ImagesLock that names it, `name` is its name in the request.
    """

    identifier: str
    places: tuple[Source, ...]
    origin: Reference | None = None
    reference: Reference | None = None
    named_by: Digest | None = None
    name: str | None = None
    tag: str | None = None
    is_root: bool = False
    is_listed: bool = True
    manifest: Manifest | None = None
    subject: Digest | None = None
    perhaps_shallow: bool = False
    entries: tuple[LockEntry, ...] = ()
    also: tuple[Wanted, ...] = ()

    @property
    def key(self) -> str:
        """The key for equal ones: the digest, or the source and tag."""
        return self.identifier if ":" in self.identifier else f"{self.places[0].name} {self.identifier}"


class Item(Struct, kw_only=True):
    """A manifest that the destination should have.

    `source` has it and its blobs; it is the destination itself if the image `is_complete`. `lender` is
    a repository of the destination's registry that should also have the blobs. `reference` says where
    it was found and `origin` how it was first named, by the bundle `named_by`, if any. `config` and
    `layer` are kept if they had to be read. `lock` is the bundle's lock (None if only the destination
    has its layer), `subject` is the image that the members of an index of referrers refer to.
    """

    manifest: Manifest
    source: Source
    places: tuple[Source, ...]
    reference: Reference
    origin: Reference
    is_complete: bool
    named_by: Digest | None = None
    lender: Source | None = None
    tags: list[str] = field(default_factory=list)
    is_root: bool = False
    is_listed: bool = False
    subject: Digest | None = None
    config: bytes | None = None
    layer: OpenContent | None = None
    is_bundle: bool = False
    lock: ImagesLock | None = None
    attached: tuple[Wanted, ...] = ()
    name: str | None = None
    entries: list[LockEntry] = field(default_factory=list)

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return self.manifest.digest

    def merge(self, wanted: Wanted) -> None:
        """Merge with another request for the same manifest."""
        self.is_root |= wanted.is_root
        self.is_listed |= wanted.is_listed
        self.subject = self.subject or wanted.subject
        self.name = self.name or wanted.name
        self.entries.extend(each for each in wanted.entries if each not in self.entries)
        if wanted.tag and wanted.tag not in self.tags:
            self.tags.append(wanted.tag)


class Scope(Struct, frozen=True, kw_only=True):
    """What a copy includes.

    `cosign` includes artifacts that cosign attached to images, `referrers` all referrers,
    `as_imgpkg` only cosign's signatures of listed images among those with tags; members of indexes
    have no tags then. `configs` means that every configuration is needed, `non_distributable` that
    those layers are. `shallow` copies bundles as plain images.
    """

    cosign: bool = False
    referrers: bool = False
    configs: bool = False
    non_distributable: bool = False
    shallow: bool = False
    as_imgpkg: bool = False
