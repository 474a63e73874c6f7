"""Where something is, as a user writes it: a reference, or a local home with its prefix."""

from __future__ import annotations

from dataclasses import dataclass

from bundlepipe.errors import InvalidReference
from bundlepipe.oci.reference import Reference

_LAYOUT_PREFIX = "oci:"
_UNSUPPORTED_PREFIXES = {"tar:": "archives", "docker-daemon:": "images of the Docker Engine"}


@dataclass(frozen=True)
class LayoutLocation:
    """`oci:DIR[:TAG]`: an image in an OCI image layout."""

    directory: str
    tag: str | None = None

    def __str__(self) -> str:
        return f"{_LAYOUT_PREFIX}{self.directory}" + (f":{self.tag}" if self.tag else "")


Location = Reference | LayoutLocation


def parse_location(text: str) -> Location:
    """Return what `text` locates; InvalidReference if it is neither a reference nor a local home."""
    for prefix, what in _UNSUPPORTED_PREFIXES.items():
        if text.startswith(prefix):
            raise InvalidReference(f"'{text}': {what} are not supported yet: expected a reference or oci:DIR[:TAG]")
    if not text.startswith(_LAYOUT_PREFIX):
        return Reference.parse(text)
    directory, tag = text.removeprefix(_LAYOUT_PREFIX), None
    head, colon, tail = directory.rpartition(":")
    if colon and "/" not in tail:
        directory, tag = head, tail
    if not directory or tag == "":
        raise InvalidReference(f"'{text}': expected oci:DIR[:TAG]")
    return LayoutLocation(directory, tag)
