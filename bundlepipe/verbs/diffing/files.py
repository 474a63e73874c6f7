"""Compare the files of two trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from bundlepipe.limits import LARGEST_DOCUMENT
from bundlepipe.verbs.diffing.difference import ContentKind, FileChange, FileVersion, LinkChange
from bundlepipe.verbs.diffing.lines import is_text, unified
from bundlepipe.verbs.diffing.trees import FileTree, TreeFile, git_blob, pulled_mode, read

# Larger files, and those of more lines, are compared by their hash alone.
LARGEST_TEXT = LARGEST_DOCUMENT
MOST_LINES = 200_000
# Of all files that are compared by lines, both sides together: a patch is held in memory.
LARGEST_TEXTS = 64 << 20

_DIRECTORY = FileVersion(0o755, 0, None)

# Contents to compare in place of those of files; None for equal ones.
Texts = Mapping[str, tuple[bytes, bytes] | None]

_Files = tuple[TreeFile | None, TreeFile | None]
_Versions = tuple[FileVersion | None, FileVersion | None]


class FileComparison:
    """Compares the files of pairs of trees, with `context` lines around changes.

    Beyond `LARGEST_TEXTS` bytes of changed texts, files count as large.
    """

    def __init__(self, context: int) -> None:
        self._context = context
        self._left = LARGEST_TEXTS

    def changes(self, old: FileTree, new: FileTree, texts: Texts) -> list[FileChange]:
        """Return the files that differ, and empty directories that the other side lacks, in byte order of their paths.

        `texts` has contents by path. Files of which nothing differs are not read. Raises InputError for a file of a
        working copy that changes meanwhile.
        """
        by_owner = old.has_owner_modes or new.has_owner_modes
        found: list[FileChange] = []
        for path in sorted(old.files.keys() | new.files.keys(), key=_bytes):
            files = old.files.get(path), new.files.get(path)
            change = self._change(path, files, (_version(files[0], by_owner), _version(files[1], by_owner)), texts)
            found += [change] if change else []
        # A directory that is empty on one side and has files on the other needs no line of its own.
        for path in old.empty_directories - _directories(new):
            found.append(FileChange(path, _DIRECTORY, None, "directory"))
        for path in new.empty_directories - _directories(old):
            found.append(FileChange(path, None, _DIRECTORY, "directory"))
        return sorted(found, key=lambda change: _bytes(change.path))

    def _change(self, path: str, files: _Files, versions: _Versions, texts: Texts) -> FileChange | None:
        old, new = versions
        if old and new and (old.sha256 == new.sha256 or texts.get(path, ()) is None):
            if old.mode == new.mode:
                return None
            kind = self._kind(self._contents(files[:1]))
            return FileChange(path, old, replace(new, sha256=old.sha256), kind)
        given = texts.get(path)
        contents = list(given) if given else self._contents(files)
        kind = self._kind(contents)
        if contents is None or kind != "text":
            blobs = tuple(git_blob(file) if file else None for file in files)
            return FileChange(path, old, new, kind, blobs=(blobs[0], blobs[1]))
        self._left -= sum(map(len, contents))
        hunks = unified(contents[0], contents[1], self._context)
        return FileChange(path, old, new, kind, hunks.text, hunks.added, hunks.removed)

    def _contents(self, files: Sequence[TreeFile | None]) -> list[bytes] | None:
        """Return the contents of files, empty for one that does not exist; None if they are too large."""
        sizes = [file.version.size if file else 0 for file in files]
        if max(sizes) > LARGEST_TEXT or sum(sizes) > self._left:
            return None
        return [read(file) if file else b"" for file in files]

    def _kind(self, contents: Sequence[bytes] | None) -> ContentKind:
        if contents is None:
            return "large"
        if not all(map(is_text, contents)):
            return "binary"
        return "large" if any(content.count(b"\n") > MOST_LINES for content in contents) else "text"


def changed_links(old: FileTree, new: FileTree) -> list[LinkChange]:
    """Return the links that differ, in byte order of their paths."""
    paths = sorted(old.links.keys() | new.links.keys(), key=_bytes)
    changes = (LinkChange(path, old.links.get(path), new.links.get(path)) for path in paths)
    return [change for change in changes if change.old != change.new]


def _version(file: TreeFile | None, by_owner: bool) -> FileVersion | None:
    if file is None:
        return None
    if not by_owner:
        return file.version
    return replace(file.version, mode=pulled_mode(file.version.mode, owner_only=True))


def _bytes(path: str) -> bytes:
    return path.encode(errors="surrogateescape")


def _directories(tree: FileTree) -> set[str]:
    found = set(tree.empty_directories)
    for path in (*tree.files, *tree.links, *tree.empty_directories):
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return found
