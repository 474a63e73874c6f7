"""Where something is, as a user writes it: a reference, or a local home with its prefix."""

from __future__ import annotations

from dataclasses import dataclass

from bundlepipe.errors import InvalidReference
from bundlepipe.oci.reference import Reference

LAYOUT_PREFIX = "oci:"
ARCHIVE_PREFIX = "tar:"
ENGINE_PREFIX = "docker-daemon:"


@dataclass(frozen=True)
class LayoutLocation:
    """`oci:DIR[:TAG]`: an image in an OCI image layout."""

    directory: str
    tag: str | None = None

    def __str__(self) -> str:
        return f"{LAYOUT_PREFIX}{self.directory}" + (f":{self.tag}" if self.tag else "")


@dataclass(frozen=True)
class ArchiveLocation:
    """`tar:FILE`: an imgpkg tar."""

    path: str

    def __str__(self) -> str:
        return f"{ARCHIVE_PREFIX}{self.path}"


Location = Reference | LayoutLocation | ArchiveLocation


def parse_location(text: str) -> Location:
    """Return what `text` locates; InvalidReference if it is neither a reference nor a local home."""
    if text.startswith(ENGINE_PREFIX):
        raise InvalidReference(
            f"'{text}': images of the Docker Engine are not supported yet: "
            "expected a reference, oci:DIR[:TAG] or tar:FILE"
        )
    if text.startswith(ARCHIVE_PREFIX):
        return _archive(text)
    return _layout(text) if text.startswith(LAYOUT_PREFIX) else Reference.parse(text)


def _archive(text: str) -> ArchiveLocation:
    path = text.removeprefix(ARCHIVE_PREFIX)
    if not path or path.endswith("/"):
        raise InvalidReference(f"'{text}': expected tar:FILE")
    return ArchiveLocation(path)


def _layout(text: str) -> LayoutLocation:
    directory, tag = text.removeprefix(LAYOUT_PREFIX), None
    head, colon, tail = directory.rpartition(":")
    if colon and "/" not in tail:
        directory, tag = head, tail
    if not directory or tag == "":
        raise InvalidReference(f"'{text}': expected oci:DIR[:TAG]")
    return LayoutLocation(directory, tag)
