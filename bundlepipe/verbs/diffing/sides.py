"""What can be compared: locations, directories, and what a push would make."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from msgspec import Struct, field

from bundlepipe.errors import InputError
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import DOCKER_HUB_ALIASES, Reference, Repository
from bundlepipe.stores.location import LOCAL_PREFIXES, Location, parse_location
from bundlepipe.stores.protocol import Source

_PATH_STARTS = ("/", "./", "../", "~")


class Directory(Struct, frozen=True):
    """A side that is a directory: its files as `bundlepipe push -f` would pack them, without pulled nested bundles."""

    path: str

    def __str__(self) -> str:
        return self.path


def _nothing(repository: Repository, digest: Digest) -> None:
    return None


class Declared(Struct, frozen=True):
    """A side that is a bundle or image as a push would make it now; `name` is its name in messages.

    `seen` opens the context in which its files are as a run would have written them. `written` returns where an
    image can be read that the run would have pushed before, None for any other. `image` is what it would push here,
    None if it need not push.
    """

    name: str
    inputs: Inputs
    is_bundle: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    seen: Callable[[], AbstractContextManager[object]] = nullcontext
    written: Callable[[Repository, Digest], Source | None] = _nothing
    image: Reference | None = None

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


def may_be_a_directory(text: str, side: Side) -> bool:
    """Return whether a string may be the mistyped name of a directory, though it names a repository of Docker Hub."""
    is_short = isinstance(side, Reference) and side.repository.registry in DOCKER_HUB_ALIASES
    return is_short and not {":", "@"} & set(text) and text.partition("/")[0] not in DOCKER_HUB_ALIASES
