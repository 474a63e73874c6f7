"""How the entries of two locks are paired."""

from __future__ import annotations

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef
from bundlepipe.oci.reference import Reference
from bundlepipe.verbs.diffing.images import changed_images


def entry(repository: str, digit: int, name: str | None = None) -> ImageRef:
    image = Reference.parse(f"{repository}@sha256:{64 * str(digit)}")
    return ImageRef(image, {KBLD_ID: name} if name else {})


def told(old: list[ImageRef], new: list[ImageRef]) -> list[tuple[str, str, str | None, str | None]]:
    """Return the status and name of each change, and a digit of the digests."""
    changes, _ = changed_images(old, new)
    digits = [[each.digest.encoded[0] if each else None for each in (change.old, change.new)] for change in changes]
    return [(change.status, change.name, old, new) for change, (old, new) in zip(changes, digits, strict=True)]


def test_by_name_before_anything_else() -> None:
    old = [entry("r.example/a", 1, "a"), entry("r.example/b", 2, "b")]
    # Two names change places: both moved.
    new = [entry("r.example/a", 2, "a"), entry("r.example/b", 1, "b")]
    assert told(old, new) == [("moved", "a", "1", "2"), ("moved", "b", "2", "1")]


def test_by_repository_of_the_name_after_another_tag() -> None:
    old = [entry("mirror.example/x", 1, "nginx:1.25"), entry("mirror.example/x", 2, "redis:7")]
    new = [entry("mirror.example/x", 3, "nginx:1.26"), entry("mirror.example/x", 2, "redis:7")]
    assert told(old, new) == [("moved", "nginx:1.26", "1", "3")]


def test_the_same_digest_under_another_name() -> None:
    assert told([entry("r.example/a", 1, "a:1")], [entry("r.example/a", 1, "a:2")]) == [("renamed", "a:2", "1", "1")]


def test_without_names_by_repository_if_that_is_clear() -> None:
    old = [entry("r.example/a", 1), entry("r.example/b", 2), entry("r.example/b", 3)]
    new = [entry("r.example/a", 4), entry("r.example/b", 5), entry("r.example/b", 3)]
    assert told(old, new) == [("moved", "r.example/a", "1", "4"), ("moved", "r.example/b", "2", "5")]
    # All images of a copy are in one repository.
    old = [entry("r.example/copy", digit) for digit in (1, 2, 3)]
    new = [entry("r.example/copy", digit) for digit in (3, 4, 5)]
    assert [status for status, *_ in told(old, new)] == ["added", "added", "removed", "removed"]


def test_relocation_is_told_apart() -> None:
    old = [entry("r.example/a", 1, "a"), entry("r.example/b", 2)]
    new = [entry("site.example/copy", 1, "a"), entry("site.example/copy", 2), entry("site.example/copy", 2)]
    changes, relocated = changed_images(old, new)
    assert not changes
    assert [(image.name, str(image.new.image.repository)) for image in relocated] == [
        ("a", "site.example/copy"),
        ("site.example/copy", "site.example/copy"),
    ]
