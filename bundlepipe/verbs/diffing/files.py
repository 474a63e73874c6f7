"""Compare the files of two trees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from bundlepipe.limits import LARGEST_DOCUMENT
from bundlepipe.verbs.diffing.difference import ContentKind, FileChange, FileVersion
from bundlepipe.verbs.diffing.lines import Hunks, is_text, unified
from bundlepipe.verbs.diffing.trees import FileTree, TreeFile, pulled_mode, read

# Larger files are compared by their hash alone.
LARGEST_TEXT = LARGEST_DOCUMENT

_DIRECTORY = FileVersion(0o755, 0, None)


def changed_files(
    old: FileTree, new: FileTree, context: int, texts: Mapping[str, tuple[bytes, bytes] | None]
) -> Iterator[FileChange]:
    """Yield the files that differ, and empty directories on one side only, in byte order of their paths.

    `texts` has the contents to compare for paths where these are not those of the files, None for equal ones. Files
    of which nothing differs are not read. Raises InputError for a file of a working copy that changes meanwhile.
    """
    by_owner = old.has_owner_modes or new.has_owner_modes
    found: list[FileChange] = []
    for path in old.files.keys() | new.files.keys():
        before, after = old.files.get(path), new.files.get(path)
        versions = _version(before, by_owner), _version(after, by_owner)
        if path in texts:
            change = _given(path, *versions, texts[path], context)
        elif before and after and before.version.sha256 == after.version.sha256:
            change = FileChange(path, *versions, "text") if versions[0] != versions[1] else None
        else:
            change = _change(path, before, after, *versions, context)
        found += [change] if change else []
    # A directory that is empty on one side and has files on the other needs no line of its own.
    for path in old.empty_directories - _directories(new):
        found.append(FileChange(path, _DIRECTORY, None, "directory"))
    for path in new.empty_directories - _directories(old):
        found.append(FileChange(path, None, _DIRECTORY, "directory"))
    yield from sorted(found, key=lambda change: change.path.encode(errors="surrogateescape"))


def _version(file: TreeFile | None, by_owner: bool) -> FileVersion | None:
    if file is None:
        return None
    if not by_owner:
        return file.version
    return replace(file.version, mode=pulled_mode(file.version.mode, owner_only=True))


def _given(
    path: str, old: FileVersion | None, new: FileVersion | None, texts: tuple[bytes, bytes] | None, context: int
) -> FileChange | None:
    """Return the change of a file whose contents to compare are given."""
    if texts is None:
        assert old and new
        return FileChange(path, old, replace(new, sha256=old.sha256), "text") if old.mode != new.mode else None
    return _text_change(path, old, new, unified(*texts, context))


def _change(
    path: str,
    before: TreeFile | None,
    after: TreeFile | None,
    old: FileVersion | None,
    new: FileVersion | None,
    context: int,
) -> FileChange:
    kind: ContentKind = "binary"
    if any(file and file.version.size > LARGEST_TEXT for file in (before, after)):
        return FileChange(path, old, new, "large")
    contents = [read(file) if file else b"" for file in (before, after)]
    if all(map(is_text, contents)):
        return _text_change(path, old, new, unified(contents[0], contents[1], context))
    return FileChange(path, old, new, kind)


def _text_change(path: str, old: FileVersion | None, new: FileVersion | None, hunks: Hunks) -> FileChange:
    return FileChange(path, old, new, "text", hunks.text, hunks.added, hunks.removed)


def _directories(tree: FileTree) -> set[str]:
    found = set(tree.empty_directories)
    for path in (*tree.files, *tree.empty_directories):
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return found
