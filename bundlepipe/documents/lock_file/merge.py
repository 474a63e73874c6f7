"""Merge the lock files of two branches, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from bundlepipe.documents.lock_file.content import LockFile, LockKey, with_conflicts
from bundlepipe.documents.yaml.conflict_markers import without_conflicts
from bundlepipe.errors import DocumentError
from bundlepipe.oci.digest import Digest


class Merged(Struct, frozen=True):
    """The result of a merge: the settled entries, and both digests, ours first, of each conflict."""

    entries: Mapping[LockKey, Digest]
    conflicts: Mapping[LockKey, tuple[Digest, Digest]]

    def to_bytes(self) -> bytes:
        """Return the lock file, with git's marks around each conflict."""
        return with_conflicts(self.entries, self.conflicts) if self.conflicts else LockFile(self.entries).to_bytes()


def merge(base: LockFile, ours: LockFile, theirs: LockFile) -> Merged:
    """Merge the lock files of both sides, which started as `base`.

    An entry that one side added, moved or removed is added, moved or removed. If one side moved an
    entry and the other removed it, it stays moved, since one side needs it; the next run removes
    unused entries. Two different digests are a conflict.
    """
    entries: dict[LockKey, Digest] = {}
    conflicts: dict[LockKey, tuple[Digest, Digest]] = {}
    for key in _keys(ours, theirs):
        before, our, their = (side.entries.get(key) for side in (base, ours, theirs))
        if our in (before, their):
            chosen = their
        elif their == before:
            chosen = our
        elif our is not None and their is not None:
            conflicts[key] = our, their
            continue
        else:
            chosen = our or their
        if chosen is not None:
            entries[key] = chosen
    return Merged(entries, conflicts)


def parse_base(content: bytes) -> LockFile:
    """Return the entries that both sides certainly started with; empty if the file is invalid.

    If branches have merged each other before, git first merges their bases with the same driver, so a base may
    hold unresolved conflicts; their entries are left out. An entry missing from the base is a conflict if the
    sides differ, so nothing is lost.
    """
    from bundlepipe.documents.yaml.reader import decoded

    try:
        return LockFile.parse(without_conflicts(decoded(content, "base")).encode(), "base")
    except DocumentError:
        return LockFile()


def _keys(*files: LockFile) -> Iterator[LockKey]:
    yield from sorted({key for file in files for key in file.entries})
