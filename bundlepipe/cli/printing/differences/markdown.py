"""A difference as Markdown for a pull request: totals, a table of images, and a collapsible section for each file.

Content cannot break out: fences are longer than any run of their character in it, names are HTML without markup, and
unprintable characters are escapes. Services cut off or refuse long comments, so patches stop before that.
"""

from __future__ import annotations

from collections.abc import Iterator

from bundlepipe.cli.printing.differences.entries import full_path, other_lines
from bundlepipe.cli.printing.differences.escapes import quoted_path, visible
from bundlepipe.cli.printing.differences.text import file_patch, sizes, totals
from bundlepipe.documents.markdown import html_code
from bundlepipe.progress.phrases import code_fence, counted, short
from bundlepipe.verbs.diffing.difference import Difference, FileChange, ImageChange, PairDifference
from bundlepipe.verbs.diffing.images import name_of

# GitHub takes 65,536 characters for a comment, and the text around it needs some.
LONGEST = 60_000

# Of the images that cannot be read.
_MOST = 10


def to_markdown(difference: Difference, longest: int = LONGEST) -> str:
    """Return a difference as Markdown of some `longest` bytes at most.

    Beyond that sections have no patch, then there are no further sections; a line says so.
    """
    head = _head(difference)
    sections = list(_sections(difference))
    left = longest - _size(head)
    shown: list[str] = []
    for _, shorter in sections:
        left -= _size(shorter)
        if left < 0:
            break
        shown.append(shorter)
    for number, (section, shorter) in enumerate(sections[: len(shown)]):
        if _size(section) - _size(shorter) <= left:
            left -= _size(section) - _size(shorter)
            shown[number] = section
    shortened = sum(section != whole for section, (whole, _) in zip(shown, sections, strict=False))
    omitted = len(sections) - len(shown) + shortened
    parts = f"{counted(omitted, 'part')} {'is' if omitted == 1 else 'are'}"
    end = f"\n{parts} left out or shortened, since comments have a limit.\n" if omitted else ""
    return "".join([head, *shown, end])


def _size(text: str) -> int:
    return len(text.encode())


def _head(difference: Difference) -> str:
    old, new = (html_code(text) for text in (difference.old, difference.new))
    if difference.is_empty:
        return f"{old} and {new} have the same content.\n"
    unread = "".join(
        f"- not read: {html_code(each.image)}: {html_code(each.reason)}\n" for each in difference.unread[:_MOST]
    )
    more = len(difference.unread) - _MOST
    unread += f"- not read: {more} more\n" if more > 0 else ""
    return f"**{old} → {new}**\n\n{totals(difference)}\n" + (f"\n{unread}" if unread else "")


def _sections(difference: Difference) -> Iterator[tuple[str, str]]:
    """Yield the parts in order, each with a shorter form."""
    for pair in difference.pairs:
        if pair.is_empty:
            continue
        name = html_code(pair.path) if pair.path else "Compared"
        title = f"\n#### {name} `{short(pair.old)}` → `{short(pair.new)}`\n"
        yield title, title
        if pair.images:
            yield _images(pair), f"\n{counted(len(pair.images), 'image')} changed.\n"
        for other in other_lines(pair):
            line = f"\n{html_code(other)}\n"
            yield line, line
        for change in pair.files:
            yield _file(pair, change), f"\n{_summary(pair, change)}\n"


def _images(pair: PairDifference) -> str:
    rows = "".join(map(_row, pair.images))
    return f"\n| | image | old | new |\n|---|---|---|---|\n{rows}"


def _row(change: ImageChange) -> str:
    kind = f"{change.status} bundle" if change.is_bundle else change.status
    old, new = (f"`{short(entry.digest)}`" if entry else "" for entry in (change.old, change.new))
    was = f" (was {html_code(name_of(change.old))})" if change.old and name_of(change.old) != change.name else ""
    return f"| {kind} | {html_code(change.name)}{was} | {old} | {new} |\n"


def _file(pair: PairDifference, change: FileChange) -> str:
    lines = "".join(f"{visible(line.text)}\n" for line in file_patch(pair, change))
    fence = code_fence(lines)
    summary = f"<summary>{_summary(pair, change)}</summary>"
    return f"\n<details>{summary}\n\n{fence}diff\n{lines}{fence}\n\n</details>\n"


def _summary(pair: PairDifference, change: FileChange) -> str:
    path = html_code(quoted_path(full_path(pair, change.path)))
    extent = f"+{change.added} -{change.removed}" if change.kind == "text" else sizes(change)
    if change.kind == "directory":
        extent = "empty directory"
    elif not change.has_other_content:
        extent = "mode"
    return f"{path} {change.status} ({extent})"
