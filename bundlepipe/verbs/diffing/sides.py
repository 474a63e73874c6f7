"""What can be compared: locations, directories, and what a push would make."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.stores.location import Location


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
