"""What bundlepipe remembers beside doit's database: the digest of everything that was made."""

from __future__ import annotations

import os

from bundlepipe.errors import BundlepipeError, InvalidDigest, InvalidReference
from bundlepipe.files import write_if_changed
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.location import ArchiveLocation, LayoutLocation, Location, parse_location

STATE_DIRECTORY = ".bundlepipe"
_DIGESTS = os.path.join(STATE_DIRECTORY, "digests")
_OUTPUTS = os.path.join(STATE_DIRECTORY, "outputs")


def record_output(name: str, directory: str) -> None:
    """Record that a pull made the content of a directory."""
    write_if_changed(os.path.join(_OUTPUTS, name), os.fsencode(directory))


def made_output(name: str, directory: str) -> bool:
    """Tell whether the content of this directory was made by the pull of this name."""
    try:
        with open(os.path.join(_OUTPUTS, name), "rb") as file:
            return file.read() == os.fsencode(directory)
    except OSError:
        return False


def digest_file(kind: str, name: str) -> str:
    """Return the path of the file that holds `repository@digest` of what a task made."""
    return os.path.join(_DIGESTS, kind, name)


def write_digest(kind: str, name: str, made: str) -> None:
    """Record what was made; a file that says so already is left alone, so nothing downstream is stale."""
    write_if_changed(digest_file(kind, name), f"{made}\n".encode())


def read_digest(kind: str, name: str) -> Reference:
    """Return what was pushed last; BundlepipeError if that is not known."""
    text = _read_made(kind, name, f"push_{kind}:{name}")
    try:
        return Reference.parse(text)
    except InvalidReference as error:
        raise _damaged(kind, name, str(error), f"push_{kind}:{name}") from None


def read_copied(name: str) -> Location:
    """Return where a copy put its image; BundlepipeError if that is not known, or if it copied several."""
    task, kind = f"copy_bundle:{name}", "copy"
    text = _read_made(kind, name, task)
    lines = text.splitlines()
    if len(lines) > 1:
        raise BundlepipeError(
            f"copy '{name}' copied {len(lines)} images: name one of them instead, or a bundle of them"
        )
    try:
        place, _, digest = text.rpartition("@")
        location = parse_location(place)
        if isinstance(location, ArchiveLocation):
            return location
        if isinstance(location, LayoutLocation):
            return LayoutLocation(location.directory, str(Digest.parse(digest)))
        return Reference.parse(text)
    except (InvalidReference, InvalidDigest) as error:
        raise _damaged(kind, name, str(error), task) from None


def _read_made(kind: str, name: str, task: str) -> str:
    try:
        with open(digest_file(kind, name), "rb") as file:
            return file.read().decode(errors="replace").strip()
    except FileNotFoundError:
        raise BundlepipeError(f"{kind} '{name}' has not been made yet: run doit {task}") from None


def _damaged(kind: str, name: str, why: str, task: str) -> BundlepipeError:
    return BundlepipeError(f"{digest_file(kind, name)}: is damaged ({why}): remove it, and run doit {task}")
