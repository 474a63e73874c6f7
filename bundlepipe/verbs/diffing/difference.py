"""The result of a diff, as values: what changed in each pair of bundles or images, and the bytes to transfer.

Used by the verb, by `to_json`, and by the text and Markdown of the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from bundlepipe.documents.imgpkg.images_lock import ImageRef
from bundlepipe.oci.digest import Digest

FileStatus = Literal["added", "removed", "modified"]
# A text has a patch; a large file is not searched for lines.
ContentKind = Literal["text", "binary", "large", "directory"]
# `renamed`: the same digest under another name.
ImageStatus = Literal["added", "removed", "moved", "renamed"]


class FileVersion(Struct, frozen=True):
    """A file on one side: permissions as a pull with the umask 022 sets them, size in bytes, hash of the content."""

    mode: int
    size: int
    sha256: str | None


class FileChange(Struct, frozen=True):
    """A file or empty directory that differs; `old` or `new` is None where it does not exist.

    `patch` has the hunks of a unified diff, empty unless the content of a text differs; bytes that are not UTF-8
    are surrogates. `added` and `removed` count lines. `blobs` are the names that git gives both contents, if there
    is no patch for them.
    """

    path: str
    old: FileVersion | None
    new: FileVersion | None
    kind: ContentKind
    patch: str = ""
    added: int = 0
    removed: int = 0
    blobs: tuple[str | None, str | None] = (None, None)

    @property
    def status(self) -> FileStatus:
        """Whether the file is only on one side."""
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "modified"

    @property
    def has_other_mode(self) -> bool:
        """Whether it is on both sides, with different permissions."""
        return self.old is not None and self.new is not None and self.old.mode != self.new.mode

    @property
    def has_other_content(self) -> bool:
        """Whether it is on one side only, or its content differs."""
        return self.old is None or self.new is None or self.old.sha256 != self.new.sha256


class ImageChange(Struct, frozen=True):
    """An entry of images.yml that differs; `old` or `new` is None where it does not exist.

    `name` is what users call it: its reference in configuration, else its repository. `is_bundle` is None if it is
    unknown, as for removed images and those that cannot be read.
    """

    status: ImageStatus
    name: str
    old: ImageRef | None
    new: ImageRef | None
    is_bundle: bool | None = None


class Relocation(Struct, frozen=True):
    """An image with the same digest and name, which the locks have at different locations: no difference."""

    name: str
    old: ImageRef
    new: ImageRef


class LabelChange(Struct, frozen=True):
    """A label of the image configuration that differs; None where it does not exist."""

    name: str
    old: str | None
    new: str | None


class SettingChange(Struct, frozen=True):
    """A field of the image configuration that differs, such as `config.User`; None where it is not set.

    Values are those of JSON.
    """

    name: str
    old: Any
    new: Any


class LinkTarget(Struct, frozen=True):
    """A link of an image, which a pull leaves out: a symbolic one, or a hard link to another file."""

    kind: Literal["symlink", "hardlink"]
    target: str


class LinkChange(Struct, frozen=True):
    """A link that differs; None where it does not exist."""

    path: str
    old: LinkTarget | None
    new: LinkTarget | None


class PairDifference(Struct, frozen=True):
    """The differences of two bundles or images, without those of their nested bundles.

    `path` is empty for the compared pair itself, and for a nested bundle `.imgpkg/bundles/NAME`. `differs_otherwise`,
    if the digests differ and nothing here explains it: in owners, times or extended attributes of files, say.
    """

    path: str
    old: Digest
    new: Digest
    files: Sequence[FileChange] = ()
    images: Sequence[ImageChange] = ()
    relocated: Sequence[Relocation] = ()
    labels: Sequence[LabelChange] = ()
    configuration: Sequence[SettingChange] = ()
    links: Sequence[LinkChange] = ()
    differs_otherwise: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether both have the same content, wherever their images are."""
        changes = self.files, self.images, self.labels, self.configuration, self.links
        return not (any(changes) or self.differs_otherwise)


class Unread(Struct, frozen=True):
    """An image that could not be read, and why: it is in no size, and if it is a bundle its content is not compared."""

    image: str
    reason: str


class Transfer(Struct, frozen=True):
    """What a site that has the old bundle with all its images lacks of the new one.

    `size` is in bytes, for `blobs` layers and configurations and `manifests` manifests and indexes.
    """

    size: int = 0
    blobs: int = 0
    manifests: int = 0


class Difference(Struct, frozen=True):
    """The differences of two locations: the compared pair first, then each pair of nested bundles once.

    Without `transfer`, sizes were not requested.
    """

    old: str
    new: str
    pairs: Sequence[PairDifference]
    transfer: Transfer | None = None
    unread: Sequence[Unread] = ()

    @property
    def is_empty(self) -> bool:
        """Whether both sides have the same content."""
        return all(pair.is_empty for pair in self.pairs)
