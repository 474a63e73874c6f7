"""What differs besides files, a line each: images, labels and other configuration, links."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bundlepipe.cli.printing.differences.escapes import quoted_path
from bundlepipe.errors import printable, shortened
from bundlepipe.progress.phrases import short
from bundlepipe.verbs.diffing.difference import (
    ImageChange,
    LabelChange,
    LinkChange,
    LinkTarget,
    PairDifference,
    SettingChange,
)
from bundlepipe.verbs.diffing.images import name_of, tag_of

# Of values in configurations, such as histories.
_LONGEST_VALUE = 200
_DIFFERS_OTHERWISE = "digests differ, in what is not compared: owners, times or other attributes of files, for example"


def other_lines(pair: PairDifference) -> Iterator[str]:
    """Yield what differs besides images and files, a line each."""
    yield from map(_label_line, pair.labels)
    yield from map(_setting_line, pair.configuration)
    yield from (_link_line(pair, change) for change in pair.links)
    if pair.differs_otherwise:
        yield _DIFFERS_OTHERWISE


def full_path(pair: PairDifference, path: str) -> str:
    """Return a path from the root of the compared bundle; a nested one is where a recursive pull has it, by name."""
    return f"{pair.path}/{path}" if pair.path else path


def image_line(change: ImageChange) -> str:
    """Return a changed image as one line."""
    kind = "bundle" if change.is_bundle else "image"
    old, new = change.old, change.new
    name = printable(change.name)
    if not old or not new:
        entry = new or old
        assert entry
        return f"{kind} {change.status}: {name} {short(entry.digest)}"
    before = printable(name_of(old))
    was = f" (was {before})" if before != name else _tags(tag_of(old), tag_of(new), name)
    digests = short(new.digest) if change.status == "renamed" else f"{short(old.digest)} -> {short(new.digest)}"
    return f"{kind} {change.status}: {name}{was} {digests}"


def _tags(old: str | None, new: str | None, name: str) -> str:
    """Return the tags of an image in words, unless its name has the only one."""
    if old is None or new is None or (old == new and name.endswith(f":{new}")):
        return ""
    return f" ({printable(new)})" if old == new else f" ({printable(old)} -> {printable(new)})"


def _label_line(label: LabelChange) -> str:
    """Return a changed label as one line."""
    name = printable(label.name)
    if label.old is None:
        return f"label added: {name}={printable(label.new or '')}"
    if label.new is None:
        return f"label removed: {name}={printable(label.old)}"
    return f"label changed: {name}={printable(label.old)} -> {printable(label.new)}"


def _setting_line(change: SettingChange) -> str:
    name, old, new = shortened(change.name, _LONGEST_VALUE), _value(change.old), _value(change.new)
    if change.old is None:
        return f"configuration added: {name}={new}"
    return (
        f"configuration removed: {name}={old}"
        if change.new is None
        else f"configuration changed: {name}={old} -> {new}"
    )


def _value(value: object) -> str:
    return shortened(json.dumps(value, ensure_ascii=False), _LONGEST_VALUE)


def _link_line(pair: PairDifference, change: LinkChange) -> str:
    path, old, new = quoted_path(full_path(pair, change.path)), _target(change.old), _target(change.new)
    if change.old is None:
        return f"link added: {path}: {new}"
    return f"link removed: {path}: {old}" if change.new is None else f"link changed: {path}: {old} -> {new}"


def _target(link: LinkTarget | None) -> str:
    kind = "symbolic link" if link and link.kind == "symlink" else "hard link"
    return f"{kind} to {quoted_path(link.target)}" if link else ""
