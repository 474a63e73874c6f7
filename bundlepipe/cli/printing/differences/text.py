"""A difference as text: a patch as git prints it, a summary, or names.

What is not part of the patch (images, configuration, links, sizes, sums) is on lines that `patch` and `git apply` skip.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from bundlepipe.cli.printing.differences.entries import full_path, image_line, other_lines
from bundlepipe.cli.printing.differences.escapes import quoted_path, visible
from bundlepipe.progress.phrases import counted, human_size, short
from bundlepipe.progress.widths import cells
from bundlepipe.verbs.diffing.difference import (
    Difference,
    FileChange,
    FileVersion,
    ImageChange,
    PairDifference,
)

Style = Literal["plain", "title", "hunk", "added", "removed"]

_COLORS: dict[Style, str] = {"title": "\x1b[1m", "hunk": "\x1b[36m", "added": "\x1b[32m", "removed": "\x1b[31m"}
_NO_COLOR = "\x1b[0m"
_GRAPH_WIDTH = 40
_INDENT = "  "
# As git shortens names of objects.
_SHORT_BLOB = 7

_Files = Callable[[PairDifference], Iterator["Line"]]


class Line(NamedTuple):
    """A line of output without its end; `is_content` marks lines of files, whose bytes matter to `patch`."""

    text: str
    style: Style = "plain"
    is_content: bool = False


def rendered(lines: Iterator[Line], *, color: bool, escapes: bool) -> str:
    """Return lines as one text; with `escapes`, for a terminal, content is shown with escapes too."""
    return "".join(f"{_rendered(line, color=color, escapes=escapes)}\n" for line in lines)


def _rendered(line: Line, *, color: bool, escapes: bool) -> str:
    text = visible(line.text) if escapes and line.is_content else line.text
    start = _COLORS.get(line.style) if color else None
    return f"{start}{text}{_NO_COLOR}" if start else text


def patch(difference: Difference) -> Iterator[Line]:
    """Yield the whole difference; nothing if there is none."""
    yield from _report(difference, lambda pair: (line for change in pair.files for line in file_patch(pair, change)))


def summary(difference: Difference) -> Iterator[Line]:
    """Yield the difference without contents of files, as `git diff --stat`; nothing if there is none."""
    yield from _report(difference, _graph)


def names(difference: Difference) -> Iterator[Line]:
    """Yield the paths of the files and links that differ."""
    for pair in difference.pairs:
        paths = {change.path for change in pair.files} | {change.path for change in pair.links}
        yield from (Line(quoted_path(full_path(pair, path))) for path in sorted(paths, key=os.fsencode))


def _report(difference: Difference, files: _Files) -> Iterator[Line]:
    if difference.is_empty:
        return
    for pair in difference.pairs:
        if pair.is_empty:
            continue
        yield Line(f"{pair.path or 'Compared'}: {short(pair.old)} -> {short(pair.new)}", "title")
        yield from (Line(f"{_INDENT}{image_line(change)}") for change in pair.images)
        yield from (Line(f"{_INDENT}{line}") for line in other_lines(pair))
        yield from files(pair)
    yield Line(totals(difference), "title")


def file_patch(pair: PairDifference, change: FileChange) -> Iterator[Line]:
    """Yield the patch of a file as `git diff` prints it, but hashes only of what is no text, and sizes after it."""
    path = full_path(pair, change.path)
    old, new = quoted_path(f"a/{path}"), quoted_path(f"b/{path}")
    if change.kind == "directory":
        yield Line(f"Empty directory {change.status}: {quoted_path(path)}", "title")
        return
    yield Line(f"diff --git {old} {new}", "title")
    yield from (Line(text, "title") for text in _modes(change))
    if change.old is None:
        old = "/dev/null"
    if change.new is None:
        new = "/dev/null"
    if change.kind != "text":
        if change.has_other_content:
            # Without this line, and for any other words, git refuses the whole patch.
            yield Line(_index(change), "title")
            yield Line(f"Binary files {old} and {new} differ")
            yield Line(f"{_INDENT}{change.kind}: {sizes(change)}")
        return
    if change.patch:
        # As git does, since patch would take what follows a space for a time.
        yield Line(f"--- {_ended(old)}", "title")
        yield Line(f"+++ {_ended(new)}", "title")
        yield from (_content(line) for line in change.patch[:-1].split("\n"))


def _index(change: FileChange) -> str:
    old, new = (blob[:_SHORT_BLOB] if blob else "0" * _SHORT_BLOB for blob in change.blobs)
    mode = f" {_mode(change.new)}" if change.old and change.new and not change.has_other_mode else ""
    return f"index {old}..{new}{mode}"


def _ended(path: str) -> str:
    return f"{path}\t" if " " in path and not path.startswith('"') else path


def _modes(change: FileChange) -> Iterator[str]:
    if change.old is None and change.new:
        yield f"new file mode {_mode(change.new)}"
    elif change.new is None and change.old:
        yield f"deleted file mode {_mode(change.old)}"
    elif change.has_other_mode and change.old and change.new:
        yield f"old mode {_mode(change.old)}"
        yield f"new mode {_mode(change.new)}"


def _mode(version: FileVersion) -> str:
    return f"100{version.mode:03o}"


def _content(line: str) -> Line:
    style: Style = "plain"
    if line.startswith("@@"):
        style = "hunk"
    elif line.startswith("+"):
        style = "added"
    elif line.startswith("-"):
        style = "removed"
    return Line(line, style, is_content=True)


def sizes(change: FileChange) -> str:
    """Return the sizes of a file on both sides, in words."""
    if change.old and change.new:
        return f"{human_size(change.old.size)} -> {human_size(change.new.size)}"
    version = change.old or change.new
    assert version
    return human_size(version.size)


def _graph(pair: PairDifference) -> Iterator[Line]:
    paths = [quoted_path(full_path(pair, change.path)) for change in pair.files]
    width = max(map(cells, paths), default=0)
    most = max((change.added + change.removed for change in pair.files), default=0)
    digits = len(str(most))
    for path, change in zip(paths, pair.files, strict=True):
        yield Line(f" {path}{' ' * (width - cells(path))} | {_extent(change, most, digits)}".rstrip())


def _extent(change: FileChange, most: int, digits: int) -> str:
    mode = (
        f" (mode {change.old.mode:03o} -> {change.new.mode:03o})"
        if change.has_other_mode and change.old and change.new
        else ""
    )
    if change.kind == "directory":
        return f"empty directory {change.status}"
    if not change.has_other_content:
        return mode.strip()
    if change.kind != "text":
        return f"{change.kind} {sizes(change)}{mode}"
    lines = change.added + change.removed
    scale = min(1.0, _GRAPH_WIDTH / most) if most else 0.0
    added, removed = (max(1, round(count * scale)) if count else 0 for count in (change.added, change.removed))
    return f"{lines:{digits}} {'+' * added}{'-' * removed}{mode}"


def totals(difference: Difference) -> str:
    """Return sums over all pairs, in one line."""
    files = [change for pair in difference.pairs for change in pair.files]
    parts = [f"{counted(len(files), 'file')} changed"]
    added, removed = sum(change.added for change in files), sum(change.removed for change in files)
    parts += [f"{counted(added, 'insertion')}(+)"] if added else []
    parts += [f"{counted(removed, 'deletion')}(-)"] if removed else []
    for thing in ("link", "setting"):
        count = sum(len(pair.links if thing == "link" else pair.configuration) for pair in difference.pairs)
        parts += [f"{counted(count, thing)} changed"] if count else []
    parts += _image_totals([change for pair in difference.pairs for change in pair.images])
    relocated = sum(len(pair.relocated) for pair in difference.pairs)
    parts += [f"{counted(relocated, 'image')} relocated"] if relocated else []
    return "; ".join([", ".join(parts), *transfer_words(difference)])


def _image_totals(images: Sequence[ImageChange]) -> Iterator[str]:
    for status in ("moved", "added", "removed", "renamed"):
        count = sum(change.status == status for change in images)
        if count:
            yield f"{counted(count, 'image')} {status}"


def transfer_words(difference: Difference) -> list[str]:
    """Return in words what a site with the old one lacks; empty if that was not requested."""
    transfer = difference.transfer
    if transfer is None:
        return []
    missing = f", without {counted(len(difference.unread), 'unread image')}" if difference.unread else ""
    what = f"{counted(transfer.blobs, 'blob')} and {counted(transfer.manifests, 'manifest')}"
    return [f"a site with the old one lacks {human_size(transfer.size)} in {what}{missing}"]
