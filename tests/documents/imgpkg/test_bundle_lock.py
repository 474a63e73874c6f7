from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.oci.reference import Reference

HEAD = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: BundleLock\n"
A = "sha256:" + "a" * 64
BUNDLE = Reference.parse(f"registry.example/bundle@{A}")


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        BundleLock.parse(text.encode(), "b.yml")
    return list(caught.value.problems)


def test_a_lock_is_written_as_imgpkg_writes_it() -> None:
    assert BundleLock(BUNDLE, "1.0").to_bytes().decode() == (
        "---\n"
        "apiVersion: imgpkg.carvel.dev/v1alpha1\n"
        "bundle:\n"
        f"  image: registry.example/bundle@{A}\n"
        '  tag: "1.0"\n'
        "kind: BundleLock\n"
    )


def test_the_tag_is_left_out_where_the_source_was_a_digest() -> None:
    assert b"tag" not in BundleLock(BUNDLE).to_bytes()


def test_an_image_without_digest_is_not_written() -> None:
    with pytest.raises(InvalidReference, match="is not a digest reference"):
        BundleLock(Reference.parse("registry.example/bundle:1.0"), "1.0").to_bytes()


@pytest.mark.parametrize("tag", ["", ", tag: null", ", tag: ''"])
def test_the_tag_may_be_absent_null_or_empty(tag: str) -> None:
    text = f"{HEAD}bundle: {{image: 'registry.example/bundle@{A}'{tag}}}"
    assert BundleLock.parse(text.encode(), "b.yml") == BundleLock(BUNDLE)


def test_the_reference_is_spelled_out_and_loses_its_tag() -> None:
    text = f"{HEAD}bundle:\n  image: docker.io/a/b:1.2@{A}\n  tag: v1\n"
    lock = BundleLock.parse(text.encode(), "b.yml")
    assert lock == BundleLock(Reference.parse(f"index.docker.io/a/b@{A}"), "v1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("bundle:\n  image: a/b:1\n", ["4:10: 'a/b:1' is not a digest reference, expected one such as a/b:1@sha256:<"]),
        (f"bundle:\n  image: a/b@{A}\n  tag: 1.10\n", ["5:8: 'tag': expected a string, found 1.10 (quote it)"]),
        (f"bundle:\n  image: a/b@{A}\n  tag: -x\n", ["5:8: 'tag' is '-x', expected a tag, such as \"1.0\""]),
        (f"bundle:\n  image: a/b@{A}\n  tags: x\n", ["5:3: unknown key 'tags', did you mean 'tag'?"]),
        (f"bundle:\n  image: a/b@{A}\n  image: x\n", ["5:3: duplicate key 'image', expected once: it is in line 4"]),
        ("bundle: {}\n", ["3:9: missing key 'image' in 'bundle', expected a digest reference, such as registry.ex"]),
        ("bundle:\n", ["3:8: 'bundle': expected a mapping with the keys 'image' and 'tag', found nothing (null)"]),
        ("", ["1:1: missing key 'bundle', expected a mapping with the keys 'image' and 'tag'"]),
        ("bundel: {}\n", ["1:1: missing key 'bundle'", "3:1: unknown key 'bundel', did you mean 'bundle'?"]),
    ],
)
def test_what_imgpkg_refuses_is_a_problem(body: str, expected: list[str]) -> None:
    found = problems(HEAD + body)
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(f"b.yml:{start}")


def test_another_kind_of_document_is_a_problem() -> None:
    text = HEAD.replace("BundleLock", "ImagesLock") + f"bundle: {{image: 'a/b@{A}'}}"
    assert problems(text) == ["b.yml:2:7: 'kind' is 'ImagesLock', expected 'BundleLock'"]


@given(st.none() | st.text("AZaz09_.-", min_size=1, max_size=128).filter(lambda tag: tag[0] not in ".-"))
def test_what_is_written_is_read_again(tag: str | None) -> None:
    lock = BundleLock(BUNDLE, tag)
    assert BundleLock.parse(lock.to_bytes(), "b.yml") == lock
