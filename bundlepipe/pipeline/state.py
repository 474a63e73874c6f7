"""What bundlepipe remembers beside doit's database: the digest of everything that was made."""

from __future__ import annotations

import os

from bundlepipe.errors import BundlepipeError, InvalidReference
from bundlepipe.files import write_if_changed
from bundlepipe.oci.reference import Reference

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
    """Return what was made last; BundlepipeError if that is not known."""
    path = digest_file(kind, name)
    try:
        with open(path, "rb") as file:
            return Reference.parse(file.read().decode(errors="replace").strip())
    except FileNotFoundError:
        raise BundlepipeError(f"{kind} '{name}' has not been pushed yet: run doit push_{kind}:{name}") from None
    except InvalidReference as error:
        raise BundlepipeError(f"{path}: is damaged ({error}): remove it, and run doit push_{kind}:{name}") from None
