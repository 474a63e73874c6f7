"""Access of tasks to the lock file of a pipeline: read in every run, changed by several locks at once.

A run with nothing to do reads its bytes and a cache of their meaning, not YAML.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bundlepipe.errors import InvalidReference
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.files import locked, read_document, write_if_changed
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.paths import absolute
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.records.state import STATE_DIRECTORY

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.images_lock import ImageRef
    from bundlepipe.verbs.images.resolver import Lookup

# A lookup as in `LockKey`: reference, tags, platform.
Key = tuple[str, str, str]
Entries = dict[Key, str]

_CACHE = os.path.join(STATE_DIRECTORY, "lock-file.json")
_GENERATION = 2
_LOCK = os.path.join(STATE_DIRECTORY, "locks", "lock-file")
# The annotation `dev.bundlepipe.question`: neither references nor what follows them contain ", platform ".
_LOOKUP = re.compile(r"(?P<reference>[^\s,]+)(?:, tags (?P<tags>.*?))?(?:, platform (?P<platform>.*))?")

_seen: dict[str, tuple[bytes, Entries]] = {}
_first: dict[str, Entries] = {}


def read_entries(path: str) -> Entries:
    """Return the entries of a lock file, empty if there is no file.

    Raises InputError for an unreadable file and DocumentError for a faulty one.
    """
    if not os.path.lexists(anchored(path)):
        return {}
    # All locks of a run read the file, so the same bytes are decoded once.
    content, place = read_document(path), absolute(path)
    # Looked up once: another thread may replace it with an older state of the file at any moment.
    seen = _seen.get(place)
    if seen is None or seen[0] != content:
        seen = _seen[place] = content, _entries_of(content, path)
        _first.setdefault(place, seen[1])
    return dict(seen[1])


def entries_at_first(path: str) -> Entries:
    """Return the entries that the file had when this process first read it."""
    return _first.get(absolute(path), {})


def change_entries(path: str, change: Callable[[Entries], Entries]) -> Entries:
    """Update the entries with `change`, under a lock against all other threads and processes; return the new ones.

    An unchanged file is not touched. Raises what `read_entries` raises, and OSError.
    """
    os.makedirs(anchored(_LOCK), exist_ok=True)
    with locked(_LOCK):
        before = read_entries(path)
        after = change(dict(before))
        if before != after:
            _write(path, after)
        return after


def changes(path: str, used: Mapping[Key, str]) -> list[Reason]:
    """Describe the changes to the entries that a lock used. Raises what `read_entries` raises."""
    now = read_entries(path)
    return [
        Reason("entryChanged", key[0], f"{path} has another digest for {key[0]}")
        if key in now
        else Reason("entryRemoved", key[0], f"{path} has no entry any more for {key[0]}")
        for key, digest in used.items()
        if now.get(key) != digest
    ]


def to_list(entries: Mapping[Key, str]) -> list[list[str]]:
    """Return entries as JSON-able values."""
    return [[*key, digest] for key, digest in sorted(entries.items())]


def from_list(values: Iterable[Iterable[str]]) -> Entries:
    """Return the entries that `to_list` made values of."""
    return {(reference, tags, platform): digest for reference, tags, platform, digest in values}


class LockFileResults:
    """Results from a lock file, for the lock of one bundle; `used` are the entries that it needs.

    An entry that another lock added or moved since this one began is used unchanged: of several
    locks with the same lookup, the first one decides. `again` holds entries to resolve again, as
    long as they still have the digest given there.
    """

    def __init__(self, path: str, again: Mapping[Key, str]) -> None:
        self._path = path
        self._again = again
        self._before = read_entries(path)
        self.used: Entries = {}
        self.has_changed = False

    def known(self, lookup: Lookup) -> Digest | None:
        """Return the digest of the entry, which may have been kept just now."""
        key = key_of(lookup)
        digest = self.used.get(key) or self._before.get(key)
        if key not in self.used and digest == self._again.get(key):
            return None
        return Digest(digest) if digest else None

    def keep(self, results: Mapping[Lookup, Digest]) -> None:
        """Write new results to the lock file."""
        new: Entries = {key_of(lookup): str(digest) for lookup, digest in results.items()}

        def change(now: Entries) -> Entries:
            mine = {key: digest for key, digest in new.items() if now.get(key) == self._before.get(key)}
            return {**now, **mine}

        after = change_entries(self._path, change)
        self.used = {key: after[key] for key in new}
        self.has_changed = any(self._before.get(key) != digest for key, digest in self.used.items())


def key_of(lookup: Lookup) -> Key:
    """Return the key of the entry for a lookup."""
    return (
        str(lookup.reference),
        str(lookup.tags) if lookup.tags else "",
        str(lookup.platform) if lookup.platform else "",
    )


def begin(path: str, images_locks: Iterable[str], made_here: Collection[str]) -> None:
    """Create a missing lock file from the images.yml of all bundles, so that no digest moves.

    The first of several digests for one lookup is used. Raises DocumentError for a faulty images.yml, and OSError.
    """
    if os.path.exists(anchored(path)):
        return
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock

    found: Entries = {}
    for images_lock in (path for path in images_locks if os.path.isfile(anchored(path))):
        for entry in ImagesLock.parse(read_document(images_lock), images_lock).images:
            for key in _lookup_of(entry, made_here):
                found.setdefault(key, str(entry.digest))
    _create(path, found)


def _create(path: str, entries: Entries) -> None:
    os.makedirs(anchored(_LOCK), exist_ok=True)
    with locked(_LOCK):
        if not os.path.exists(anchored(path)):
            _write(path, entries)


def _write(path: str, entries: Entries) -> None:
    from bundlepipe.documents.lock_file.content import LockFile, LockKey

    content = LockFile({LockKey(*key): Digest(digest) for key, digest in entries.items()}).to_bytes()
    write_if_changed(path, content)
    _remember(path, content, entries)


def _lookup_of(entry: ImageRef, made_here: Collection[str]) -> Iterator[Key]:
    """Yield the lookup of an entry of an images.yml, if it was resolved by a registry."""
    from bundlepipe.documents.imgpkg.images_lock import KBLD_ID
    from bundlepipe.verbs.images.lock import PLATFORM_ANNOTATION, QUESTION_ANNOTATION

    named = entry.annotations.get(KBLD_ID, "")
    lookup = _LOOKUP.fullmatch(entry.annotations.get(QUESTION_ANNOTATION, named))
    if named in made_here or not lookup:
        return
    try:
        reference = Reference.parse(lookup["reference"])
    except InvalidReference:
        return  # kbld also accepts invalid references that are overridden
    platform = lookup["platform"] or entry.annotations.get(PLATFORM_ANNOTATION, "")
    # An image outside of the reference's repository was overridden or built.
    is_lookup = reference.digest is None or lookup["tags"] or platform
    if reference.repository == entry.image.repository and is_lookup:
        yield str(reference), lookup["tags"] or "", platform


def _entries_of(content: bytes, path: str) -> Entries:
    entries = _remembered(path, content)
    if entries is None:
        from bundlepipe.documents.lock_file.content import LockFile

        found = LockFile.parse(content, path).entries
        entries = {(key.reference, key.tags, key.platform): str(digest) for key, digest in found.items()}
        _remember(path, content, entries)
    return entries


def _remembered(path: str, content: bytes) -> Entries | None:
    try:
        stored = _records()[path]
        if stored["of"] == _fingerprint(content):
            return from_list(stored["entries"])
    except (ValueError, KeyError, TypeError):
        # Without a usable cache the file is just parsed.
        return None
    return None


def _remember(path: str, content: bytes, entries: Entries) -> None:
    # Several pipelines of a dodo.py each have a lock file.
    others = {other: record for other, record in _records().items() if os.path.lexists(anchored(other))}
    records = {**others, path: {"of": _fingerprint(content), "entries": to_list(entries)}}
    # If it cannot be written, the next run just parses the file.
    with contextlib.suppress(OSError):
        write_if_changed(_CACHE, json.dumps(records).encode())


def _records() -> dict[str, Any]:
    """Return the cache for each lock file, by its path; empty if it cannot be read."""
    try:
        with open(anchored(_CACHE), "rb") as file:
            stored = json.load(file)
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _fingerprint(content: bytes) -> str:
    return f"{_GENERATION} {hashlib.sha256(content).hexdigest()}"
