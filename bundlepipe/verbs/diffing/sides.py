"""What can be compared: locations, directories, and what a push would make."""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct, field

from bundlepipe.errors import InputError
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.stores.location import LOCAL_PREFIXES, Location, parse_location

_PATH_STARTS = ("/", "./", "../", "~")


class Directory(Struct, frozen=True):
    """A side that is a directory: its files as `bundlepipe push -f` would pack them, without pulled nested bundles."""

    path: str

    def __str__(self) -> str:
        return self.path


class Declared(Struct, frozen=True):
    """A side that is a bundle or image as a push would make it now; `name` is its name in messages."""

    name: str
    inputs: Inputs
    is_bundle: bool
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


Side = Location | Directory | Declared


def parse_side(text: str) -> Location | Directory:
    """Return the location or directory that a string names.

    Raises InvalidReference, InputError for a path without a directory.
    """
    if text.startswith(LOCAL_PREFIXES):
        return parse_location(text)
    if os.path.isdir(text):
        if os.path.exists(os.path.join(text, "oci-layout")):
            raise InputError(f"{text}: is an OCI image layout: write oci:{text}, with :TAG if it has several images")
        return Directory(text.rstrip("/") or "/")
    if os.path.isfile(text):
        raise InputError(f"{text}: is a file: expected a directory, a reference, or tar:{text} for imgpkg's tar file")
    if text.startswith(_PATH_STARTS) or text in (".", ".."):
        raise InputError(f"{text}: there is no such directory")
    return parse_location(text)
