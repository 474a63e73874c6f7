"""Records of pulls outside of a pipeline: an unchanged directory may be replaced by a newer version.

Each directory has a small file below $XDG_STATE_HOME (~/.local/state without it), named for its path. It holds
the hash of the names, modes and contents that a pull wrote, and the path.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

from bundlepipe.errors import InputError
from bundlepipe.filesystem.files import write_if_changed
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.filesystem.snapshots import Snapshot, snapshot


def is_as_pulled(directory: str) -> bool:
    """Return whether a directory is unchanged since the last pull into it."""
    try:
        with open(_record(directory), "rb") as file:
            recorded = file.readline().rstrip(b"\n").decode("ascii", "replace")
        return recorded == _fingerprint(directory, snapshot(Inputs([directory], exclude=()), {}))
    except (OSError, InputError):
        return False


def record_pulled(directory: str, state: Snapshot) -> None:
    """Record the result of a pull in a directory; if that cannot be written, the next pull has to be forced."""
    with contextlib.suppress(OSError):
        record = _record(directory)
        _remove_outdated(os.path.dirname(record))
        content = f"{_fingerprint(directory, state)}\n".encode() + os.fsencode(os.path.realpath(directory))
        write_if_changed(record, content)


def _record(directory: str) -> str:
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    name = hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()
    return os.path.join(home, "bundlepipe", "pulled", name)


def _remove_outdated(records: str) -> None:
    """Remove the records of deleted directories."""
    names = os.listdir(records) if os.path.isdir(records) else []
    for record in (os.path.join(records, name) for name in names):
        with contextlib.suppress(OSError):
            with open(record, "rb") as file:
                path = file.read().partition(b"\n")[2]
            if path and not os.path.lexists(path):
                os.remove(record)


def _fingerprint(directory: str, state: Snapshot) -> str:
    hasher = hashlib.sha256()
    below = f"{directory}/"
    for path in sorted(state):
        # relpath takes longer than to hash what is small.
        relative = path.removeprefix(below) if path.startswith(below) else os.path.relpath(path, directory)
        name = os.fsencode(relative)
        hasher.update(b"%s\0%o\0%s\0" % (name, state[path].mode, (state[path].sha256 or "").encode()))
    return hasher.hexdigest()
