"""Read and write the lock file of a pipeline: the digests that its locks resolved, for all bundles at once.

An entry is a lookup and the digest it resolved to. Images that the pipeline makes itself are not in
it, so it does not depend on where they are pushed. Each entry is a block between empty lines, and
the last line never changes: if two branches change or add different entries, they touch different
lines, with an unchanged one between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, field

from bundlepipe.documents.schemas import API_VERSION, validator
from bundlepipe.documents.yaml.conflict_markers import conflict_faults
from bundlepipe.documents.yaml.fault import MOST_FAULTS, Fault, reason, rendered
from bundlepipe.documents.yaml.writer import written_scalar
from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference

if TYPE_CHECKING:
    from bundlepipe.documents.yaml.reader import YamlDocument

KIND = "Lock"

_HEAD = f"""\
# What the locks of this pipeline resolved from outside. bundlepipe maintains this file; commit it.
# `doit lock_bundle refresh=REFERENCE` moves an entry, refresh=all every one.
apiVersion: {API_VERSION}
kind: {KIND}
images:

"""
_END = "...\n"
_RESOLVE = (
    "keep the entries of both sides, but one digest for each reference, and run doit lock_bundle; "
    "'bundlepipe lock merge --help' says how to let git merge such files"
)


class LockKey(NamedTuple):
    """A lookup: a complete reference, its tag selection, and its platform (texts, `""` for none)."""

    reference: str
    tags: str = ""
    platform: str = ""

    def __str__(self) -> str:
        """Return the lookup on one line."""
        tags = f", tags {self.tags}" if self.tags else ""
        return f"{self.reference}{tags}" + (f", platform {self.platform}" if self.platform else "")


class LockFile(Struct, frozen=True):
    """The digests by their lookups."""

    entries: Mapping[LockKey, Digest] = field(default_factory=dict)

    @classmethod
    def parse(cls, content: bytes, path: str) -> LockFile:
        """Parse a file; an empty file has no entries.

        References may be written in any form, and entries may repeat each other. Raises
        DocumentError, calling the file `path`, with git's conflict marks, or else with all its
        faults, such as two digests for one lookup.
        """
        from bundlepipe.documents.yaml.reader import decoded, load_one

        conflicts = conflict_faults(decoded(content, path), _RESOLVE)
        if conflicts:
            raise DocumentError(rendered(path, conflicts))
        if not content.strip():
            return cls()
        document = load_one(content, path)
        entries, faults = _read(document)
        faults += validator.faults(document, "lock-file")
        if faults:
            raise DocumentError(rendered(path, faults))
        return cls(entries)

    def to_bytes(self) -> bytes:
        """Return the file, entries sorted by lookup: the same bytes for the same entries."""
        blocks = "".join(block(key, self.entries[key]) + "\n" for key in sorted(self.entries))
        return f"{_HEAD}{blocks}{_END}".encode()


def block(key: LockKey, digest: Digest) -> str:
    """Return the lines of one entry."""
    values = {"reference": key.reference, "tags": key.tags, "platform": key.platform, "digest": str(digest)}
    lines = [f"{name}: {written_scalar(value, '    ')}" for name, value in values.items() if value]
    return "- " + "\n  ".join(lines) + "\n"


def with_conflicts(entries: Mapping[LockKey, Digest], conflicts: Mapping[LockKey, tuple[Digest, Digest]]) -> bytes:
    """Return a lock file with both digests of each conflict between git's marks, ours first."""
    text = LockFile({**entries, **{key: ours for key, (ours, _) in conflicts.items()}}).to_bytes().decode()
    for key, (ours, theirs) in conflicts.items():
        marked = f"<<<<<<< ours\n{block(key, ours)}=======\n{block(key, theirs)}>>>>>>> theirs\n"
        text = text.replace(f"\n\n{block(key, ours)}", f"\n\n{marked}")
    return text.encode()


def _read(document: YamlDocument) -> tuple[dict[LockKey, Digest], list[Fault]]:
    """Return the readable entries of a document, and the faults that a schema cannot find."""
    entries: dict[LockKey, Digest] = {}
    faults: list[Fault] = []
    for index, entry in _entries(document.data):
        if len(faults) == MOST_FAULTS:
            break
        place = ("images", index, "reference")
        try:
            key = LockKey(str(Reference.parse(entry["reference"])), entry.get("tags", ""), entry.get("platform", ""))
        except InvalidReference as error:
            faults.append(document.fault(place, reason(error)))
            continue
        if entries.setdefault(key, Digest(entry["digest"])) != entry["digest"]:
            faults.append(
                document.fault(
                    place, f"another entry has another digest for {key}: remove one, and run doit lock_bundle"
                )
            )
    return entries, faults


def _entries(data: Any) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the readable entries with their index; the schema reports the faults of the rest."""
    entries = data.get("images") if isinstance(data, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        is_complete = isinstance(entry, dict) and {"reference", "digest"} <= entry.keys()
        if is_complete and all(isinstance(value, str) for value in entry.values()):
            yield index, entry
