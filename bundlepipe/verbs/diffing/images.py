"""Compare the entries of two locks: which images were added, removed or moved, and which only have another location."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef
from bundlepipe.documents.search.annotations import ORIGINS_ANNOTATION
from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.oci.reference import Reference
from bundlepipe.verbs.diffing.difference import ImageChange, Relocation

_Key = Callable[[ImageRef], Hashable]


def name_of(entry: ImageRef) -> str:
    """Return what users call an image: its reference in configuration (`kbld.carvel.dev/id`), else its repository."""
    return entry.annotations.get(KBLD_ID) or str(entry.image.repository)


def tag_of(entry: ImageRef) -> str | None:
    """Return the tag that an image was locked by, as far as its annotations say: its name, or else kbld's origins."""
    name = _parsed(entry.annotations.get(KBLD_ID))
    if name and name.tag:
        return name.tag
    origins = entry.annotations.get(ORIGINS_ANNOTATION)
    return _tag_in(origins) if origins else None


def _tag_in(origins: str) -> str | None:
    """Return the tag in an annotation of kbld; anyone can write one, so an invalid one has none."""
    from bundlepipe.documents.yaml.reader import load_one

    try:
        data = load_one(origins.encode(errors="replace"), ORIGINS_ANNOTATION).data
    except DocumentError:
        return None
    for origin in data if isinstance(data, list) else ():
        resolved = origin.get("resolved") if isinstance(origin, dict) else None
        if isinstance(resolved, dict) and isinstance(resolved.get("tag"), str):
            return str(resolved["tag"])
    return None


def changed_images(old: Sequence[ImageRef], new: Sequence[ImageRef]) -> tuple[list[ImageChange], list[Relocation]]:
    """Return the differences of two locks, in the order of their names, and the images that are elsewhere now.

    Entries are paired in this order: the same name and digest; the same name (moved); the same digest (renamed); the
    same repository in the name, then at the location (moved). A digest that one side has several times under one name
    counts once.
    """
    left = list({_exact(entry): entry for entry in old}.values())
    right = list({_exact(entry): entry for entry in new}.values())
    changes: list[ImageChange] = []
    relocated: list[Relocation] = []
    for before, after in _taken(left, right, _exact):
        if before.image.repository != after.image.repository:
            relocated.append(Relocation(name_of(after), before, after))
    for key in (_name, _digest, _repository_of_name, _repository):
        for before, after in _taken(left, right, key, only_clear=key is _repository):
            status = "renamed" if before.digest == after.digest else "moved"
            changes.append(ImageChange(status, name_of(after), before, after))  # type: ignore[arg-type]
    changes += [ImageChange("removed", name_of(entry), entry, None) for entry in left]
    changes += [ImageChange("added", name_of(entry), None, entry) for entry in right]
    return sorted(changes, key=_order), sorted(relocated, key=lambda image: image.name)


def _taken(
    left: list[ImageRef], right: list[ImageRef], key: _Key, *, only_clear: bool = False
) -> Iterable[tuple[ImageRef, ImageRef]]:
    """Take pairs of entries with the same key, unless that is None, from both lists, in their order.

    With `only_clear` not if one side has several with the same key, as in the repository of a copy.
    """
    waiting: dict[Hashable, list[ImageRef]] = {}
    for entry in right:
        waiting.setdefault(key(entry), []).append(entry)
    if only_clear:
        several = {value for value, number in Counter(map(key, left)).items() if number > 1}
        waiting = {value: each for value, each in waiting.items() if len(each) == 1 and value not in several}
    pairs: list[tuple[ImageRef, ImageRef]] = []
    for entry in left:
        value = key(entry)
        if value is not None and waiting.get(value):
            pairs.append((entry, waiting[value].pop(0)))
    taken_left, taken_right = {id(before) for before, _ in pairs}, {id(after) for _, after in pairs}
    left[:] = [entry for entry in left if id(entry) not in taken_left]
    right[:] = [entry for entry in right if id(entry) not in taken_right]
    return pairs


def _exact(entry: ImageRef) -> Hashable:
    return entry.annotations.get(KBLD_ID), entry.digest


def _name(entry: ImageRef) -> Hashable:
    return entry.annotations.get(KBLD_ID)


def _digest(entry: ImageRef) -> Hashable:
    return entry.digest


def _repository_of_name(entry: ImageRef) -> Hashable:
    name = _parsed(entry.annotations.get(KBLD_ID))
    return str(name.repository) if name else None


def _repository(entry: ImageRef) -> Hashable:
    return str(entry.image.repository)


def _parsed(name: str | None) -> Reference | None:
    try:
        return Reference.parse(name) if name else None
    except InvalidReference:
        return None


def _order(change: ImageChange) -> tuple[str, str, str]:
    old, new = (str(entry.digest) if entry else "" for entry in (change.old, change.new))
    return change.name, old, new
