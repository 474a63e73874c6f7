"""What bundlepipe remembers beside doit's database: the digest of everything that was made."""

from __future__ import annotations

import os

from bundlepipe.errors import BundlepipeError
from bundlepipe.files import write_if_changed
from bundlepipe.oci.reference import Reference

STATE_DIRECTORY = ".bundlepipe"
_DIGESTS = os.path.join(STATE_DIRECTORY, "digests")


def digest_file(kind: str, name: str) -> str:
    """Return the path of the file that holds `repository@digest` of what a task made."""
    return os.path.join(_DIGESTS, kind, name)


def write_digest(kind: str, name: str, made: str) -> None:
    """Record what was made; a file that says so already is left alone, so nothing downstream is stale."""
    write_if_changed(digest_file(kind, name), f"{made}\n".encode())


def read_digest(kind: str, name: str) -> Reference:
    """Return what was made last; BundlepipeError if that is not known."""
    try:
        with open(digest_file(kind, name), encoding="utf-8") as file:
            return Reference.parse(file.read().strip())
    except FileNotFoundError:
        raise BundlepipeError(f"{kind} '{name}' has not been pushed yet: run doit push_{kind}:{name}") from None
