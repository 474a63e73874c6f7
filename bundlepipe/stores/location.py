"""Parse locations as users write them: a reference, `oci:DIR`, `tar:FILE` or `docker-daemon:NAME`."""

from __future__ import annotations

from msgspec import Struct

from bundlepipe.errors import InvalidDigest, InvalidReference
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import DEFAULT_REGISTRY, DEFAULT_TAG, Reference, Repository

LAYOUT_PREFIX = "oci:"
ARCHIVE_PREFIX = "tar:"
ENGINE_PREFIX = "docker-daemon:"
LOCAL_PREFIXES = (LAYOUT_PREFIX, ARCHIVE_PREFIX, ENGINE_PREFIX)


class LayoutLocation(Struct, frozen=True):
    """`oci:DIR[:TAG]`: an image in an OCI image layout."""

    directory: str
    tag: str | None = None

    def __str__(self) -> str:
        return f"{LAYOUT_PREFIX}{self.directory}" + (f":{self.tag}" if self.tag else "")


class ArchiveLocation(Struct, frozen=True):
    """`tar:FILE`: an imgpkg tar file."""

    path: str

    def __str__(self) -> str:
        return f"{ARCHIVE_PREFIX}{self.path}"


class EngineLocation(Struct, frozen=True):
    """`docker-daemon:NAME[:TAG]`, `docker-daemon:NAME@DIGEST` or `docker-daemon:IMAGEID`: an image of the Engine.

    A name without a tag means `latest`, as elsewhere in Docker.
    """

    image: Reference | Digest

    @property
    def tag(self) -> str | None:
        """The tag; None for an image that is named by a digest."""
        if isinstance(self.image, Digest) or self.image.digest:
            return None
        return self.image.tag or DEFAULT_TAG

    @property
    def repository(self) -> str | None:
        """The repository's name in the Engine, such as `app` or `registry.example/app`; None for an image ID."""
        if isinstance(self.image, Digest):
            return None
        name = str(self.image.repository)
        return name.removeprefix(f"{DEFAULT_REGISTRY}/library/").removeprefix(f"{DEFAULT_REGISTRY}/")

    @property
    def name(self) -> str:
        """The image's name in the Engine."""
        if isinstance(self.image, Digest):
            return str(self.image)
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.image.digest}"

    def tagged(self, tag: str) -> EngineLocation:
        """Return another tag of the same repository."""
        assert isinstance(self.image, Reference)
        return EngineLocation(self.image.repository.tagged(tag))

    def __str__(self) -> str:
        return f"{ENGINE_PREFIX}{self.name}"


# Where images are, and where they can be copied to.
Location = Reference | LayoutLocation | ArchiveLocation | EngineLocation
Place = Repository | LayoutLocation | ArchiveLocation | EngineLocation


def parse_location(text: str) -> Location:
    """Parse a location; InvalidReference if `text` is neither a reference nor a local location."""
    if text.startswith(ENGINE_PREFIX):
        return _engine_image(text)
    if text.startswith(ARCHIVE_PREFIX):
        return _archive(text)
    return _layout(text) if text.startswith(LAYOUT_PREFIX) else Reference.parse(text)


def _archive(text: str) -> ArchiveLocation:
    path = text.removeprefix(ARCHIVE_PREFIX)
    if not path or path.endswith("/"):
        raise InvalidReference(f"'{text}': expected tar:FILE")
    return ArchiveLocation(path)


def _engine_image(text: str) -> EngineLocation:
    name = text.removeprefix(ENGINE_PREFIX)
    if name.startswith(("sha256:", "sha512:")):
        try:
            return EngineLocation(Digest.parse(name))
        except InvalidDigest as error:
            raise InvalidReference(f"'{text}': {error}") from None
    if not name:
        raise InvalidReference(f"'{text}': expected docker-daemon:NAME[:TAG] or docker-daemon:IMAGEID")
    return EngineLocation(Reference.parse(name))


def _layout(text: str) -> LayoutLocation:
    directory, tag = text.removeprefix(LAYOUT_PREFIX), None
    head, colon, tail = directory.rpartition(":")
    if colon and "/" not in tail:
        directory, tag = head, tail
    if not directory or tag == "":
        raise InvalidReference(f"'{text}': expected oci:DIR[:TAG]")
    return LayoutLocation(directory, tag)
