"""Lock files of two branches become one, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bundlepipe.documents.lock_file.content import LockFile, LockKey, with_conflicts
from bundlepipe.documents.yaml.conflict_markers import without_conflicts
from bundlepipe.errors import DocumentError
from bundlepipe.oci.digest import Digest


@dataclass(frozen=True)
class Merged:
    """What came of a merge: the entries that are settled, and both digests, ours first, of those that are not."""

    entries: Mapping[LockKey, Digest]
    conflicts: Mapping[LockKey, tuple[Digest, Digest]]

    def to_bytes(self) -> bytes:
        """Return the lock file, with git's marks around each entry that is not settled."""
        return with_conflicts(self.entries, self.conflicts) if self.conflicts else LockFile(self.entries).to_bytes()


def merge(base: LockFile, ours: LockFile, theirs: LockFile) -> Merged:
    """Return the lock file of both sides, which began as `base`.

    An entry that one side added, moved or removed is so. One that a side moved and the other
    removed stays moved, since somebody needs it; what nobody needs goes with the next run. Two
    different digests are a conflict.
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
    """Return the entries that two sides surely began with: none of those in conflicts, or of a file that is none.

    Where branches have merged each other before, git merges their bases first, by the same
    driver, so a base may hold conflicts that nobody was asked about. An entry that it lacks is
    a conflict where the sides differ, so nothing is lost.
    """
    from bundlepipe.documents.yaml.reader import decoded

    try:
        return LockFile.parse(without_conflicts(decoded(content, "base")).encode(), "base")
    except DocumentError:
        return LockFile()


def _keys(*files: LockFile) -> Iterator[LockKey]:
    yield from sorted({key for file in files for key in file.entries})
