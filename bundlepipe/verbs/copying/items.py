"""What a copy looks for, what it found, and how far it looks."""

from __future__ import annotations

from dataclasses import dataclass, field

from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.protocol import LockEntry, OpenContent, Source


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A manifest to be found.

    `identifier` is a digest or tag, `places` are where it may be, in the order of their
    right to be asked. `origin` is how a lock names it and `named_by` the bundle that has
    the lock; `reference` is where it came from if it is in no registry now. `also` are
    others that name it, with places of their own. A member of an index is not `listed`. An
    index of referrers comes with its `manifest` and `subject`. A bundle is `perhaps_shallow`
    that may have been copied as an image alone: it is one if its images are not all with it.
    `entries` are those of the ImagesLock that names it, `name` is what whoever asks for the copy calls it.
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
        """What tells it from others: the digest, or who is asked for which tag."""
        return self.identifier if ":" in self.identifier else f"{self.places[0].name} {self.identifier}"


@dataclass(kw_only=True)
class Item:
    """A manifest that is to be at the destination.

    `source` has it and its blobs; it is the destination itself where the image `is_complete`.
    `lender` is a repository of the destination's registry that should have the blobs too.
    `reference` says where it was found and `origin` how it was first named, by the bundle
    `named_by`, if one has named it. `config` and
    `layer` are kept where they had to be read. `lock` is what a bundle names (None where
    only the destination has its layer), `subject` what the members of an index of referrers are about.
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
        """Take note that this was wanted, perhaps once more."""
        self.is_root |= wanted.is_root
        self.is_listed |= wanted.is_listed
        self.subject = self.subject or wanted.subject
        self.name = self.name or wanted.name
        self.entries.extend(each for each in wanted.entries if each not in self.entries)
        if wanted.tag and wanted.tag not in self.tags:
            self.tags.append(wanted.tag)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What belongs to a copy.

    `cosign` takes along what cosign attached to images, `referrers` all that refers to them,
    `as_imgpkg` of what has tags no more than cosign's signatures of what is listed; members of
    indexes have no tags then. `configs` says that every configuration is needed,
    `non_distributable` that those layers are. `shallow` takes bundles as the images that they are.
    """

    cosign: bool = False
    referrers: bool = False
    configs: bool = False
    non_distributable: bool = False
    shallow: bool = False
    as_imgpkg: bool = False
